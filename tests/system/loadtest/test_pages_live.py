"""Locust's web UI with our tab, in a real browser while a test goes on; and what is left when it has ended."""

import json
import urllib.parse
from pathlib import Path

from loadtest.base.units import format_count
from loadtest.runs.service import Service, started
from tests.support.browser import browser, needs_browser
from tests.support.leftovers import processes_of_this_run
from tests.support.wait import wait_until
from tests.support.web_ui import FRAME, drawn_for, web_ui


def messages_of(server: Service) -> int:
    status = server.status()
    assert status is not None
    return int(status["totals"]["messages"])


def trackers() -> list[int]:
    """Those that a test of this run has started."""
    found = []
    for pid in processes_of_this_run():
        try:
            if b"loadtest.sampler.sampler" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
        except OSError:
            continue  # gone while we looked
    return found


@needs_browser
def test_the_tab_shows_both_sides_while_the_test_goes_on(tmp_path: Path) -> None:
    """Under a base path, too: charts and table live, all from one origin; then the tracker is gone, the rows stay."""
    with started(["--workers", "8"], "raw", str(tmp_path / "log")) as server:
        args = ("GreetingUser", "--web-base-path", "/load", "--server-control", str(server.control))
        with web_ui(*args, "--host", server.host) as ui, browser() as page:
            assert not trackers()
            assert ui.post("/swarm", user_count=6, spawn_rate=6, pacing=0.02)["success"]
            page.open(f"{ui.url}/?tab=server")
            page.wait_for(drawn_for(3))
            page.wait_for("document.body.innerText.includes('Memory of the server (PSS)')")
            assert len(trackers()) == 1
            page.wait_for(f"{FRAME}.contentDocument.querySelector('#workers').data[0].y.at(-1) === 6")
            made = f"{FRAME}.contentDocument.querySelector('#connections').data"
            page.wait_for(f"Math.max(...{made}[0].y) > 0 && Math.max(...{made}[1].y) > 0")
            said = page.run(f"{FRAME}.contentDocument.getElementById('said').textContent")
            assert said == "The test goes on. Times are of the request message."
            page.resize(390, 800)
            page.wait_for(f"{FRAME}.contentDocument.documentElement.scrollWidth <= {FRAME}.clientWidth")
            assert not page.complaints
            origins = {urllib.parse.urlsplit(address).netloc for address in page.asked}
            assert origins == {urllib.parse.urlsplit(ui.url).netloc}
            assert ui.post("/stop")["success"]
            wait_until(lambda: not trackers(), "the tracker ends with the test")
            rows = json.loads(ui.get("/server/rows.json"))
            assert (rows["running"], rows["complaint"], rows["request"]) == (False, "", "message")
            report = ui.get("/stats/report")
        assert report.rindex('<section id="loadtest">') > report.rindex("<script")
        assert f"<td>{format_count(messages_of(server))}</td>" in report


def test_a_server_that_is_not_known_is_asked_for(tmp_path: Path) -> None:
    """The test runs all the same, on the latency alone; a form with nonsense is told so."""
    args = ["--control", "none"]
    with started(args, "raw", str(tmp_path / "log")) as server, web_ui("--host", server.host) as ui:
        assert ui.post("/swarm", user_count=1, spawn_rate=1, server_pid="everybody")["success"]
        assert (
            "--server-pid 'everybody': a process id" in json.loads(ui.get("/server/rows.json"))["complaint"]
        )
        assert ui.post("/stop")["success"]
        assert ui.post("/swarm", user_count=1, spawn_rate=1, server_pid="")["success"]
        answer = json.loads(ui.get("/server/rows.json"))
        assert "give --server-control PATH" in answer["complaint"]
        wait_until(lambda: json.loads(ui.get("/server/rows.json"))["rows"], "rows of our own books")
        assert not trackers()


GUARDED = """
from locust import events

from loadtest.users import GreetingUser


@events.init.add_listener
def guard(web_ui, **_):
    web_ui.app.secret_key = "of this test alone"
    web_ui.login_manager.user_loader(lambda name: None)
"""


def test_whoever_has_not_logged_in_sees_nothing(tmp_path: Path) -> None:
    """Where Locust asks for a login, our addresses do, too."""
    (tmp_path / "guarded.py").write_text(GUARDED)
    with web_ui("-f", str(tmp_path / "guarded.py"), "--web-login") as ui:
        login = ui.get("/login")
        assert login
        for path in ("/server", "/server/rows.json", "/server/plotly.min.js"):
            assert ui.get(path)[:200] == login[:200], path
