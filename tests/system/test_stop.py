"""How a service ends: whom it waits for, whom it drains, whom it cuts, and what it then says."""

import signal
import socket

import pytest

from tests.support.server import RunningServer
from tests.support.wait import PATIENCE_S, wait_until

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
        server.announce("worker_died", code=3, last_line="stopped by SIGINT; 1 conversations were cut")
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
        server.announce("worker_died", code=3, last_line="stopped by SIGTERM; 1 conversations were cut")
        server.process.terminate()
        guest.hear_a_cut()
        server.process.wait(PATIENCE_S)


def test_each_further_signal_makes_it_faster() -> None:
    """TERM waits for graceful_timeout, the next TERM a second, the one after it not at all."""
    with RunningServer("--graceful-timeout", "60s", handler=TROUBLE) as server:
        guest = server.connect()
        guest.hear(b"ready\n")
        guest.say(b"work 60\n")
        server.wait_for_status(lambda s: s["totals"]["messages"] == 1, "it has begun")
        server.announce("worker_died", "stop_hastened", code=3)
        server.announce(last_line="stopped by SIGTERM; 1 conversations were cut")
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
        guest = server.guest()
        guest.say(b"slow")
        server.wait_for_status(
            lambda s: "handler" in {w["stage"] for w in s["workers"]}, "it works on the answer"
        )
        for _ in range(100):
            server.process.send_signal(signal.SIGTERM)
            server.process.send_signal(signal.SIGCHLD)
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
