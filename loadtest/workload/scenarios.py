"""Scenarios: how the rate varies while it is measured, and which background users connect meanwhile. Pure.

A scenario is a row of the table. Its `shape` is a piecewise-linear share of `--rate` over the measured time, as
(share of the time, share of the rate); the warm-up holds the first share. `beside` are background users: they have a
share of `--connections`, and request names of their own. A request name containing a dot belongs to a misbehaving user;
its failures do not count as errors.
"""

from typing import NamedTuple

BESIDE_FILE = "background_user.py"


class Beside(NamedTuple):
    """Background users of the class `user`, with a `share` of all connections; `requests` are the names of theirs.

    In the comparison with a server's counters each ok request in `connections` or `messages` is one; those in `unheard`
    may be one, and those in `bounded` any number up to the recorded `unconfirmed`.
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
    duration_s: float = 20.0  # the default of --duration

    @property
    def shaped(self) -> bool:
        """Whether the rate varies: then --rate is needed."""
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
        "a fifth of the rate, and all of it for a tenth of the time",
        ((0.0, 0.2), (0.45, 0.2), (0.45, 1.0), (0.55, 1.0), (0.55, 0.2), (1.0, 0.2)),
    ),
    "soak": Scenario("the same rate, for 10 minutes", duration_s=600.0),
    "hold": Scenario(
        "most connections are idle but for a heartbeat",
        beside=Beside("HoldUser", 0.8, ("heartbeat",), messages=("heartbeat",)),
    ),
    "churn": Scenario(
        "most connections reconnect, all at once, again and again",
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
    """Whether the failures of a request count as errors: those of misbehaving users do not."""
    return "." not in request
