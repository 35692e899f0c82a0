"""The options that this load test adds to Locust's own, on its command line and in its web form.

Each is a row of GeneratorSettings (loadtest.workload.settings). `loadtest run` gives them all at once: by `--load-fd`.
"""

import argparse
import os
from collections.abc import Callable
from typing import Any

import msgspec

from loadtest.base.units import parse_duration_s
from loadtest.workload.settings import GeneratorSettings, Row, table_of
from loadtest.workload.target import check_sources
from procserver.errors import ConfigError

TABLE = table_of(GeneratorSettings)


def add_options(parser: Any) -> None:
    """One option for each row, and those of the process itself, which `loadtest run` gives."""
    for row in TABLE.values():
        option = row.option
        kwargs: dict[str, Any] = {"help": option.help, "include_in_web_ui": option.in_form}
        if row.kind is bool:
            kwargs["action"] = "store_true"
        else:
            kwargs |= {"default": row.default, "type": _type_of(row), "metavar": option.metavar}
            kwargs["choices"] = option.choices or None
        parser.add_argument(row.flag, **kwargs)

    def add(flag: str, **kwargs: Any) -> None:
        parser.add_argument(flag, default=None, include_in_web_ui=False, **kwargs)

    add("--account", metavar="FILE", help="Write the record of the run here, as JSON, when Locust quits.")
    add(
        "--load-fd", type=int, help=argparse.SUPPRESS
    )  # a file of GeneratorSettings in JSON, instead of the options
    add("--progress-fd", type=int, help=argparse.SUPPRESS)  # for a JSON line each second
    # Where the start of the test comes from: see start_barrier.
    add("--start-fd", type=int, help=argparse.SUPPRESS)


def settings_of(options: argparse.Namespace | None) -> GeneratorSettings:
    """The settings in the parsed options, which Locust's web form may have changed; the defaults without any."""
    if options is None:
        return GeneratorSettings()
    if (fd := options.load_fd) is not None:
        # Not `read`: forked processes share the position, and all begin at 0.
        return msgspec.json.decode(os.pread(fd, os.fstat(fd).st_size, 0), type=GeneratorSettings)
    return GeneratorSettings(**{name: getattr(options, row.key) for name, row in TABLE.items()})


def _type_of(row: Row) -> Callable[[str], Any]:
    option = row.option
    if row.kind == list[str]:
        return _addresses
    if not option.most:
        return str
    number: Callable[[str], Any] = parse_duration_s if option.unit == "s" else row.kind

    def parse(text: str) -> Any:
        try:
            value = number(text)
        except ValueError as error:
            if option.unit == "s":
                raise argparse.ArgumentTypeError(str(error)) from None
            value = None
        if value is None or not option.least <= value <= option.most:
            raise argparse.ArgumentTypeError(
                f"{text!r} is no number from {option.least:g} to {option.most:g}{option.unit}"
            )
        return value

    return parse


def _addresses(text: str) -> list[str]:
    addresses = text.split(",")
    try:
        check_sources(addresses, None)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("--source-address ")) from None
    return addresses
