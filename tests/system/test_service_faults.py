"""What goes wrong around the workers: the template, the observer, the supervisor, the places where logs go."""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from procserver.addresses import parse_address
from procserver.clients import control
from tests.support.clients import Guest
from tests.support.injection import MISSING, failing
from tests.support.server import RunningServer, command
from tests.support.wait import PATIENCE_S, read_to_end, wait_until

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason=MISSING)


def test_a_template_that_is_killed_is_replaced_and_growth_goes_on() -> None:
    """Workers do not depend on it, once they are born; later ones have a new generation."""
    with RunningServer() as server:
        server.announce("template_died")
        guest = server.guest()
        before = server.status()
        (template,) = before["processes"]["template"]
        os.kill(template, signal.SIGKILL)
        guest.greet(b"during")
        found = server.wait_for_status(
            lambda s: (
                s["processes"]["template"] not in ([], [template]) and s["supervisor"]["generation"] == 2
            ),
            "another template",
        )
        assert found["supervisor"]["state"] in ("serving", "degraded")
        guests = [server.guest() for _ in range(8)]
        generations = {worker["generation"] for worker in server.workers()}
        assert generations == {1, 2}
        for each in [guest, *guests]:
            each.leave()


def test_an_observer_that_is_killed_is_restarted_and_nothing_is_lost() -> None:
    """The record pipe is the supervisor's: what nobody has read waits for the next observer."""
    with RunningServer() as server:
        server.announce("observer_died")
        observer = server.status()["processes"]["observer"]
        os.kill(observer, signal.SIGSTOP)  # so that records pile up unread
        for _ in range(20):
            guest = server.guest()
            guest.greet(b"X")
            guest.leave()
        os.kill(observer, signal.SIGKILL)
        server.wait_for_status(
            lambda s: s["processes"]["observer"] not in (None, observer), "another observer"
        )
        server.guest().leave()


def test_an_observer_that_is_stopped_holds_up_neither_service_nor_stop() -> None:
    """It cannot write the last line: the supervisor does, and what else was to be written is lost."""
    with RunningServer() as server:
        os.kill(server.status()["processes"]["observer"], signal.SIGSTOP)
        server.guest().leave()
        server.process.terminate()
        server.process.wait(PATIENCE_S)
        server.tally.connections = server.tally.messages = 0


def test_access_logs_are_reopened_on_request() -> None:
    """After USR1 records go to the new file; no line is lost or split."""
    with RunningServer() as server:
        server.guest().leave()
        wait_until(lambda: len(server.records()) == 1, "the record is written")
        old = server.access_log.with_suffix(".1")
        server.access_log.rename(old)
        os.kill(server.pid, signal.SIGUSR1)

        def reopened() -> bool:
            server.guest().leave()
            return server.access_log.exists()

        wait_until(reopened, "the file is there again")
        server.wait_for_status(lambda s: s["pool"]["busy"] == 0, "all have left")
        wait_until(
            lambda: count_lines(old) + len(server.records()) == server.tally.connections, "all are written"
        )
        server.access_log.write_text(old.read_text() + server.access_log.read_text())


def count_lines(path: Path) -> int:
    return path.read_text().count("\n")


@pytest.mark.parametrize("where", ["closed", "full pipe", "full disk"])
def test_a_log_that_takes_nothing_does_not_touch_the_service(where: str, tmp_path: Path) -> None:
    """Stdout and stderr closed, a pipe that nobody reads, a full disk: serving goes on, and so does the stop."""
    reader, writer = os.pipe()
    ready, theirs = os.pipe()
    if where == "full disk":
        os.close(writer)
        writer = os.open("/dev/full", os.O_WRONLY)
    elif where == "full pipe":
        os.set_blocking(writer, False)
        with pytest.raises(BlockingIOError):
            while True:
                os.write(writer, bytes(65536))
    closing = 'exec "$@" >&- 2>&-' if where == "closed" else 'exec "$@"'
    argv = command("serve", "--bind", "127.0.0.1:0", "--control", "none", "--ready-fd", str(theirs))
    with subprocess.Popen(
        ["sh", "-c", closing, "sh", *argv, "--access-log", "-", "--log-level", "debug"],
        stdin=subprocess.DEVNULL,
        stdout=writer,
        stderr=writer,
        pass_fds=(theirs,),
    ) as process:
        os.close(theirs)
        os.close(writer)
        address = read_to_end(ready, "the server is ready").decode().removeprefix("listening on ").strip()
        for _ in range(20):
            with Guest(address) as guest:
                guest.welcome().greet(b"X")
                guest.leave()
        process.terminate()
        assert process.wait(PATIENCE_S) == 0
    os.close(ready)
    os.close(reader)


def test_workers_do_not_outlive_a_supervisor_that_is_killed() -> None:
    """Idle ones leave at once, a conversation is drained between messages, and the port is free for the next."""
    with RunningServer("--graceful-timeout", "2s") as server:
        guest = server.guest()
        guest.greet(b"before")
        server.kill_supervisor()
        guest.hear_the_end()
        wait_until(lambda: not server.processes(), "everything is gone", 1.0)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port)).close()
        with RunningServer(bind=(server.address,)) as second:
            second.guest().leave()
        server.tally.expect("drained")


def test_a_message_that_is_being_answered_survives_the_supervisor() -> None:
    """A slow answer that was begun is finished, within graceful_timeout, though nobody supervises any more."""
    with RunningServer("--delay", "500ms", "--graceful-timeout", "10s") as server:
        guest = server.guest()
        guest.say(b"slow")
        server.wait_for_stage("handler")
        server.kill_supervisor()
        guest.hear(b"Hello,slow")
        guest.hear_the_end()
        server.tally.expect("drained")


def test_the_port_is_free_for_a_successor_while_an_answer_is_finished(tmp_path: Path) -> None:
    """The survivor holds the listener's descriptor, but nobody waits in its queue any more."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with RunningServer(handler="tests.support.handlers:trouble") as server:
        guest = server.connect()
        guest.hear(b"ready\n")
        guest.say(b"wait %s\n" % bytes(fifo))
        hold = os.open(fifo, os.O_WRONLY)  # returns when the handler is there
        server.kill_supervisor()
        wait_until(lambda: not connects(server.port), "the port is closed", 1.0)
        with RunningServer(bind=(server.address,)) as second:
            second.guest().leave()
        os.close(hold)
        guest.hear(b"done\n")
        guest.hear_the_end()
        server.tally.expect("drained")


def connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


def test_what_is_stuck_is_killed_after_the_supervisor() -> None:
    """A handler that never ends has nobody left to judge it but the template, which waits for graceful_timeout."""
    with RunningServer("--graceful-timeout", "300ms", handler="tests.support.handlers:trouble") as server:
        guest = server.connect()
        guest.hear(b"ready\n")
        guest.say(b"loop\n")
        server.wait_for_status(lambda s: s["totals"]["messages"] == 1, "it has begun")
        server.kill_supervisor()
        guest.hear_a_cut()
        server.tally.connections, server.tally.messages = 0, 0  # nobody is left to write its record


def test_a_stopped_supervisor_does_not_kill_healthy_workers_when_it_wakes() -> None:
    """What looks late after a gap in its own ticks may only be unread: it looks again before it judges."""
    with RunningServer("--handler-timeout", "500ms", "--delay", "400ms") as server:
        guest = server.guest()
        os.kill(server.pid, signal.SIGSTOP)
        wait_until(lambda: psutil.Process(server.pid).status() == psutil.STATUS_STOPPED, "it is stopped")
        for _ in range(3):
            guest.greet(b"meanwhile")
        os.kill(server.pid, signal.SIGCONT)
        guest.greet(b"after")
        guest.leave()


JUMPING = """
import itertools, time
jumps = itertools.cycle([400 * 86400, -400 * 86400])
time.time = lambda now=time.time: now() + next(jumps)
time.time_ns = lambda now=time.time_ns: now() + next(jumps) * 10**9
"""


def test_a_wall_clock_that_jumps_moves_no_deadline(tmp_path: Path) -> None:
    """In every process, by years, at every look: who is late is cut, who is not is served, and all are told apart."""
    (tmp_path / "sitecustomize.py").write_text(JUMPING)
    flags = ("--workers", "2", "--message-timeout", "300ms", "--handler-timeout", "300ms", "--delay", "10ms")
    with RunningServer(*flags, framing="line", env={"PYTHONPATH": str(tmp_path)}) as server:
        calm, slow = server.guest(), server.guest()
        calm.greet(b"before")
        slow.say(b"half a ", messages=0)
        slow.hear_a_cut()
        server.tally.expect("message_timeout")
        control.request(server.control, {"command": "recycle"})
        calm.greet(b"after")
        calm.leave()
        records = wait_until(lambda: found if len(found := server.records()) == 2 else [], "both are booked")
        assert all(0.0 < record["duration_s"] < PATIENCE_S for record in records)
        assert max(abs(record["started"] - time.time()) for record in records) > 86400, "it did jump"


def test_a_second_server_on_the_port_harms_nobody() -> None:
    with RunningServer() as server:
        done = subprocess.run(
            command("serve", "--bind", server.address, "--control", "none"),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 1
        last = done.stderr.splitlines()[-1]
        assert server.address in last
        assert "in use" in last
        assert parse_address(server.address).port == server.port
        server.guest().leave()


def test_a_supervisor_that_is_killed_while_it_grows_leaves_nobody_behind() -> None:
    """Some are just being born: they find out that nobody supervises them, before or after they are ready."""
    with RunningServer("--min-spare", "8", "--max-spare", "64", "--graceful-timeout", "1s") as server:
        guests = [server.connect() for _ in range(24)]
        server.kill_supervisor()
        wait_until(lambda: not server.processes(), "everything is gone", 5.0)
        for guest in guests:
            guest.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port)).close()
        records = server.records()  # of those who were accepted, who may have been none
        server.tally.connections = len(records)


@needs_strace
def test_a_bug_of_the_supervisor_s_costs_a_log_line() -> None:
    """A call that fails where none is expected: it is told of, and the next turn goes on."""
    with RunningServer("--workers", "2") as server:
        server.announce("supervisor_failed")
        guest = server.guest()
        with failing(server.pid, "getsockopt", "ENOBUFS:when=1"):
            (event,) = server.wait_for_event("supervisor_failed")
            assert event["error"] == "OSError"
            assert event["frames"]
        guest.greet(b"as if nothing had been")
        server.tell_to_leave(server.worker_of(guest))
        guest.leave()
        server.wait_for_status(lambda s: s["pool"]["idle"] == 2, "it supervises")


@needs_strace
def test_a_bug_that_comes_back_at_every_turn_ends_the_service_in_order() -> None:
    """Workers are let go as if it had been killed: conversations are drained, nobody is left."""
    with RunningServer("--workers", "2", "--graceful-timeout", "2s") as server:
        guest = server.guest()
        guest.greet(b"before")

        def ended() -> bool:
            server.process.send_signal(signal.SIGCHLD)  # a turn for nothing
            return server.process.poll() is not None

        with failing(server.pid, "getsockopt", "ENOBUFS"):
            wait_until(ended, "it gives up")
            guest.hear_the_end()
        wait_until(lambda: not server.processes(), "nobody is left", 5.0)
        server.tally.expect("drained")
        server.announce_crash("OSError")
