"""What processes have used: of real ones, the dead and the many included."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from procserver.resources import Tree, host_usage
from tests.support.wait import wait_until

BURN = "import time\nend = time.process_time() + {0}\nwhile time.process_time() < end: pass\n"
PARENT = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {BURN.format(0.3)!r}])
child.wait()
held = bytearray(32 << 20)
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[str]]:
    """A process of 32 MiB whose one child has burnt 0.3 s of CPU and is gone."""
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def test_the_cpu_of_dead_children_is_counted(parent: subprocess.Popen[str]) -> None:
    """A child that lived and died between two samples is in the tree's CPU."""
    usage = Tree(parent.pid).usage()
    assert usage.processes == 1
    assert usage.cpu_s >= 0.28
    assert usage.cpu_s_by_pid[parent.pid] < usage.cpu_s


def test_memory_is_what_the_process_holds(parent: subprocess.Popen[str]) -> None:
    """USS is at most PSS, and both have the 32 MiB that only this process holds."""
    detail = Tree(parent.pid).detail()
    assert 32 << 20 <= detail.uss_bytes <= detail.pss_bytes < 200 << 20
    assert detail.fds >= 3
    assert detail.voluntary_switches + detail.involuntary_switches > 0
    assert [parent.pid] == [process.pid for process in detail.processes]


def test_descendants_are_found_when_asked_for() -> None:
    """`refresh` sees a child that came later; CPU never goes back when one leaves."""
    tree = Tree(os.getpid())
    before = tree.usage()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        tree.refresh()
        usage = tree.usage()
        assert child.pid in usage.cpu_s_by_pid
        assert usage.processes == before.processes + 1
    tree.refresh()
    assert child.pid not in tree.usage().cpu_s_by_pid
    assert tree.usage().cpu_s >= usage.cpu_s >= before.cpu_s


def test_short_work_is_seen_below_the_tick() -> None:
    """CPU is told finer than the kernel's ticks of 10 ms: workers that do little are not free."""
    tree = Tree(os.getpid())
    start = tree.usage().cpu_s
    wait_until(lambda: tree.usage().cpu_s - start > 0, "some CPU was used")
    assert tree.usage().cpu_s - start < 5


def test_a_root_that_is_gone_is_said_so(parent: subprocess.Popen[str]) -> None:
    """ProcessLookupError, also while the dead process is still unreaped."""
    tree = Tree(parent.pid)
    parent.kill()
    os.waitid(os.P_PID, parent.pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(ProcessLookupError, match=str(parent.pid)):
        tree.usage()
    parent.wait()
    with pytest.raises(ProcessLookupError, match=str(parent.pid)):
        Tree(parent.pid)


def test_the_host_counts_up() -> None:
    """Counters only grow."""
    first, second = host_usage(), host_usage()
    assert first.cpus >= 1
    assert second.busy_s >= first.busy_s
    assert second.listen_overflows >= first.listen_overflows
