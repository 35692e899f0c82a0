"""Scenarios: how the rate moves while it is measured, and who else connects meanwhile. Pure.

A scenario is a row of the table. Its `shape` is a piecewise-linear share of `--rate` over the measured time, as
(share of the time, share of the rate); the warm-up holds the first share. `beside` names users that run beside the
honest ones, each with its share of `--connections`; their requests have names of their own.
"""

from typing import NamedTuple

__all__ = ["SCENARIOS", "Scenario"]


class Scenario(NamedTuple):
    text: str
    shape: tuple[tuple[float, float], ...] = ((0.0, 1.0), (1.0, 1.0))
    beside: tuple[tuple[str, float], ...] = ()
    duration_s: float = 20.0  # measured, unless told otherwise

    @property
    def shaped(self) -> bool:
        """Whether the rate moves: then there must be one."""
        return len({rate for _, rate in self.shape}) > 1


SCENARIOS = {
    "steady": Scenario("the same rate all the time"),
    "ramp": Scenario("from a tenth of the rate to all of it", ((0.0, 0.1), (0.9, 1.0), (1.0, 1.0))),
    "spike": Scenario(
        "a fifth of the rate, but for a tenth of the time all of it",
        ((0.0, 0.2), (0.45, 0.2), (0.45, 1.0), (0.55, 1.0), (0.55, 0.2), (1.0, 0.2)),
    ),
    "soak": Scenario("the same rate, for long", duration_s=600.0),
}
