"""Scenarios: how the rate moves while it is measured, and who else connects meanwhile. Pure.

A scenario is a row of the table. Its `shape` is a piecewise-linear share of `--rate` over the measured time, as
(share of the time, share of the rate); the warm-up holds the first share. `beside` is who takes a share of
`--connections` from the users that talk; their requests have names of their own, and those with a full stop in it
are no errors of the honest.
"""

from typing import NamedTuple

__all__ = ["BESIDE_FILE", "EVERY_DEFAULT", "SCENARIOS", "Beside", "Scenario", "judged"]

BESIDE_FILE = "background_user.py"
EVERY_DEFAULT = "5s"


class Beside(NamedTuple):
    """Users of the class `user`, a `share` of all connections; `requests` are the names of theirs.

    For the comparison with a server's counters: of `connections` and `messages` each is one if it was ok; of `bounded`
    no more is known than how many there may have been.
    """

    user: str
    share: float
    requests: tuple[str, ...]
    connections: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()
    unheard: tuple[str, ...] = ()
    bounded: tuple[str, ...] = ()


class Scenario(NamedTuple):
    text: str
    shape: tuple[tuple[float, float], ...] = ((0.0, 1.0), (1.0, 1.0))
    beside: Beside | None = None
    duration_s: float = 20.0  # measured, unless told otherwise

    @property
    def shaped(self) -> bool:
        """Whether the rate moves: then there must be one."""
        return len({rate for _, rate in self.shape}) > 1


def _adversaries(user: str, kind: str, acts: tuple[str, ...]) -> Beside:
    names = tuple(f"{kind}.{act}" for act in acts)
    connects = (f"{kind}.handshake", f"{kind}.connect", f"{kind}.unheard")
    return Beside(
        user, 0.2, (*connects, *names), connections=connects[1:2], unheard=connects[2:], bounded=names
    )


SCENARIOS = {
    "steady": Scenario("the same rate all the time"),
    "ramp": Scenario("from a tenth of the rate to all of it", ((0.0, 0.1), (0.9, 1.0), (1.0, 1.0))),
    "spike": Scenario(
        "a fifth of the rate, but for a tenth of the time all of it",
        ((0.0, 0.2), (0.45, 0.2), (0.45, 1.0), (0.55, 1.0), (0.55, 0.2), (1.0, 0.2)),
    ),
    "soak": Scenario("the same rate, for long", duration_s=600.0),
    "hold": Scenario(
        "most connections are idle, but for a heartbeat",
        beside=Beside("HoldUser", 0.8, ("heartbeat",), messages=("heartbeat",)),
    ),
    "churn": Scenario(
        "most connections are made anew, all at once, again and again",
        beside=Beside("ChurnUser", 0.8, ("reconnect",), connections=("reconnect",)),
    ),
    "slow": Scenario(
        "some read or write slowly, or never",
        beside=_adversaries("SlowUser", "slow", ("deaf", "sip", "dribble")),
    ),
    "hostile": Scenario(
        "some are mute, vanish, or send too much or garbage",
        beside=_adversaries(
            "HostileUser", "hostile", ("mute", "abort", "vanish", "half_close", "oversize", "garbage")
        ),
    ),
}


def judged(request: str) -> bool:
    """Whether a request is one of an honest user's: what happens to the others is told, and is no error."""
    return "." not in request
