"""Where a load can go: TLS with its own request and its checks, UNIX sockets, and from which addresses."""

import socket
from collections import Counter
from pathlib import Path

import pytest

from tests.support.loadtest_runs import document, fake_server, loadtest, locust
from tests.support.scripted_server import ScriptedServer

SHORT = ("--connections", "6", "--warmup", "300ms", "--duration", "1s")


def test_a_tls_handshake_is_a_request_of_its_own(certificates: Path, tmp_path: Path) -> None:
    """Between TCP's and the banner; each connection has one, and every answer comes through it."""
    with fake_server("line", "--certificate", str(certificates / "server.pem")) as fake:
        host = fake.host.replace("tcp://127.0.0.1", "tls://localhost")
        done = loadtest(
            "run", "--host", host, "--framing", "line", "--tls-ca", str(certificates / "ca.pem"),
            *SHORT, "--user", "connect", "--threshold", "errors=0", "--threshold", "tls.p50<10s",
            "--results", str(tmp_path / "r"),
        )  # fmt: skip
        counts = fake.counts()
    assert done.exit_code == 0, done
    requests = document(tmp_path / "r")["requests"]
    assert list(requests) == ["handshake", "tls", "connect", "message", "greeting"]
    whole = {name: row["ok"] + row["warmup"]["ok"] for name, row in requests.items()}
    assert whole["tls"] == whole["connect"] == counts["connections"] == counts["messages"]
    assert 0 < requests["tls"]["response_us"]["p50"] <= requests["connect"]["response_us"]["p50"] * 1.01


@pytest.mark.parametrize(
    ("options", "code", "error"),
    [
        (("--tls-ca", "ca.pem", "--tls-server-name", "localhost"), 0, None),
        (("--tls-ca", "ca.pem"), 4, "TLS: IP address mismatch, certificate is not valid for '127.0.0.1'."),
        ((), 4, "TLS: unable to get local issuer certificate"),
        (("--tls-insecure",), 0, None),
    ],
    ids=["named", "another name", "unknown authority", "not checked"],
)
def test_a_certificate_is_checked_unless_told_otherwise(
    options: tuple[str, ...], code: int, error: str | None, certificates: Path, tmp_path: Path
) -> None:
    """What does not check out is no connection; what is not checked is said aloud."""
    with fake_server("raw", "--certificate", str(certificates / "server.pem")) as fake:
        told = [str(certificates / word) if word.endswith(".pem") else word for word in options]
        host = fake.host.replace("tcp:", "tls:")
        done = loadtest("run", "--host", host, *told, *SHORT, "--results", str(tmp_path / "r"))
    assert done.exit_code == code, done
    run = document(tmp_path / "r")
    assert run["requests"]["tls"]["errors"].keys() == ({error} if error else set())
    insecure = "--tls-insecure" in options
    assert ("no certificate was checked" in done.out) == insecure
    assert ("no certificate was checked" in (tmp_path / "r" / "report.html").read_text()) == insecure


def test_a_handshake_that_hangs_ends_by_the_deadline(tmp_path: Path) -> None:
    """A peer that accepts and never answers a hello: `tls` and `connect` time out."""

    def mute(conn: socket.socket) -> None:
        while conn.recv(4096):
            continue

    with ScriptedServer(mute) as server:
        done = loadtest(
            "run", "--host", f"tls://{server.address}", "--connections", "1", "--warmup", "0s",
            "--duration", "1s", "--request-timeout", "300ms", "--results", str(tmp_path / "r"),
        )  # fmt: skip
    assert done.exit_code == 4, done
    requests = document(tmp_path / "r")["requests"]
    assert requests["tls"]["errors"]["timed out"] >= 1
    assert requests["connect"]["errors"]["timed out"] >= 1


def test_a_unix_socket_is_loaded_and_counted_like_any_other(tmp_path: Path) -> None:
    """A server that is started for it, and more visits than its backlog holds at once."""
    path = tmp_path / "s"
    done = loadtest(
        "run", "--serve", f"--bind unix:{path} --workers 2 --backlog 1", *SHORT, "--user", "connect",
        "--pacing", "1ms", "--results", str(tmp_path / "r"),
    )  # fmt: skip
    assert done.exit_code == 0, done
    run = document(tmp_path / "r")
    assert run["settings"]["host"] == f"unix://{path}"
    assert run["reconciled"]["exact"]
    assert run["reconciled"]["server"]["connections"] > 50


@pytest.mark.alone
def test_connections_come_from_the_addresses_that_were_given() -> None:
    """One after another, each as often as the others."""
    came: Counter[str] = Counter()

    def greet(conn: socket.socket) -> None:
        came[conn.getpeername()[0]] += 1
        conn.sendall(b"Welcome!")
        while data := conn.recv(1024):
            conn.sendall(b"Hello," + data)

    with ScriptedServer(*[greet] * 6) as server:
        done = locust(
            "ConnectUser", "--host", f"tcp://{server.address}", "-u", "1", "--pacing", "1ms", "-t", "4s",
            "--stop-timeout", "1s", "--source-address", "127.0.0.2,127.0.0.3,127.0.0.4",
        )  # fmt: skip
    assert came == {"127.0.0.2": 2, "127.0.0.3": 2, "127.0.0.4": 2}, done
