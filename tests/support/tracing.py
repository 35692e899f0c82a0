"""System calls of some processes while something happens to them, counted by `strace -c`."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.injection import strace

MISSING = "strace is not installed (Debian: apt-get install strace)"
WAITING = {"epoll_wait", "epoll_pwait", "read", "rt_sigreturn", "restart_syscall"}
# % time, seconds, usecs/call, calls, errors if any, name
ROW = re.compile(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(\d+)? +(?!total)(\w+)$", re.MULTILINE)


class Calls:
    """`by_name[call]`: how often, and how often in vain. Filled when the tracing has ended."""

    def __init__(self) -> None:
        self.by_name: dict[str, tuple[int, int]] = {}

    @property
    def work(self) -> int:
        """All but the waits for a connection: how often one waits is chance, and the same for every pool."""
        return sum(
            calls - (errors if name == "accept4" else 0)
            for name, (calls, errors) in self.by_name.items()
            if name not in WAITING
        )


@contextmanager
def traced(pids: list[int]) -> Iterator[Calls]:
    calls = Calls()
    with tempfile.TemporaryDirectory(prefix="procserver-trace-") as folder:
        summary = Path(folder) / "summary"
        with strace(pids, "-c", output=str(summary)):
            yield calls
        calls.by_name = {
            name: (int(count), int(errors or 0)) for count, errors, name in ROW.findall(summary.read_text())
        }
        assert calls.by_name, f"strace has counted nothing: {summary.read_text().strip()}"
