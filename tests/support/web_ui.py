"""Locust's web UI with our users, on loopback, as a user starts and ends it."""

import itertools
import json
import socket
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from tests.support.repository import ROOT
from tests.support.wait import wait_until

FRAME = "document.querySelector('iframe#loadtest-server')"
CHARTS = ("latency", "rate", "connections", "workers", "cpu", "memory")


def drawn_for(seconds: int) -> str:
    """A JavaScript expression: each chart of the tab has a line through so many seconds at least."""
    return f"""{FRAME} && {json.dumps(CHARTS)}.every(key => {{
        const node = {FRAME}.contentDocument.getElementById(key);
        if (!node || !node.data || !node.querySelector('.js-line')) return false;
        return node.data[0].y.filter(value => value !== null).length >= {seconds};
    }})"""


class WebUi(NamedTuple):
    url: str
    process: subprocess.Popen[str]

    def get(self, path: str) -> str:
        return fetch(f"{self.url}{path}")

    def post(self, path: str, **form: object) -> dict[str, object]:
        answer: dict[str, object] = json.loads(fetch(f"{self.url}{path}", form))
        return answer


@contextmanager
def web_ui(*args: str) -> Iterator[WebUi]:
    """Locust's, on loopback; ended as a user ends it."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "locust", "--web-port", str(port), *args]
    command += () if "-f" in args else ("-f", "loadtest/tcp_user.py")
    base = next((value for name, value in itertools.pairwise(args) if name == "--web-base-path"), "")
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, cwd=ROOT, stderr=log, text=True)
        try:
            wait_until(lambda: fetch(f"http://127.0.0.1:{port}{base}/"), "the web UI is up")
            yield WebUi(f"http://127.0.0.1:{port}{base}", process)
        finally:
            process.terminate()
            process.wait(20)
        log.seek(0)
        assert "Traceback" not in log.read()


def fetch(url: str, form: dict[str, object] | None = None) -> str:
    data = None if form is None else urllib.parse.urlencode(form).encode()
    try:
        with urllib.request.urlopen(url, data, timeout=10) as answer:
            text: str = answer.read().decode()
            return text
    except OSError:
        return ""
