"""What one message costs the generator: `GreetingUser`, closed and open, against a bare gevent loop.

All run in turns against the same server, so that a change of the machine's mood strikes all; what is judged is the
ratio of CPU time per message, round by round.
"""

import statistics
import sys

from benchmarks.generator import USERS, Cost, cost_told_by, run, served
from benchmarks.results import Result
from loadtest.workload.target import parse_host

__all__ = ["RATIO_MAX", "main"]

OURS = "benchmarks/our_talk_user.py"
RATIO_MAX = 2.0
OPEN_RATE = 50_000  # more than can be served: every connection is always busy, as in the closed loop


def main(short: bool) -> Result:
    rounds, seconds = (3, 2.0) if short else (10, 3.0)
    ratios: dict[str, list[float]] = {"closed loop": [], "open loop": []}
    with served() as host:
        for i in range(rounds):
            costs = _round(host, seconds, turned=bool(i % 2))
            bare_s = costs["bare"].per_request_s
            for name, found in ratios.items():
                found.append(costs[name].per_request_s / bare_s)
            told = ", ".join(f"{name} {found[-1]:.2f}" for name, found in ratios.items())
            print(f"  round {i + 1} of {rounds}, of a bare gevent loop: {told}", flush=True)
    result = Result(
        "generator CPU per lockstep message, of a bare gevent loop's", ("", "median", "least", "greatest")
    )
    for name, found in ratios.items():
        result.add(name, statistics.median(found), min(found), max(found))
    if short:
        result.notes.append(
            f"at most {RATIO_MAX:g} is promised; a few rounds are too few to judge a ratio by"
        )
    else:
        for name, found in ratios.items():
            result.judge(f"{name}, median of the rounds", statistics.median(found), RATIO_MAX)
    return result


def _round(host: str, seconds: float, *, turned: bool) -> dict[str, Cost]:
    names = ["bare", "closed loop", "open loop"]
    return {name: _cost(name, host, seconds) for name in (reversed(names) if turned else names)}


def _cost(name: str, host: str, seconds: float) -> Cost:
    if name == "closed loop":
        return run(OURS, host, seconds, "--pacing", "0")
    if name == "open loop":
        return run(OURS, host, seconds, "--rate", str(OPEN_RATE), "--request-timeout", "1h")
    address = parse_host(host).address
    bare = [
        sys.executable,
        "-m",
        "benchmarks.bare_lockstep",
        address.host,
        str(address.port),
        str(USERS),
        str(seconds),
    ]
    return cost_told_by(bare, seconds)
