"""`locust -f loadtest/tcp_user.py` by hand: headless, over processes, and with the web UI."""

import csv
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from loadtest.base.units import format_count
from tests.support.loadtest_runs import fake_server, locust
from tests.support.repository import ROOT
from tests.support.scripted_server import ScriptedServer
from tests.support.wait import wait_until
from tests.support.web_ui import fetch

LOAD = ("-u", "10", "-r", "10", "--pacing", "20ms")


def test_headless_agrees_with_the_server_and_shows_microseconds(tmp_path: Path) -> None:
    """Locust's own CSV and console have our numbers: every request, and no time rounded to 0."""
    with fake_server("line") as fake:
        prefix = str(tmp_path / "l")
        done = locust(
            "--host", fake.host, "--framing", "line", *LOAD, "-t", "4s", "--csv", prefix, "--html", prefix
        )
        counts = fake.counts()
    assert done.exit_code == 0, done
    with open(f"{prefix}_stats.csv") as file:
        rows = {row["Name"]: row for row in csv.DictReader(file)}
    assert counts["messages"] == int(rows["message"]["Request Count"])
    assert counts["connections"] == int(rows["connect"]["Request Count"])
    for column in ("50%", "99%", "Min Response Time", "Max Response Time"):
        assert float(rows["message"][column]) > 0, column
    assert float(rows["message"]["50%"]) % 1 != 0
    table = next(line for line in done.err.splitlines() if line.startswith("TCP      message"))
    assert f"{float(rows['message']['50%']):.3f}" in table
    report = Path(prefix).read_text()
    assert f'"num_requests": {counts["messages"]}' in report
    section = report[report.rindex('<section id="loadtest">') :]
    assert f"<td>message</td><td>{format_count(counts['messages'])}</td><td>0</td>" in section


def test_processes_add_up_and_each_report_arrives(tmp_path: Path) -> None:
    """Two workers and a master: the merged account is the server's own count."""
    with fake_server("raw") as fake:
        account = tmp_path / "account.json"
        args = ("--processes", "2", "--warmup", "500ms", "--measure", "2s", "--account", str(account))
        done = locust("--host", fake.host, *LOAD, *args)
        counts = fake.counts()
    assert done.exit_code == 0, done
    told: dict[str, Any] = json.loads(account.read_text())
    phases = told["stats"]["phases"].values()
    for name, counted in (("message", counts["messages"]), ("connect", counts["connections"])):
        assert counted == sum(sum(phase[name]["ok"]["counts"].values()) for phase in phases if name in phase)
    assert (told["processes"], told["processes_lost"]) == (2, [])


def test_the_web_ui_listens_on_loopback_and_shows_microseconds() -> None:
    """Started and stopped through its pages, as a browser does."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "locust", "-f", "loadtest/tcp_user.py", "--web-port", str(port)]
    url = f"http://127.0.0.1:{port}"
    with (
        fake_server("raw") as fake,
        subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process,
    ):
        try:
            said = process.stderr
            assert said is not None
            wait_until(lambda: f"http://127.0.0.1:{port}" in said.readline(), "the web UI is up")
            wait_until(lambda: fetch(url), "the page is served")
            form = {"user_count": 4, "spawn_rate": 4, "host": fake.host, "pacing": 0.02}
            assert json.loads(fetch(f"{url}/swarm", form))["success"]
            row = wait_until(lambda: message_row(url), "requests are shown")
            assert row is not None
            assert 0 < row["median_response_time"] < 1000
            assert row["median_response_time"] % 1 != 0
            assert row["min_response_time"] % 1 != 0
            assert json.loads(fetch(f"{url}/stop", {}))["success"]
        finally:
            process.terminate()
            process.communicate(timeout=20)


OWN_USER = """
from locust import task

from loadtest.users import TcpUser


class PingUser(TcpUser):
    banner = b"ready\\r\\n"

    @task
    def ping(self):
        for _ in self.turns():
            if not self.connected() or not self.exchange("ping", b"PING\\r\\n", b"+PONG\\r\\n"):
                return
            with self.request("time"):
                self.send(b"TIME\\r\\n")
                assert int(self.receive(b"\\r\\n")) > 0
"""


def test_a_protocol_of_ones_own_takes_a_few_lines(tmp_path: Path) -> None:
    """The base class connects, hears a banner, exchanges known answers and receives unknown ones."""
    asked = {b"PING": 0, b"TIME": 0}

    def serve(conn: socket.socket) -> None:
        conn.sendall(b"ready\r\n")
        with conn.makefile("rb") as lines:
            for line in lines:
                asked[line.strip()] += 1
                conn.sendall(b"+PONG\r\n" if line.startswith(b"PING") else b"1234567890\r\n")

    (tmp_path / "own.py").write_text(OWN_USER)
    account = tmp_path / "account.json"
    with ScriptedServer(serve) as server:
        args = ("-f", str(tmp_path / "own.py"), "--host", f"tcp://{server.address}", "-u", "1")
        done = locust(*args, "--pacing", "10ms", "--measure", "1s", "--account", str(account))
    assert done.exit_code == 0, done
    phases = json.loads(account.read_text())["stats"]["phases"].values()
    found = {
        name: sum(sum(phase[name]["ok"]["counts"].values()) for phase in phases) for name in ("ping", "time")
    }
    assert found == {"ping": asked[b"PING"], "time": asked[b"TIME"]}
    assert found["ping"] > 10


def message_row(url: str) -> dict[str, Any] | None:
    stats = json.loads(fetch(f"{url}/stats/requests"))["stats"]
    return next((row for row in stats if row["name"] == "message" and row["num_requests"]), None)
