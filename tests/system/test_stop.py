"""How a service ends: whom it waits for, whom it drains, whom it cuts, and what it then says."""

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from procserver.clients import control as control_client
from procserver.clients.control import ControlError
from tests.support.changing import ChangingServer
from tests.support.clients import Guest
from tests.support.counting_client import Fate
from tests.support.crowd import Crowd
from tests.support.injection import without_descriptors
from tests.support.server import RunningServer, command, run_to_end
from tests.support.wait import PATIENCE_S, read_to_end, wait_until

TROUBLE = "tests.support.handlers:trouble"


def test_term_drains_idle_conversations_and_finishes_busy_ones() -> None:
    """The idle client sees FIN, the other one its answer first; exit code 0."""
    with RunningServer("--delay", "300ms") as server:
        idle, busy = server.guest(), server.guest()
        busy.say(b"slow")
        server.wait_for_status(
            lambda s: "handler" in {w["stage"] for w in s["workers"]}, "it works on the answer"
        )
        server.process.terminate()
        idle.hear_the_end()
        busy.hear(b"Hello,slow")
        busy.hear_the_end()
        server.process.wait(PATIENCE_S)
        server.tally.expect("drained", 2)


def test_term_serves_the_queue_and_refuses_the_late() -> None:
    """Who had connected before the stop is greeted, and what they had sent is answered; then the port is closed."""
    with RunningServer("--workers", "1", framing="line") as server:
        server.announce("saturated")
        first = server.guest()
        queued = [server.connect() for _ in range(5)]
        for guest in queued:
            guest.say(b"early\n")
        server.wait_for_event("saturated")
        server.process.terminate()
        first.hear_the_end()
        for guest in queued:
            guest.welcome()
            guest.hear(b"Hello,early\n")
            guest.hear_the_end()
        server.process.wait(PATIENCE_S)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port)).close()
        server.tally.expect("drained", 6)


PARTING = """
class handle:
    def handle(self, conn):
        conn.send(b"one\\n")
        for line in conn.lines():
            conn.send(b"one:" + line + b"\\n")
    def goodbye(self, conn):
        conn.send(b"goodbye\\n")
"""


def test_a_handler_may_say_goodbye_to_whom_a_stop_sends_away() -> None:
    """To nobody else: not to who ends by itself, nor in a worker that is merely replaced."""
    with ChangingServer(settings="workers = 3") as server:
        server.write_code(PARTING)
        assert server.order("reload").returncode == 0
        leaving, renewed = server.meet("one"), server.meet("one")
        leaving.half_close()
        leaving.hear_the_end()
        server.tell_to_leave(server.worker_of(renewed))
        server.chat(renewed, "one")
        renewed.half_close()
        renewed.hear_the_end()
        stayed = server.meet("one")
        server.process.terminate()
        stayed.hear(b"goodbye\n")
        stayed.hear_the_end()
        server.process.wait(PATIENCE_S)


def test_a_unix_socket_s_queue_is_served_at_a_stop(tmp_path: Path) -> None:
    """Its name is removed at once, so nobody new finds it; who had connected is greeted."""
    path = tmp_path / "socket"
    with RunningServer("--workers", "1", "--delay", "300ms", bind=(f"unix:{path}",)) as server:
        server.tolerate("saturated")
        first = server.guest()
        first.say(b"busy")
        server.wait_for_stage("handler")
        queued = server.connect()
        server.process.terminate()
        wait_until(lambda: not path.exists(), "nobody can find it any more")
        first.hear(b"Hello,busy")
        first.hear_the_end()
        queued.welcome().hear_the_end()
        server.process.wait(PATIENCE_S)
        server.tally.expect("drained", 2)


def test_a_message_that_was_begun_keeps_its_deadline_through_a_stop() -> None:
    """Who ends it in time is answered; who does not is cut by message_timeout, long before graceful_timeout."""
    deadlines = ("--message-timeout", "2s", "--graceful-timeout", "60s")
    with RunningServer(*deadlines, "--workers", "2", framing="line") as server:
        prompt, slow = server.guest(), server.guest()
        for guest in (prompt, slow):
            guest.say(b"half a ", messages=0)
        server.wait_for_status(lambda s: {w["stage"] for w in s["workers"]} == {"message"}, "both have begun")
        server.process.terminate()
        server.wait_for_status(lambda s: s["supervisor"]["state"] == "draining", "it drains")
        prompt.say(b"message\n")
        prompt.hear(b"Hello,half a message\n")
        prompt.hear_the_end()
        slow.hear_a_cut()
        server.process.wait(PATIENCE_S)
        server.tally.expect("drained")
        server.tally.expect("message_timeout")


def test_what_was_sent_before_the_stop_is_answered() -> None:
    """A pipelined conversation is not cut in the middle: all answers come, then FIN."""
    with RunningServer("--delay", "100ms", framing="line") as server:
        guest = server.guest()
        guest.say(b"one\ntwo\nthree\n", messages=3)
        guest.hear(b"Hello,one\n")
        server.process.terminate()
        guest.hear(b"Hello,two\nHello,three\n")
        guest.hear_the_end()
        server.process.wait(PATIENCE_S)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_a_quick_stop_with_nothing_to_cut(number: signal.Signals) -> None:
    """Idle conversations are drained all the same; nothing had to be cut, so the exit code is 0."""
    with RunningServer() as server:
        guest = server.guest()
        server.announce(last_line=f"stopped by {number.name}")
        server.process.send_signal(number)
        guest.hear_the_end()
        server.process.wait(PATIENCE_S)
        server.tally.expect("drained")


def test_a_quick_stop_cuts_who_does_not_finish() -> None:
    with RunningServer(handler=TROUBLE) as server:
        guest = server.connect()
        guest.hear(b"ready\n")
        guest.say(b"work 60\n")
        server.wait_for_status(lambda s: s["totals"]["messages"] == 1, "it has begun")
        server.announce("worker_died", code=3, last_line="stopped by SIGINT; conversations cut: 1")
        server.process.send_signal(signal.SIGINT)
        guest.hear_a_cut()
        server.process.wait(PATIENCE_S)
        server.tally.expect("killed:SIGKILL")


def test_who_does_not_finish_within_graceful_timeout_is_cut() -> None:
    with RunningServer("--graceful-timeout", "300ms", handler=TROUBLE) as server:
        guest = server.connect()
        guest.hear(b"ready\n")
        guest.say(b"loop\n")
        server.wait_for_status(lambda s: s["totals"]["messages"] == 1, "it has begun")
        server.announce("worker_died", code=3, last_line="stopped by SIGTERM; conversations cut: 1")
        server.process.terminate()
        guest.hear_a_cut()
        server.process.wait(PATIENCE_S)


def test_who_cannot_hear_of_the_stop_is_ended_and_nothing_is_cut() -> None:
    """An idle worker that is stopped: it holds nobody's conversation, so the stop is a clean one."""
    with RunningServer("--graceful-timeout", "500ms", "--workers", "2") as server:
        server.announce("worker_died")
        server.wait_for_status(lambda s: s["pool"]["idle"] == 2, "both are ready")
        os.kill(server.workers()[0]["pid"], signal.SIGSTOP)
        server.process.terminate()
        server.process.wait(PATIENCE_S)
        assert server.events("worker_died")[0]["reason"] == "stop"


def test_each_further_signal_makes_it_faster() -> None:
    """TERM waits for graceful_timeout, the next TERM a second, the one after it not at all."""
    with RunningServer("--graceful-timeout", "60s", handler=TROUBLE) as server:
        guest = server.connect()
        guest.hear(b"ready\n")
        guest.say(b"work 60\n")
        server.wait_for_status(lambda s: s["totals"]["messages"] == 1, "it has begun")
        server.announce("worker_died", "stop_hastened", code=3)
        server.announce(last_line="stopped by SIGTERM; conversations cut: 1")
        server.process.terminate()
        server.wait_for_event("stopping")

        def hurried() -> bool:
            server.process.terminate()
            return bool(server.events("stop_hastened"))

        wait_until(hurried, "it hurries")  # a storm is one request: repeated until it counts as a second
        guest.hear_a_cut()
        server.process.wait(PATIENCE_S)
        assert server.events("stop_hastened")[0]["mode"] == "quick"


def test_a_storm_of_terms_is_one_orderly_stop() -> None:
    with RunningServer("--delay", "300ms") as server:
        server.tolerate("reload_failed")  # of signals that wait together, the kernel delivers HUP before TERM
        guest = server.guest()
        guest.say(b"slow")
        server.wait_for_status(
            lambda s: "handler" in {w["stage"] for w in s["workers"]}, "it works on the answer"
        )
        for _ in range(100):
            for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP):
                server.process.send_signal(number)
        guest.hear(b"Hello,slow")
        guest.hear_the_end()
        server.process.wait(PATIENCE_S)
        assert len(server.events("stopping")) == 1


def test_a_hangup_where_there_never_was_a_terminal_is_a_reload() -> None:
    """As under systemd; only a terminal that is gone stops the service."""
    with RunningServer() as server:
        guest = server.guest()
        server.process.send_signal(signal.SIGHUP)
        server.wait_for_event("reloaded")
        guest.greet(b"before, and after")
        guest.leave()


def test_drain_delay_goes_on_serving_and_says_so() -> None:
    """For load balancers: not ready, but new connections are still taken."""
    with RunningServer("--drain-delay", "500ms") as server:
        server.process.terminate()
        server.wait_for_status(lambda s: s["supervisor"]["state"] == "draining", "it says so")
        server.guest().leave()
        server.process.wait(PATIENCE_S)


def test_in_drain_delay_all_goes_on_but_nothing_is_begun() -> None:
    """Who leaves is replaced; operators are told why not; a stronger stop ends the delay."""
    with RunningServer("--drain-delay", "60s", "--workers", "2") as server:
        server.announce("stop_hastened")
        server.process.terminate()
        server.wait_for_status(lambda s: s["supervisor"]["state"] == "draining", "it says so")
        for command in ("reload", "recycle", "scale", "upgrade"):
            with pytest.raises(ControlError, match="stop"):
                control_client.request(server.control, {"command": command, "workers": 3})
        leaver = server.workers()[0]["pid"]
        server.tell_to_leave(leaver)
        server.wait_for_status(
            lambda s: s["pool"]["idle"] == 2 and leaver not in {w["pid"] for w in s["workers"]},
            "another came",
        )
        server.guest().leave()
        server.process.send_signal(signal.SIGINT)
        server.process.wait(PATIENCE_S)


def test_status_is_answered_while_draining() -> None:
    with RunningServer("--delay", "500ms") as server:
        guest = server.guest()
        guest.say(b"slow")
        server.wait_for_status(
            lambda s: "handler" in {w["stage"] for w in s["workers"]}, "it works on the answer"
        )
        server.process.terminate()
        found = server.wait_for_status(lambda s: s["supervisor"]["state"] == "draining", "it drains")
        assert found["pool"]["busy"] == 1
        guest.hear(b"Hello,slow")
        guest.hear_the_end()
        server.process.wait(PATIENCE_S)
        assert not server.control.exists()


def test_clients_that_never_speak_do_not_delay_a_stop() -> None:
    with RunningServer() as server:
        guests = [server.guest() for _ in range(21)]
        server.process.terminate()
        for guest in guests:
            guest.hear_the_end()
        server.process.wait(PATIENCE_S)
        server.tally.expect("drained", 21)


def queue_up(server: RunningServer, count: int) -> list[Guest]:
    """So many guests wait behind one that keeps the only worker busy."""
    first = server.guest()
    first.say(b"busy")
    server.wait_for_stage("handler")
    waiting = [server.connect() for _ in range(count)]
    server.wait_for_status(lambda s: s["queue"]["depth"] == count, f"{count} wait")
    server.tolerate("saturated")
    return [first, *waiting]


def test_who_still_waits_at_graceful_timeout_is_told_why_not() -> None:
    """Nobody could serve them: they are refused in the protocol's words, and counted."""
    with RunningServer("--workers", "1", "--delay", "60s", "--graceful-timeout", "500ms") as server:
        first, *waiting = queue_up(server, 3)
        server.announce("worker_died", code=3, last_line="stopped by SIGTERM; conversations cut: 1")
        server.process.terminate()
        for guest in waiting:
            guest.hear(b"Error,the service is stopping\n")
            guest.hear_the_end()
        first.hear_a_cut()
        server.process.wait(PATIENCE_S)
        server.tally.expect("refused", 3)
        server.tally.expect("killed:SIGKILL")


def test_a_quick_stop_refuses_who_waits() -> None:
    """The conversation may finish within the second; whoever comes after it is not served any more."""
    with RunningServer("--workers", "1", "--delay", "300ms") as server:
        first, *waiting = queue_up(server, 3)
        server.announce(last_line="stopped by SIGINT")
        server.process.send_signal(signal.SIGINT)
        first.hear(b"Hello,busy")
        first.hear_the_end()
        for guest in waiting:
            guest.hear(b"Error,the service is stopping\n")
            guest.hear_the_end()
        server.process.wait(PATIENCE_S)
        server.tally.expect("refused", 3)
        server.tally.expect("drained")


def test_the_stop_command_returns_when_the_server_is_gone() -> None:
    with RunningServer("--delay", "300ms") as server:
        guest = server.guest()
        guest.say(b"slow")
        server.wait_for_stage("handler")
        server.announce(last_line="stopped by an operator")
        done = run_to_end("stop", "--control", str(server.control))
        assert (done.stdout, done.stderr, done.returncode) == ("stopped by an operator\n", "", 0)
        guest.hear(b"Hello,slow")
        guest.hear_the_end()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port)).close()
        assert not server.control.exists()
        server.process.wait(1.0)


def test_stop_now_gives_a_second_and_tells_what_was_cut() -> None:
    """The command ends as the server does."""
    with RunningServer("--delay", "60s") as server:
        guest = server.guest()
        guest.say(b"slow")
        server.wait_for_stage("handler")
        server.announce("worker_died", code=3, last_line="stopped by an operator; conversations cut: 1")
        done = run_to_end("stop", "--now", "--json", "--control", str(server.control))
        assert done.returncode == 3
        assert json.loads(done.stdout) == {"ok": False, "text": server.last_line, "exit_code": 3}
        guest.hear_a_cut()
        server.process.wait(PATIENCE_S)


def test_everybody_who_asked_for_the_stop_is_answered() -> None:
    """A second one makes it faster; both are told how it ended."""
    with ChangingServer("--graceful-timeout", "60s") as server:
        server.write_code("def handle(conn):\n    conn.send(b'one\\n')\n    conn.sleep(60)\n")
        assert server.order("reload").returncode == 0
        guest = server.meet("one")
        server.announce("stop_hastened", "worker_died", code=3)
        server.announce(last_line="stopped by an operator; conversations cut: 1")
        with server.ordering("stop") as patient:
            server.wait_for_event("stopping")
            hasty = server.order("stop", "--now")
        guest.hear_a_cut()
        assert patient.returncode == hasty.returncode == 3
        assert patient.stdout == hasty.stdout


@pytest.mark.parametrize("flags", [("--workers", "2"), ("--min-spare", "1", "--max-spare", "4")])
def test_a_stop_under_looping_clients_loses_nobody(flags: tuple[str, ...]) -> None:
    """Each is served, ended between two messages, or refused: nobody is accepted and not greeted."""
    with RunningServer(*flags) as server:
        server.tolerate("saturated")
        with Crowd(server.port, 6, seed=2, leaves_after=(Fate.REFUSED, 1)) as crowd:
            server.wait_for_status(lambda _: crowd.talks > 50, "they talk")
            server.process.terminate()
            server.process.wait(PATIENCE_S)
            counts = crowd.see_off()
        assert counts.refused == 6
        assert (counts.reset, counts.cut, counts.hung, counts.wrong) == (0, 0, 0, 0)
        # Who says farewell just as it is drained hears what it expects, the end.
        assert counts.ended <= [record["outcome"] for record in server.records()].count("drained")
        server.tally.connections = counts.greeted
        server.tally.messages = sum(record["messages"] for record in server.records())


def test_a_terminal_that_is_closed_stops_the_server_that_was_started_in_it(tmp_path: Path) -> None:
    """While it is there, HUP is a reload; when the window is closed, the kernel sends HUP, and that is a stop."""
    terminal, theirs = os.openpty()
    ready, its = os.pipe()
    control, log = tmp_path / "control.sock", tmp_path / "log"
    serve = command("serve", "--bind", "127.0.0.1:0", "--control", str(control), "--ready-fd", str(its))
    with log.open("wb") as output:
        server = subprocess.Popen(
            ["setsid", "--ctty", *serve], stdin=theirs, stdout=output, stderr=output, pass_fds=(its,)
        )
    with server:
        os.close(its)
        os.close(theirs)
        read_to_end(ready, "the server is ready")
        os.close(ready)
        server.send_signal(signal.SIGHUP)
        wait_until(lambda: "reloaded" in log.read_text(), "it is reloaded")
        with without_descriptors(server.pid):  # nor can the terminal be opened
            server.send_signal(signal.SIGHUP)
            wait_until(lambda: "reload failed" in log.read_text(), "it tries, and goes on")
        os.close(terminal)
        assert server.wait(PATIENCE_S) == 0
    assert "stopped: the terminal was closed (exit code 0)" in log.read_text()
