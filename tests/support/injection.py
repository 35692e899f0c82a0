"""System calls that fail on demand, in one process, by `strace -e inject`; limits that are set from outside."""

import contextlib
import itertools
import os
import resource
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tests.support.wait import PATIENCE_S, wait_until

MISSING = "strace is not installed (Debian: apt-get install strace)"
FORKS = "clone,clone3,fork,vfork"


def failing(pid: int, calls: str, error: str) -> AbstractContextManager[None]:
    """These system calls of this process, but not of its children, fail with this error."""
    return strace([pid], "-e", f"inject={calls}:error={error}")


def children_struck(pid: int, calls: str, when: int) -> AbstractContextManager[None]:
    """SIGKILL strikes each child that is forked meanwhile, at its own `when`-th of these calls, which is still made."""
    return strace([pid], "-f", "-e", f"inject={calls}:signal=KILL:when={when}")


@contextmanager
def strace(pids: list[int], *how: str, output: str = os.devnull) -> Iterator[None]:
    """Trace these processes while the body runs."""
    with tempfile.TemporaryDirectory(prefix="procserver-strace-") as folder:
        said = Path(folder) / "said"
        with said.open("wb") as stderr:
            tracer = subprocess.Popen(
                ["strace", "-o", output, *how, *(f"-p{pid}" for pid in pids)],
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                env=os.environ | {"LC_ALL": "C"},
                start_new_session=True,
            )
        try:
            wait_until(
                lambda: said.read_text().count(" attached") >= len(pids) or tracer.poll() is not None,
                "strace is attached",
            )
            assert tracer.poll() is None, f"strace: {said.read_text().strip()}"
            yield
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.wait(PATIENCE_S)


def pids_group() -> Path | None:
    """Our own group of the pids controller, if we may make others in it; both versions of cgroups."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        root = Path("/sys/fs/cgroup") / ("pids" if controllers == "pids" else "")
        group = root / path.lstrip("/")
        control = group / "cgroup.subtree_control"
        delegated = controllers == "pids" or (
            not controllers and control.exists() and "pids" in control.read_text()
        )
        if delegated and os.access(group, os.W_OK):
            return group
    return None


@contextmanager
def at_most_processes(pid: int, most: int) -> Iterator[None]:
    """This process, and whom it forks meanwhile, may be so many: a group of their own, until they are let go."""
    base = pids_group()
    assert base is not None
    group = base / f"procserver-test-{pid}"
    group.mkdir()
    try:
        (group / "pids.max").write_text(str(most))
        (group / "cgroup.procs").write_text(str(pid))
        yield
    finally:

        def emptied() -> bool:
            for member in (group / "cgroup.procs").read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    (base / "cgroup.procs").write_text(member)
            try:
                group.rmdir()
            except OSError:  # somebody was just being born
                return False
            return True

        wait_until(emptied, "the group is empty")


@contextmanager
def without_descriptors(pid: int) -> Iterator[None]:
    """This process can open nothing more: the lowest number that is free is above its limit."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    taken = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    lowest_free = next(number for number in itertools.count() if number not in taken)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest_free, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
