"""Types of option values besides numbers and words."""

import re
from typing import Any

import click

from loadtest.base.units import parse_duration_s


class Duration(click.ParamType[float]):
    """`500ms`, `20s`, `5m`, `1h`, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        try:
            return parse_duration_s(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Share(click.ParamType[float]):
    """`20%` or `0.2`."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = str(value).removesuffix("%")
        if not re.fullmatch(r"\d+(\.\d+)?", number):
            self.fail(f"{value!r} is no share; write 20% or 0.2", param, ctx)
        return float(number) / (100 if str(value).endswith("%") else 1)


class Words(click.ParamType[list[str]]):
    """`A,B,...`."""

    name = "words"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[str]:  # noqa: ARG002
        return value if isinstance(value, list) else value.split(",")
