"""The settings of `cost`: refused with option, value and what is allowed."""

import pytest

from loadtest.answers.cost.settings import CostSettings
from procserver.errors import ConfigError

LADDER = [10, 20, 30, 40, 50, 60]


def test_connections_that_cannot_be_held_are_refused() -> None:
    """Each ends with its turn, and nothing is said before that."""
    text = '[[steps]]\nname = "bye"\nsend = "x"\nexpect_close = true\n'
    with pytest.raises(ConfigError, match="its connections end with their turns"):
        CostSettings(serve=[], steps=LADDER, dialogue="short.toml", dialogue_text=text).check()
    CostSettings(
        serve=[], steps=LADDER, dialogue="short.toml", dialogue_text='expect = "hi"\n' + text
    ).check()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"steps": [1, 2, 3, 4, 5]}, "a slope needs 5 steps besides the first 1"),
        ({"steps": [10, 20, 20, 40, 50, 60]}, "must rise"),
        ({"steps": [0, 20, 30, 40, 50, 60]}, "from at least 1"),
        ({"steps": [10, 20, 30, 40, 50, 30_000]}, "up to 20000 connections"),
        ({"discard": 0}, "--discard 0"),
        ({"hold_s": 0.01}, "--hold 0.01s"),
        ({"heartbeat_s": 3.0}, "--heartbeat 3s"),
        ({"serve": None}, "give either --serve"),
        ({"serve": None, "host": "tcp://127.0.0.1:9"}, "give --control or --pid"),
        ({"tls_insecure": True}, "they are for --host tls"),
        ({"framing": "json"}, "allowed are raw, line"),
    ],
)
def test_what_cannot_be_measured_is_refused(changes: dict[str, object], said: str) -> None:
    """With the option, its value and what is allowed."""
    settings: dict[str, object] = {"serve": [], "steps": LADDER, **changes}
    with pytest.raises(ConfigError, match=said):
        CostSettings(**settings).check()  # type: ignore[arg-type]
