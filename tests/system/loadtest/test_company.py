"""Scenarios with others beside those who talk: idle, storming, slow, hostile; what the honest see of them is judged."""

from pathlib import Path
from typing import Any

from tests.support.loadtest_runs import document, loadtest
from tests.support.repository import ROOT

STRICT = "--workers 24 --framing line --idle-timeout 1 --message-timeout 1 --write-timeout 1"


HALF = ("--connections", "12", "--beside", "50%", "--warmup", "500ms", "--pacing", "20ms")


def run(tmp_path: Path, serve: str, *args: str) -> dict[str, Any]:
    """A run that passes, and whose books agree; its document."""
    done = loadtest("run", "--serve", serve, *HALF, *args, "--results", str(tmp_path / "r"))
    assert done.exit_code == 0, done
    found = document(tmp_path / "r")
    assert found["reconciled"]["ok"], found["reconciled"]
    assert f"6 connections are of the scenario '{found['settings']['scenario']}'" in done.out
    return found


def whole(found: dict[str, Any], name: str, end: str = "ok") -> int:
    row = found["requests"][name]
    return int(row[end] + (row["warmup"][end] if row["over"] == "measure" else 0))


def outcomes(found: dict[str, Any]) -> set[str]:
    return {name for name, count in found["server"]["tallies"]["after"]["outcomes"].items() if count}


def test_slow_ones_are_cut_off_and_the_honest_served(tmp_path: Path) -> None:
    """Who never reads, sips, or dribbles is seen by the server as such; that is no error of the others."""
    found = run(tmp_path, STRICT, "--scenario", "slow", "--duration", "5s", "--threshold", "errors=0")
    assert outcomes(found) >= {"write_timeout", "idle_timeout", "message_timeout", "eof"}
    assert whole(found, "slow.deaf") > 0
    assert whole(found, "slow.dribble") > 0
    assert whole(found, "slow.sip", "censored") + whole(found, "slow.sip") == 2
    connected = whole(found, "connect") + whole(found, "slow.connect")
    assert found["reconciled"]["server"]["connections"] == connected


def test_hostile_ones_are_bounded_in_the_books(tmp_path: Path) -> None:
    """Silence, resets, half messages, floods and garbage: each is told, and none hurts the honest."""
    found = run(tmp_path, STRICT, "--scenario", "hostile", "--duration", "3s", "--threshold", "errors=0")
    assert outcomes(found) >= {"reset", "too_long", "idle_timeout", "eof"}
    for act in ("abort", "vanish", "half_close", "oversize", "garbage"):
        assert whole(found, f"hostile.{act}") > 0, act
    books = found["reconciled"]
    for what in ("connections", "messages"):
        assert (
            books["client"][what]
            <= books["server"][what]
            <= books["client"][what] + books["unconfirmed"][what]
        )
    assert books["unconfirmed"]["connections"] == whole(found, "hostile.unheard")


def test_a_storm_of_reconnects_leaves_no_connection_out(tmp_path: Path) -> None:
    """From two processes at the same moment, several times; every connection is in the books of both sides."""
    found = run(
        tmp_path, "--workers 12", "--scenario", "churn", "--every", "500ms", "--duration", "2s",
        "--processes", "2", "--threshold", "reconnect.p50<5s", "--threshold", "errors=0",
    )  # fmt: skip
    assert found["reconciled"]["exact"]
    assert whole(found, "reconnect") >= 2 * 6
    assert found["reconciled"]["server"]["connections"] == 12 + whole(found, "reconnect")


def test_idle_connections_beat_in_the_words_of_the_dialogue(tmp_path: Path) -> None:
    """They are connected as the dialogue says, and say the first of its steps now and then."""
    found = run(
        tmp_path, "tests.support.talkers:smtp --workers 12", "--scenario", "hold", "--every", "300ms",
        "--duration", "2s", "--dialogue", str(ROOT / "examples" / "dialogues" / "smtp.toml"),
        "--threshold", "heartbeat.p50<5s", "--threshold", "errors=0",
    )  # fmt: skip
    assert found["reconciled"]["exact"]
    assert whole(found, "heartbeat") >= 6 * 2
    assert whole(found, "ehlo") == whole(found, "connect") == found["reconciled"]["server"]["connections"]
