"""Dialogues out of files, held with real servers: the examples as they stand, and peers that break them."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from loadtest.workload.dialogue.file import FILE_BYTES_MAX
from tests.support.loadtest_runs import document, loadtest, locust
from tests.support.repository import ROOT
from tests.support.scripted_server import ScriptedServer, receive_exactly

EXAMPLES = ROOT / "examples" / "dialogues"
SHORT = ("--connections", "4", "--warmup", "300ms", "--duration", "1s")
CLOSED, OPEN = ("--pacing", "20ms"), ("--rate", "50")


@pytest.mark.parametrize(
    ("example", "served", "loop", "per_round"),
    [
        ("greeting.toml", "", OPEN, {"message": 1}),
        ("redis.toml", "tests.support.talkers:redis", CLOSED, {"set": 10, "get": 10, "dbsize": 1}),
        ("smtp.toml", "tests.support.talkers:smtp", OPEN, {"mail": 1, "rcpt": 3, "data": 1, "body": 1}),
        ("length_prefixed.toml", "tests.support.talkers:frames", CLOSED, {"echo": 1, "burst": 1}),
    ],
)
def test_an_example_is_spoken_and_counted(
    example: str, served: str, loop: tuple[str, str], per_round: dict[str, int], tmp_path: Path
) -> None:
    """Each round is whole, every step is a request of its own, and the server has counted the same."""
    done = loadtest(
        "run", "--serve", f"{served} --workers 8", "--dialogue", str(EXAMPLES / example), *SHORT, *loop,
        "--threshold", "errors=0", "--threshold", "round.p50<5s", "--results", str(tmp_path / "r"),
    )  # fmt: skip
    run = document(tmp_path / "r")
    # On a busy machine the generator may be late; that is another matter, and said.
    assert not [why for why in run["reasons"] if "generator itself was late" not in why], done
    assert run["requests"]["round"]["planned"] == (50 if loop == OPEN else None)
    assert run["reconciled"]["exact"], run["reconciled"]
    assert ("messages" in run["reconciled"]["server"]) == (example != "length_prefixed.toml")
    whole = {
        name: row["ok"] + (row["warmup"]["ok"] if row["over"] == "measure" else 0)
        for name, row in run["requests"].items()
    }
    assert whole["round"] > 20
    assert {name: whole[name] for name in per_round} == {
        name: times * whole["round"] for name, times in per_round.items()
    }
    if example == "smtp.toml":  # a connection for five rounds, but for the last
        assert whole["round"] / 5 <= whole["connect"] < whole["round"] / 5 + 5
        assert run["requests"]["round"]["service_us"]["min"] >= 20_000  # the pause is in it


def test_a_dialogue_may_be_as_long_as_a_file_of_one(tmp_path: Path) -> None:
    """It is longer than one argument of a program may be, and every process of the generator has it."""
    text = (EXAMPLES / "greeting.toml").read_text()
    path = tmp_path / "long.toml"
    path.write_text(text + "#" * (FILE_BYTES_MAX - len(text.encode())))
    done = loadtest(
        "run", "--serve", "--workers 8", "--dialogue", str(path), "--processes", "2", *SHORT, *CLOSED,
        "--threshold", "errors=0", "--results", str(tmp_path / "r"),
    )  # fmt: skip
    run = document(tmp_path / "r")
    assert run["requests"]["round"]["ok"] > 20, done
    assert run["reconciled"]["exact"], run["reconciled"]


FAULTS = r"""
framing = { kind = "line", max_bytes = 20 }
expect_match = 'hi (?P<token>\w+)'
refusal = "no,"

[[steps]]
name = "ask"
send = "{token} {n}"
expect_match = "fine"

[[steps]]
name = "known"
send = "x"
expect = ["a", "b"]
"""


def test_each_way_to_break_a_dialogue_is_told_in_its_own_words(tmp_path: Path) -> None:
    """A user that meets them one after another goes on, and none of them hangs or is taken for an answer."""

    def peer(*answers: bytes) -> Any:
        def script(conn: socket.socket) -> None:
            conn.sendall(answers[0])
            for due, answer in zip((b"t ", b"x\n"), answers[1:], strict=False):
                receive_exactly(conn, due)
                while due == b"t " and conn.recv(1) != b"\n":
                    continue
                for byte in answer:  # a segment each, or as the kernel likes
                    conn.sendall(bytes([byte]))
            conn.shutdown(socket.SHUT_WR)
            while conn.recv(4096):
                continue

        return script

    greeting = b"hi t\n"
    peers = [
        (peer(b"hello\n"), "connect", "it does not match"),
        (peer(b"x" * 40), "connect", "no b'\\n' within 20 bytes"),
        (peer(b"no, full\n"), "connect", "refused: no, full"),
        (peer(greeting, b"bad\n"), "ask", "it does not match"),
        (peer(greeting, b"no, never\n"), "ask", "refused: no, never"),
        (peer(greeting, b"fi"), "ask", "closed by the server"),
        (peer(greeting, b"fine\nmore\n"), "known", "the server sent something that no step expects"),
        (peer(greeting, b"fine\n", b"a\nc\n"), "known", "wrong answer: byte 2 is b'c', expected was b'b'"),
        (peer(greeting, b"fine\n", b"a\nb\n"), "ask", "closed by the server"),
    ]
    (tmp_path / "talk.toml").write_text(FAULTS)
    account = tmp_path / "account.json"
    with ScriptedServer(*(script for script, _, _ in peers)) as server:
        done = locust(
            "-f", "loadtest/dialogue_user.py", "--dialogue", str(tmp_path / "talk.toml"),
            "--host", f"tcp://{server.address}", "-u", "1", "--pacing", "1ms", "--measure", "3s",
            "--account", str(account), "--stop-timeout", "1s",
        )  # fmt: skip
    assert done.exit_code == 1, done  # there were failures
    phases = json.loads(account.read_text())["stats"]["phases"].values()
    for _, name, error in peers:
        assert any(error in phase.get(name, {}).get("errors", ()) for phase in phases), (name, error)
    rounds = [phase["round"] for phase in phases if "round" in phase]
    assert any(entry["ok"]["counts"] for entry in rounds)
    assert sum(entry["errors"].get("see its steps", 0) for entry in rounds) == 6


def test_a_dialogue_that_is_wrong_starts_nothing(tmp_path: Path) -> None:
    """Exit code 2, and the place: for our command and for Locust's."""
    path = tmp_path / "talk.toml"
    path.write_text('[[steps]]\nname = "ask"\nsend = "{who}"\n')
    says = f"{path}:3: steps[0].send '{{who}}': no placeholder {{who}}"
    for done in (
        loadtest("run", "--serve", "", "--dialogue", str(path), "--results", str(tmp_path / "r")),
        locust("-f", "loadtest/dialogue_user.py", "--dialogue", str(path)),
    ):
        assert done.exit_code == 2, done
        assert says in done.err
    assert "--dialogue FILE is missing" in locust("-f", "loadtest/dialogue_user.py").err
    conflict = loadtest("run", "--serve", "", "--dialogue", str(EXAMPLES / "redis.toml"), "--user", "connect")
    assert (conflict.exit_code, "--user connect: " in conflict.err) == (2, True)
