"""Child processes: registered, signalled only as our own, reaped once, with or without a descriptor."""

import os
import select
import signal
import sys
from collections.abc import Iterator

import pytest

from procserver.supervisor.child_processes import Child, ChildProcesses
from tests.support.wait import wait_until

WAITS = [sys.executable, "-c", "import signal; signal.pause()"]


@pytest.fixture
def children() -> Iterator[ChildProcesses]:
    with select.epoll() as poller:
        children = ChildProcesses(poller)
        yield children
        children.wait_for(list(children.by_pid.values()), 0.0)


def test_an_exit_shows_at_the_pidfd_and_is_reaped_with_its_usage(children: ChildProcesses) -> None:
    child = children.run("worker", 3, [sys.executable, "-c", "raise SystemExit(7)"])
    assert children.poller.poll(20) == [(child.pidfd, select.EPOLLIN)]
    assert list(children.of("worker")) == [child]
    assert children.of("template") == []
    ended = children.reap(child)
    assert ended is not None
    assert (ended.child, ended.code, ended.signal_name, ended.reason) == (child, 7, "exit", "exit status 7")
    assert ended.usage.ru_utime > 0
    assert (children.by_pid, children.by_pidfd) == ({}, {})
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(child.pidfd)


def test_one_that_runs_is_not_reaped_and_is_signalled(children: ChildProcesses) -> None:
    child = children.run("template", 1, WAITS)
    assert children.reap(child) is None
    assert children.send(child, signal.SIGKILL)
    ended = wait_until(lambda: children.reap(child), "it is dead")
    assert ended is not None
    assert (ended.code, ended.signal_name, ended.reason) == (-9, "SIGKILL", "SIGKILL")
    assert not children.send(child, signal.SIGKILL), "its pid may be another process's"


def test_another_s_process_is_neither_signalled_nor_reaped(children: ChildProcesses) -> None:
    """Such as the worker of a middle process that has not exited yet."""
    other = children.adopt("worker", 0, os.getppid())
    assert not children.send(other, signal.SIGKILL)
    assert children.reap(other) is None
    assert other.pid in children.by_pid, "it exists: it may become ours"
    children.poller.unregister(other.pidfd)
    os.close(other.pidfd)
    children.by_pid.clear()
    children.by_pidfd.clear()


def test_one_that_was_reaped_elsewhere_is_forgotten(children: ChildProcesses) -> None:
    child = children.run("worker", 0, [sys.executable, "-c", ""])
    os.waitpid(child.pid, 0)
    assert children.reap(child) is None
    assert children.by_pid == {}
    with pytest.raises(ProcessLookupError):
        children.adopt("worker", 0, child.pid)


def test_each_that_waits_to_be_reaped_is_named(children: ChildProcesses) -> None:
    """One at a time, those that are not registered included."""
    first = children.run("worker", 0, [sys.executable, "-c", ""])
    unknown = os.posix_spawn(sys.executable, [sys.executable, "-c", ""], os.environ)
    seen = set()
    for pid in iter(lambda: wait_until(lambda: next(children.ended(), 0), "one has ended"), None):
        seen.add(pid)
        if pid == first.pid:
            assert children.reap(first) is not None
        else:
            os.waitpid(pid, 0)
        if len(seen) == 2:
            break
    assert seen == {first.pid, unknown}
    assert list(children.ended()) == []


@pytest.mark.parametrize(("command", "clean"), [([sys.executable, "-c", ""], True), (WAITS, False)])
def test_those_that_do_not_end_in_time_are_killed(
    command: list[str], clean: bool, children: ChildProcesses
) -> None:
    child = children.run("observer", 0, command)
    assert children.wait_for([child], 20.0 if clean else 0.05) is clean
    assert children.by_pid == {}


def test_a_child_runs_in_a_session_of_its_own_without_input(children: ChildProcesses) -> None:
    script = "import os, sys; sys.exit(os.getsid(0) != os.getpid() or os.read(0, 1) != b'')"
    child: Child = children.run("worker", 0, [sys.executable, "-c", script])
    ended = wait_until(lambda: children.reap(child), "it has ended")
    assert ended is not None
    assert ended.code == 0
