"""The options of Locust: by hand or as one JSON, they are the same settings."""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest

from loadtest.engine.locust_options import TABLE, add_options, settings_of
from loadtest.runs.settings import RunSettings
from loadtest.workload.settings import GeneratorSettings


class Parser(argparse.ArgumentParser):
    """As Locust's, which knows of each option whether its web form has it."""

    def __init__(self) -> None:
        super().__init__(exit_on_error=False)
        self.in_form: set[str] = set()
        add_options(self)

    def add_argument(self, *flags: Any, include_in_web_ui: bool = False, **kwargs: Any) -> argparse.Action:
        if include_in_web_ui:
            self.in_form.add(flags[0])
        return super().add_argument(*flags, **kwargs)


@contextmanager
def load_fd(settings: GeneratorSettings) -> Iterator[int]:
    with tempfile.TemporaryFile() as file:
        file.write(msgspec.json.encode(settings))
        file.flush()
        yield file.fileno()


def test_every_row_is_an_option_and_those_of_the_form_are_in_it() -> None:
    parser = Parser()
    flags = {flag for action in parser._actions for flag in action.option_strings}
    assert {row.flag for row in TABLE.values()} <= flags
    assert parser.in_form == {row.flag for row in TABLE.values() if row.option.in_form}
    assert {"--framing", "--rate", "--pacing", "--seed"} <= parser.in_form


def test_without_any_option_the_settings_are_the_defaults() -> None:
    assert settings_of(Parser().parse_args([])) == GeneratorSettings() == settings_of(None)


def test_by_hand_and_as_json_the_settings_are_the_same() -> None:
    by_hand = ["--framing", "line", "--rate", "50", "--pacing", "20ms", "--warmup", "1s", "--measure", "2m"]
    by_hand += ["--beside", "4", "--every", "3s", "--tls-insecure", "--source-address", "127.0.0.1"]
    settings = settings_of(Parser().parse_args(by_hand))
    assert settings == GeneratorSettings(
        framing="line",
        rate=50.0,
        pacing_s=0.02,
        warmup_s=1.0,
        measure_s=120.0,
        background_users=4,
        every_s=3.0,
        tls_insecure=True,
        source_addresses=["127.0.0.1"],
    )
    with load_fd(settings) as fd:
        assert settings_of(Parser().parse_args(["--load-fd", str(fd)])) == settings


def test_the_json_of_a_run_is_complete() -> None:
    """Nothing of it is read from other options."""
    load = RunSettings(serve=[], rate=3.0, dialogue="a.toml", dialogue_text="text").for_generator()
    with load_fd(load) as fd:
        options = Parser().parse_args(["--load-fd", str(fd), "--rate", "9"])
        assert settings_of(options) == load
        assert settings_of(options) == load, "read again, for the next test or by another process"


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--rate", "-1"], "'-1' is no number from 0 to 1e+06/s"),
        (["--name-length", "many"], "'many' is no number from 1 to 1024"),
        (["--pacing", "soon"], "'soon' is no duration; write 500ms"),
        (["--framing", "lines"], "invalid choice: 'lines'"),
        (["--source-address", "256.1.1.1"], "'256.1.1.1': no IP address"),
    ],
)
def test_what_is_wrong_is_named(args: list[str], says: str) -> None:
    with pytest.raises(argparse.ArgumentError) as caught:
        Parser().parse_args(args)
    assert says in str(caught.value)
