"""`python -m loadtest cost`: servers whose connections cost what is known, in any protocol; and what has no answer."""

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from loadtest.answers.cost.answer import QUANTITIES
from tests.support.loadtest_runs import Finished, fake_server, loadtest
from tests.support.repository import ROOT

DIALOGUES = ROOT / "examples" / "dialogues"
MIB = 1 << 20
STEPS = ("--steps", "2,4,6,8,10,12", "--hold", "200ms", "--heartbeat", "100ms")


def cost(folder: Path, serve: str, *options: str) -> tuple[Finished, dict[str, Any]]:
    return cost_of(folder, "--serve", serve, *options)


def cost_of(folder: Path, *options: str) -> tuple[Finished, dict[str, Any]]:
    done = loadtest("cost", *STEPS, "--results", str(folder), *options)
    path = folder / "answer.json"
    return done, json.loads(path.read_text()) if path.exists() else {}


def beyond_lines(notes: list[str]) -> list[str]:
    """Notes but for those on a single line: other programs bend that of CPU, or of memory that they share."""
    names = tuple(words.strip() for _, words in QUANTITIES.values())
    return [note for note in notes if not note.startswith(names)]


def test_a_mebibyte_for_each_connection_is_found(tmp_path: Path) -> None:
    """Within 5 %: between a handler that writes one and the same that does not."""
    slopes = {}
    for name in ("Keeping", "KeepingMiB"):
        done, answer = cost(tmp_path / name, f"benchmarks.greeters:{name} --workers 14")
        assert (done.exit_code, answer["verdict"]) == (0, "answered"), done
        slopes[name] = answer["lines"]["data"]["slope"]
        assert answer["lines"]["fds"]["slope"] == pytest.approx(1)
        assert answer["lines"]["processes"]["slope"] == 0
        assert answer["parts"]["pool"] == "static"
        assert answer["parts"]["worker_bytes"] > 0
        assert "COST  a connection costs" in done.out
        assert "Plotly.newPlot" in (tmp_path / name / "report.html").read_text()
    assert slopes["KeepingMiB"] - slopes["Keeping"] == pytest.approx(MIB, rel=0.05)


def test_with_an_elastic_pool_a_connection_brings_its_worker(tmp_path: Path) -> None:
    """The price has the worker in it, and both parts are told apart; the answer is printed as it is stored."""
    done, answer = cost(tmp_path / "r", "--framing line", "--json")
    assert done.exit_code == 0, done
    assert json.loads(done.out) == answer
    assert answer["lines"]["processes"]["slope"] == pytest.approx(1, abs=0.01)
    parts = answer["parts"]
    assert parts["pool"] == "elastic"
    assert parts["worker_bytes"] + parts["connection_bytes"] == pytest.approx(parts["both_bytes"])
    assert [step["connections"] for step in answer["steps"]] == [2, 4, 6, 8, 10, 12]
    assert all(step["turns"] >= 2 * step["connections"] for step in answer["steps"])


def test_a_protocol_of_ones_own_has_a_price(tmp_path: Path) -> None:
    """Over a UNIX socket, as its dialogue says, which is read once; all that was said is what the server counted."""
    pipe, text = tmp_path / "redis.toml", (DIALOGUES / "redis.toml").read_text()
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(text,), daemon=True)
    writer.start()
    done, answer = cost(
        tmp_path / "r", f"tests.support.talkers:redis --workers 14 --bind unix:{tmp_path / 's'}",
        "--dialogue", str(pipe),
    )  # fmt: skip
    writer.join()
    assert (done.exit_code, beyond_lines(answer["notes"])) == (0, []), done
    assert answer["lines"]["fds"]["slope"] == pytest.approx(1)
    for name in ("cpu_connect", "cpu_turn"):
        assert answer["lines"][name]["slope"] > 0
    assert all(step["turns"] >= 2 * step["connections"] for step in answer["steps"])


def test_what_a_turn_costs_is_not_guessed_where_none_can_be_taken(tmp_path: Path) -> None:
    """A mail server's connections end after some turns: they are held before the first."""
    done, answer = cost(
        tmp_path / "r", "tests.support.talkers:smtp --workers 14", "--dialogue", str(DIALOGUES / "smtp.toml")
    )
    assert done.exit_code == 0, done
    (note,) = beyond_lines(answer["notes"])
    assert "the cost of a turn is not known" in note
    assert note in done.out
    assert "cpu_turn" not in answer["lines"]
    assert answer["lines"]["fds"]["slope"] == pytest.approx(1)
    assert [step["turns"] for step in answer["steps"]] == [0] * 6


def test_a_connection_in_tls_is_held_like_any_other(certificates: Path, tmp_path: Path) -> None:
    """Of a server that is no procserver and runs already; one whose certificate is not trusted is not spoken to."""
    with fake_server("line", "--certificate", str(certificates / "server.pem")) as fake:
        host = fake.host.replace("tcp://127.0.0.1", "tls://localhost")
        told = ("--host", host, "--pid", str(fake.process.pid), "--framing", "line")
        done, answer = cost_of(tmp_path / "r", *told, "--tls-ca", str(certificates / "ca.pem"))
        distrusted, nothing = cost_of(tmp_path / "no", *told)
        counts = fake.counts()
    assert answer["verdict"] != "invalid", done
    assert answer["lines"]["fds"]["slope"] == pytest.approx(1)
    assert answer["parts"]["worker_bytes"] is None
    turns = sum(step["turns"] for step in answer["steps"])
    assert counts["messages"] == 12 + turns
    assert (distrusted.exit_code, nothing["verdict"]) == (4, "invalid")
    assert "connection 1 was not served" in nothing["reasons"][0]
    assert "CERTIFICATE_VERIFY_FAILED" in nothing["reasons"][0]


def test_connections_that_do_not_live_make_no_price(tmp_path: Path) -> None:
    """A server that hangs up after a while is not measured: exit 4, and the reason."""
    done, answer = cost(tmp_path / "r", "--workers 14 --connection-timeout 0.5")
    assert done.exit_code == 4
    assert answer["verdict"] == "invalid"
    assert "a connection was lost while it was held" in answer["reasons"][0]


@pytest.mark.parametrize(
    ("serve", "options", "code", "said"),
    [
        ("--workers 11", (), 2, "12 connections, but the server serves at most 11 at once"),
        ("--workers 14", ("--steps", "1,2,3"), 2, "a slope needs 5 steps besides the first 1"),
        ("--workers 14", ("--steps", "few"), 2, "write numbers of connections"),
        ("--no-such-flag", (), 1, "No such option"),
        ("", ("--tls-insecure",), 2, "they are for --host tls://HOST:PORT"),
        (
            "",
            ("--dialogue", str(DIALOGUES / "smtp.toml"), "--framing", "raw"),
            2,
            "with --dialogue its file says it",
        ),
        ("", ("--dialogue", "nowhere.toml"), 2, "nowhere.toml: No such file"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    serve: str, options: tuple[str, ...], code: int, said: str, tmp_path: Path
) -> None:
    """Before the first connection, and with the reason in the last line."""
    done, answer = cost(tmp_path / "r", serve, *options)
    assert (done.exit_code, answer) == (code, {}), done
    assert said in done.last_line
