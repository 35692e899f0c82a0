"""Does anything move on an idle server? Wake-ups and CPU of each of its processes while nobody connects.

The supervisor wakes for its tick, once a second; workers and templates sleep until somebody comes.
"""

import re
import time
from pathlib import Path

import psutil

from benchmarks.cpu import cpu_s
from benchmarks.results import Result
from benchmarks.servers import Server, procserver, until

__all__ = ["main"]

TICKS_PER_S = 1.0
SURPLUS_WAKE_UPS = 2  # one at each edge of the span
ROLES = {
    "procserver": "supervisor",
    "procserver-t": "template",
    "procserver-w": "workers",
    "procserver-o": "observer",
}


def main(short: bool) -> Result:
    span_s = 2.0 if short else 8.0
    result = Result(
        "an idle server, default settings", ("", "processes", "wake-ups / s", "CPU, % of one core")
    )
    with procserver() as server:
        server.await_idle(1)
        until(lambda: all(role for role, _ in wake_ups(server).values()), "every process has taken its name")
        before, cpu_before_s = wake_ups(server), cpu_s(server.pid)
        time.sleep(span_s)
        after, used_s = wake_ups(server), cpu_s(server.pid) - cpu_before_s
    moved = {pid: (role, count - before.get(pid, (role, 0))[1]) for pid, (role, count) in after.items()}
    by_role = {role: [count for of, count in moved.values() if of == role] for role in ROLES.values()}
    for role, counts in by_role.items():
        result.add(role, len(counts), sum(counts) / span_s, "")
    result.add("all", len(moved), sum(count for _, count in moved.values()) / span_s, 100 * used_s / span_s)
    allowed = TICKS_PER_S * span_s + SURPLUS_WAKE_UPS
    result.judge(f"wake-ups of the supervisor in {span_s:g} s", sum(by_role["supervisor"]), allowed)
    still = sum(by_role["workers"]) + sum(by_role["template"])
    result.judge(f"wake-ups of template and workers in {span_s:g} s", still, 0)
    return result


def wake_ups(server: Server) -> dict[int, tuple[str, int]]:
    """Role (empty: it has not yet taken its name), and how often it has gone to sleep, of each process."""
    found = {}
    root = psutil.Process(server.pid)
    for process in [root, *root.children(recursive=True)]:
        text = Path(f"/proc/{process.pid}/status").read_text()
        slept = re.search(r"^voluntary_ctxt_switches:\t(\d+)$", text, re.MULTILINE)
        name = re.search(r"^Name:\t(.*)$", text, re.MULTILINE)
        assert slept is not None
        assert name is not None
        found[process.pid] = (ROLES.get(name[1], ""), int(slept[1]))
    return found
