"""The settings of a comparison: refused with option, value and what is allowed."""

from typing import Any

import pytest

from loadtest.answers.compare.settings import CompareSettings, SideSettings, environment
from loadtest.answers.compare.verdict import GATES
from procserver.errors import ConfigError


def side(name: str, **options: Any) -> SideSettings:
    return SideSettings(name=name, **options)


@pytest.mark.parametrize(
    ("a", "b", "changes", "said"),
    [
        ({}, {}, {}, "A and B are the same: name two"),
        ({"of": "main"}, {}, {}, "give both, or neither"),
        ({}, {"serve": ["x"]}, {"pairs": 4}, "--pairs 4: allowed are 5 to 1000"),
        ({}, {"serve": ["x"]}, {"tolerance": 0.0}, "--tolerance 0.00%: allowed"),
        ({}, {"serve": ["x"]}, {"confidence": 1.0}, "--confidence 100.0%: allowed"),
        ({}, {"serve": ["x"]}, {"gates": ["p98"]}, "--gate 'p98': allowed are server.cpu_per_message, p50"),
        ({}, {"command": "serve it"}, {}, "for its address"),
        ({}, {"command": "serve 'it"}, {}, "No closing quotation"),
        ({}, {"command": "s {port} {control}"}, {}, "would be counted as a connection"),
        ({}, {"command": "s {port}", "python": "python3"}, {}, "--python-b does not apply to it"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    a: dict[str, Any], b: dict[str, Any], changes: dict[str, Any], said: str
) -> None:
    """With the option, its value and what is allowed."""
    told = {"pairs": 8, "tolerance": 0.05, "confidence": 0.95, "gates": list(GATES), **changes}
    with pytest.raises(ConfigError, match=said):
        CompareSettings(a=side("a", **a), b=side("b", **b), **told).check()


def test_the_same_commit_may_be_compared_with_itself() -> None:
    """That shows the host's noise."""
    CompareSettings(
        a=side("a", of="."), b=side("b", of="."), pairs=5, tolerance=0.05, confidence=0.95, gates=["p50"]
    ).check()


def test_an_environment_is_names_and_values() -> None:
    """A value may have an equals sign, a name must be there."""
    assert environment(["A=1", "B=x=y", "C="], "a") == {"A": "1", "B": "x=y", "C": ""}
    with pytest.raises(ConfigError, match="--env-b 'A': write NAME=VALUE"):
        environment(["A"], "b")
