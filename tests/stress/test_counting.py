"""The counting client sees each loss for what it is: else a proof of zero would prove nothing."""

import json
import socket
import subprocess
import sys
from collections.abc import Callable

import pytest

from benchmarks.results import Result
from tests.stress import __main__ as stress
from tests.support import ledger
from tests.support.counting_client import BANNER, Fate, Talk, converse
from tests.support.crowd import Counts, Crowd
from tests.support.effort import Effort
from tests.support.pace import span
from tests.support.repository import ROOT
from tests.support.scripted_server import ScriptedServer, port_nobody_listens_on, receive_exactly, reset

NAMES = (b"first", b"second")


def greeted(rest: Callable[[socket.socket], None]) -> Callable[[socket.socket], None]:
    """Welcome, one answer, then `rest` in place of the second."""

    def script(connection: socket.socket) -> None:
        connection.sendall(BANNER)
        receive_exactly(connection, b"first")
        connection.sendall(b"Hello,first")
        receive_exactly(connection, b"second")
        rest(connection)

    return script


def to_the_end(connection: socket.socket) -> None:
    connection.sendall(b"Hello,second")
    receive_exactly(connection, b"exit")


def close(connection: socket.socket) -> None:
    connection.close()


def say(words: bytes) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(words)


FATES = {
    "served": (greeted(to_the_end), Fate.OK, 3),
    "closed-before-the-banner": (close, Fate.RESET, 0),
    "reset-before-the-banner": (reset, Fate.RESET, 0),
    "half-a-banner": (say(b"Welc"), Fate.RESET, 0),
    "turned-away": (say(b"Error,the service is stopping\n"), Fate.TURNED_AWAY, 0),
    "half-a-refusal": (say(b"Error,the ser"), Fate.CUT, 0),
    "another-protocol": (say(b"220 mail ready\r\n"), Fate.WRONG, 0),
    "ended-between-messages": (greeted(close), Fate.ENDED, 1),
    "reset-in-conversation": (greeted(reset), Fate.CUT, 1),
    "half-an-answer": (greeted(say(b"Hello,sec")), Fate.CUT, 1),
    "another-answer": (greeted(say(b"Hello,seconX")), Fate.WRONG, 1),
}


@pytest.mark.parametrize(("script", "fate", "messages"), FATES.values(), ids=FATES)
def test_each_end_of_a_conversation_has_its_name(
    script: Callable[[socket.socket], None], fate: Fate, messages: int
) -> None:
    with ScriptedServer(script) as server:
        talk = converse(server.address.port, NAMES)
    assert (talk.fate, talk.messages) == (fate, messages)


def test_a_closed_port_is_a_refusal() -> None:
    with port_nobody_listens_on() as port:
        assert converse(port, NAMES).fate is Fate.REFUSED


def test_the_longest_wait_is_measured() -> None:
    def slowly(connection: socket.socket) -> None:
        span(0.05)
        connection.sendall(b"Hello,second")

    with ScriptedServer(greeted(slowly)) as server:
        talk = converse(server.address.port, NAMES)
    assert talk.longest_s >= 0.05 > talk.greeted_s


def test_a_slow_answer_is_a_stall_and_a_slow_refusal_is_none() -> None:
    counts = Counts()
    for fate, longest_s in ((Fate.OK, 0.1), (Fate.OK, 0.25), (Fate.ENDED, 0.3), (Fate.REFUSED, 3.0)):
        counts = counts.plus(Talk(fate, 0, longest_s))
    counts = counts.plus(Talk(Fate.OK, 0, 0.4, greeted_s=0.4))
    assert (counts.stalls, counts.late, counts.longest_us) == (3, 1, 400_000)


def test_a_crowd_counts_what_its_processes_do() -> None:
    scripts = [greet_anybody, reset, greet_anybody, close, greet_anybody]
    server = ScriptedServer(*scripts)
    with Crowd(server.address.port, 1, seed=1, leaves_after=(Fate.OK, 3)) as crowd, server:
        counts = crowd.see_off()
    assert (counts.ok, counts.reset, counts.lost, counts.greeted) == (3, 2, 2, 3)


def greet_anybody(connection: socket.socket) -> None:
    connection.sendall(BANNER)
    while (name := connection.recv(1024)) != b"exit":
        connection.sendall(b"Hello," + name)


def test_crowds_add_up() -> None:
    one, other = Counts(ok=3, cut=1, longest_us=7), Counts(ok=2, ended=1, longest_us=5)
    assert one.plus_all(other) == Counts(ok=5, cut=1, ended=1, longest_us=7)


def test_an_operation_ends_at_its_goal_or_when_its_time_is_up() -> None:
    by_goal = Effort(short=True).course("x", 100, 3)
    assert [by_goal.wants(done) for done in (0, 2, 3)] == [True, True, False]
    by_time = Effort(seconds=0.0).course("x", 100, 3)
    assert not by_time.wants(0)


@pytest.mark.parametrize(("lost", "code"), [(0, 0), (1, 1)])
def test_a_broken_bound_is_the_exit_code(
    lost: int, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def operation(_: Effort) -> Result:
        result = ledger.report("made up")
        ledger.enter(result, "made up", "nothing", Counts(ok=5, cut=lost))
        result.judge("conversations lost", lost, 0)
        return result

    monkeypatch.setitem(stress.OPERATIONS, "retire", operation)
    assert stress.main(["--only", "retire", "--json"]) == code
    assert json.loads(capsys.readouterr().out)["retire"]["ok"] is (code == 0)


def test_an_operation_that_cannot_be_made_is_a_broken_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    def operation(_: Effort) -> Result:
        raise AssertionError("no server")

    monkeypatch.setitem(stress.OPERATIONS, "retire", operation)
    assert stress.main(["--only", "retire"]) == 1


@pytest.mark.alone
def test_the_quiet_server_for_a_second() -> None:
    """The whole of it once: a server, clients, signals, and both books."""
    command = [sys.executable, "-m", "tests.stress", "--only", "quiet", "--seconds", "1", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["quiet"]["rows"]
    assert {row[0] for row in rows} >= {"quiet, SIGTERM", "quiet, SIGKILL"}
    assert all(row[2] > 0 for row in rows)
