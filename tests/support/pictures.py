"""python -m tests.support.pictures: make the documentation's pictures anew; takes a minute, and needs a quiet machine.

report.png    a run at a planned rate, in which the server is stopped for two seconds
web-ui.png    Locust's web UI with the tab "Server"
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from loadtest.runs.service import Service, started
from tests.support.browser import Page, browser
from tests.support.repository import ROOT
from tests.support.wait import wait_until
from tests.support.web_ui import FRAME, drawn_for, web_ui

PICTURES = ROOT / "docs" / "pictures"
SIZE = {"width": 1180, "height": 965}
LOAD = ("--connections", "50", "--rate", "1000", "--duration", "20s", "--warmup", "2s")
STALL_AT_S, STALL_S = 10.0, 2.0


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, browser() as page:
        log = os.path.join(folder, "server.log")
        with started(["--workers", "60"], "raw", log) as server:
            draw_report(page, server, Path(folder, "run"))
        with started(["--workers", "32"], "raw", log) as server:
            draw_web_ui(page, server)


def draw_report(page: Page, server: Service, folder: Path) -> None:
    """With the stall in it that the reader is to see."""
    command = [
        sys.executable,
        "-m",
        "loadtest",
        "run",
        "--host",
        server.host,
        "--control",
        str(server.control),
    ]
    command += [*LOAD, "--threshold", "message.p99<50ms", "--results", str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as run:
        wait_until(lambda: sampled_s(folder) > STALL_AT_S, "the run is half over", 60)
        stall(server)
        run.wait(60)
    page.open((folder / "report.html").as_uri(), **SIZE)
    page.wait_for("document.querySelectorAll('.js-line').length > 8")
    page.picture(PICTURES / "report.png", whole=False)
    page.picture(PICTURES / "distribution.png", of="document.getElementById('distribution').parentElement")


def stall(server: Service) -> None:
    assert server.pid is not None
    supervisor = psutil.Process(server.pid)
    processes = [supervisor, *supervisor.children(recursive=True)]
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    end = time.monotonic() + STALL_S
    try:
        wait_until(lambda: time.monotonic() >= end, "it has stood still for long enough")
    finally:
        for process in reversed(processes):
            process.send_signal(signal.SIGCONT)


def sampled_s(folder: Path) -> float:
    """For how long the tracker has taken samples."""
    path = folder / "samples.jsonl"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return float(json.loads(lines[-1])["t"] - json.loads(lines[0])["t"]) if lines else 0.0


def draw_web_ui(page: Page, server: Service) -> None:
    """After half a minute of some load: half of the users hold their connections, half come anew each time."""
    users = ("GreetingUser", "ConnectUser")
    with web_ui(*users, "--server-control", str(server.control), "--host", server.host) as ui:
        assert ui.post("/swarm", user_count=24, spawn_rate=24, pacing=0.03)["success"]
        page.open(f"{ui.url}/?tab=server", **SIZE)
        page.wait_for(drawn_for(25), timeout_s=60)
        page.wait_for(f"{FRAME}.contentDocument.documentElement.scrollHeight > 600")
        page.picture(PICTURES / "web-ui.png", whole=False)
        assert ui.post("/stop")["success"]


if __name__ == "__main__":
    main()
