"""The sampler: a process of its own that follows the processes of the server and the generator, and the host.

    python -m loadtest.sampler.sampler [--server PID] [--control PATH | --metrics URL] [--generator PID] --output FILE

It is not part of the generator: a greenlet there would be late exactly when the generator is busy. It writes one JSON
line per sample, with a monotonic timestamp, and exits when the server exits or its standard input ends, as it does
when the parent exits. It prints `ready` after the first sample.

CPU and the number of processes are read every `interval_s`; status, children and memory cost more and are read less
often, memory for at most 2 % of the time. A server on another host is read by its metrics endpoint, as often as the
status; `server_host` has the values of its host, `host` those of this one. Each line has the sampler's own cost. The
interval doubles after every 3 000 samples, which bounds the file of a long run.
"""

import argparse
import contextlib
import os
import select
import sys
import time
from dataclasses import asdict
from typing import Any, TextIO

import msgspec

from loadtest.sampler.resource_limits import limits_of, memory_available_bytes
from loadtest.sampler.scrape import Endpoint, ScrapeError, metrics_url
from procserver.clients import control as control_client
from procserver.clients.http_request import Url
from procserver.errors import ProcserverError
from procserver.resources import Tree, host_usage, own_cpu_s

__all__ = ["Sampler", "main"]

INTERVAL_S = 0.2
STATUS_INTERVAL_S = 0.4
CHILDREN_INTERVAL_S = 1.0
DETAIL_INTERVAL_S = 1.0
DETAIL_SHARE_MAX = 0.02
STATUS_TIMEOUT_S = 1.0
SCRAPE_AGAIN_S = 2.0  # after a failure, which may take as long as the timeout
SAMPLES_PER_PACE = 3000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m loadtest.sampler.sampler")
    parser.add_argument(
        "--server", type=int, metavar="PID", help="Without it: the server is on another host."
    )
    parser.add_argument("--generator", type=int, metavar="PID")
    parser.add_argument("--control", metavar="PATH")
    parser.add_argument("--metrics", type=metrics_url, metavar="URL")
    parser.add_argument("--output", required=True, metavar="FILE")
    parser.add_argument("--interval", type=float, default=INTERVAL_S, metavar="SECONDS")
    chosen = parser.parse_args()
    with open(chosen.output, "x") as output:
        sampler = Sampler(
            chosen.server, chosen.generator, chosen.control, output, chosen.interval, chosen.metrics
        )
        sampler.run()


class Sampler:
    """Takes samples on an absolute schedule until the server or the parent exits."""

    def __init__(
        self,
        server: int | None,
        generator: int | None,
        control: str | None,
        output: TextIO,
        interval_s: float,
        metrics: Url | None = None,
    ) -> None:
        self.pid = server
        self.server = Tree(server) if server is not None else None
        self.generator = Tree(generator) if generator else None
        self.control = control
        self.endpoint = Endpoint(metrics) if metrics is not None else None
        self.measured_at = 0.0
        self.output = output
        self.interval_s = interval_s
        self.samples = 0
        self.detail_interval_s = DETAIL_INTERVAL_S
        self.due: dict[str, float] = {}

    def run(self) -> None:
        start = time.monotonic()
        self.write(self.opening(start))
        due = start
        while self.sample_unless_gone():
            if self.samples == 1:
                print("ready", flush=True)
            if self.samples % SAMPLES_PER_PACE == 0:
                self.interval_s *= 2
                self.detail_interval_s *= 2
            due = max(due + self.interval_s, time.monotonic())  # no burst after a delay
            if parent_gone(due - time.monotonic()):
                self.sample_unless_gone(whole=True)  # the last sample has everything
                return

    def opening(self, now: float) -> dict[str, Any]:
        line = {"t": now, "epoch": time.time(), "interval_s": self.interval_s, "kind": "start"}
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                line["allowance"] = msgspec.to_builtins(limits_of(self.pid))
        return line

    def sample_unless_gone(self, *, whole: bool = False) -> bool:
        if whole:
            self.due.clear()
        try:
            self.write(self.sample())
        except ProcessLookupError as error:
            self.write({"t": time.monotonic(), "kind": "end", "reason": str(error)})
            return False
        self.samples += 1
        return True

    def sample(self) -> dict[str, Any]:
        now = time.monotonic()
        sample: dict[str, Any] = {"t": now, "host": asdict(host_usage())}
        if self.server is not None:
            sample |= self.sample_server(self.server, now)
        if self.generator is not None:
            sample["generator"] = self.sample_generator(now)
        if self.control is not None and self.is_due("status", now, STATUS_INTERVAL_S):
            sample["status"] = self.ask_status()
        if self.endpoint is not None and self.is_due("status", now, STATUS_INTERVAL_S):
            sample |= self.scrape(self.endpoint)
        sample["sampler"] = {"cpu_s": own_cpu_s(), "took_s": time.monotonic() - now}
        return sample

    def sample_server(self, server: Tree, now: float) -> dict[str, Any]:
        if self.is_due("children", now, CHILDREN_INTERVAL_S):
            server.refresh()
        sample: dict[str, Any] = {"server": asdict(server.usage())}
        if self.is_due("detail", now, self.detail_interval_s):
            before = time.monotonic()
            sample["detail"] = asdict(server.detail())
            sample["memory_available_bytes"] = memory_available_bytes()
            took_s = time.monotonic() - before
            self.due["detail"] = max(self.due["detail"], now + took_s / DETAIL_SHARE_MAX)
        return sample

    def is_due(self, what: str, now: float, interval_s: float) -> bool:
        if now < self.due.get(what, 0.0):
            return False
        self.due[what] = now + interval_s - self.interval_s / 2  # the nearest tick
        return True

    def sample_generator(self, now: float) -> dict[str, Any] | None:
        assert self.generator is not None
        try:
            if self.is_due("generator", now, CHILDREN_INTERVAL_S):
                self.generator.refresh()
            return asdict(self.generator.usage())
        except ProcessLookupError:
            self.generator = None  # the load has ended; the server is still followed
            return None

    def ask_status(self) -> dict[str, Any]:
        """Pool, queue, totals and the connections of each worker; `error` if the server does not answer."""
        assert self.control is not None
        before = time.monotonic()
        try:
            status: dict[str, Any] = control_client.request(
                self.control, {"command": "status"}, timeout_s=STATUS_TIMEOUT_S
            )
        except (OSError, ProcserverError) as error:
            return {"error": str(error) or type(error).__name__}
        workers = {str(row["pid"]): row["connections"] for row in status.get("workers", [])}
        kept = {key: status.get(key) for key in ("pool", "queue", "totals")}
        return {**kept, "connections_by_pid": workers, "took_s": time.monotonic() - before}

    def scrape(self, endpoint: Endpoint) -> dict[str, Any]:
        """The metrics of a server on another host; a memory reading that was already taken is left out."""
        before = time.monotonic()
        try:
            found = endpoint.read(STATUS_TIMEOUT_S)
        except ScrapeError as error:
            self.due["status"] = time.monotonic() + SCRAPE_AGAIN_S
            return {"status": {"error": str(error)}}
        kept = {key: found.status[key] for key in ("pool", "queue", "totals")}
        sample: dict[str, Any] = {
            "server": found.usage,
            "server_host": found.host,
            "status": {**kept, "took_s": time.monotonic() - before},
        }
        if found.measured_at != self.measured_at:
            self.measured_at = found.measured_at
            sample["detail"] = {**found.detail, "processes": []}
        return sample

    def write(self, line: dict[str, Any]) -> None:
        self.output.write(msgspec.json.encode(line).decode() + "\n")
        self.output.flush()


def parent_gone(timeout_s: float) -> bool:
    """Wait for the next tick; True if standard input ends before it."""
    readable, _, _ = select.select([sys.stdin.fileno()], [], [], max(0.0, timeout_s))
    return bool(readable) and not os.read(sys.stdin.fileno(), 4096)


if __name__ == "__main__":
    main()
