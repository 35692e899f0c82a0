"""What one greeting costs the generator: `ConnectUser` against the same user in Locust's plainest form.

Both run in turns against the same server, so that a change of the machine's mood strikes both; what is printed is
the ratio of CPU time per greeting, pair by pair.
"""

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.servers import BenchmarkError

__all__ = ["RATIO_MAX", "USERS", "Cost", "cost_told_by", "main", "run", "served"]

ROOT = Path(__file__).parents[1]
OURS, STOCK = "benchmarks/our_connect_user.py", "benchmarks/stock_connect_user.py"
PACING: dict[str, tuple[str, ...]] = {OURS: ("--pacing", "0"), STOCK: ()}
USERS = 20
WORKERS = 24  # more than users: no greeting waits for a worker
RATIO_MAX = 0.55
RUN_TIMEOUT_S = 60


class Cost(NamedTuple):
    cpu_s: float
    requests: int

    @property
    def per_request_s(self) -> float:
        return self.cpu_s / self.requests


def main(short: bool) -> dict[str, object]:
    """Alternating runs against one server; the median ratio, its range, and whether it keeps the bound."""
    pairs, seconds = (5, 2) if short else (10, 3)
    ratios = []
    with served() as host:
        for i in range(pairs):
            order = (OURS, STOCK) if i % 2 else (STOCK, OURS)
            costs = {file: run(file, host, seconds, *PACING[file]) for file in order}
            ratios.append(costs[OURS].per_request_s / costs[STOCK].per_request_s)
            print(
                f"  pair {i + 1} of {pairs}: ConnectUser costs {ratios[-1]:.3f} of the stock user", flush=True
            )
    median = statistics.median(ratios)
    print(f"generator CPU per greeting: {median:.3f} of the stock user's (at most {RATIO_MAX})")
    return {
        "name": "generator CPU per greeting, ConnectUser / stock user",
        "ratio": round(median, 4),
        "least": round(min(ratios), 4),
        "greatest": round(max(ratios), 4),
        "pairs": pairs,
        "bound": RATIO_MAX,
        "ok": median <= RATIO_MAX,
    }


class served:
    """A greeting server on a free port, for as long as the body runs."""

    def __enter__(self) -> str:
        from loadtest.runs import service

        self.server = service.started(["--workers", str(WORKERS)], "raw", "/dev/null")
        return self.server.__enter__().host

    def __exit__(self, *error: object) -> None:
        self.server.__exit__(None, None, None)


def run(file: str, host: str, seconds: float, *options: str) -> Cost:
    """One run of Locust with USERS users; BenchmarkError if nothing was answered or a request failed."""
    command = [sys.executable, "-m", "locust", "-f", file, "--headless", "--only-summary", "--host", host]
    command += ["-u", str(USERS), "-r", str(USERS), "-t", f"{seconds:g}s", "--stop-timeout", "5s", *options]
    return cost_told_by(command, seconds)


def cost_told_by(command: Sequence[str], seconds: float) -> Cost:
    """Run a generator that says what it cost, as `cpu_report` does; BenchmarkError if it failed."""
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=seconds + RUN_TIMEOUT_S, check=False
    )
    said = next((line for line in done.stdout.splitlines() if line.startswith("COST ")), None)
    if said is None:
        raise BenchmarkError(
            f"{command} did not say what it cost (exit {done.returncode}): {done.stderr[-2000:]}"
        )
    cost = json.loads(said.removeprefix("COST "))
    if cost["failed"] or not cost["requests"]:
        raise BenchmarkError(
            f"{command}: {cost['failed']} of {cost['requests']} failed:\n{done.stderr[-1500:]}"
        )
    return Cost(cost["cpu_s"], cost["requests"])


if __name__ == "__main__":
    main(short="--short" in sys.argv)
