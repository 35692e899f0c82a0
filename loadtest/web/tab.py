"""Our part of Locust's web UI and of its HTML report: the tab "Server", with charts and figures of both sides.

Locust has a hook for tables only. Its tab shows our table; the charts are a page of our own, which one short script
puts below that table. Routes, login and base path are those of the web UI.
"""

import importlib.util
import json
import time
from pathlib import Path
from string import Template
from typing import Any

import flask
import gevent
from locust import events
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner
from locust.web import WebUI

from loadtest.base.files import write_whole
from loadtest.engine import stats_keeper
from loadtest.engine.run_clock import clock
from loadtest.engine.schedule import COURSE
from loadtest.web.live import ROWS_MAX, Live, find_server
from loadtest.web.section import CHARTS, section, table_rows
from procserver.errors import ConfigError

__all__ = ["install"]

KEY = "server"
PAGE = Path(__file__).with_name("web.html")
TAB = Path(__file__).with_name("web_tab.html")
INTERVAL_S = 1.0
OWN_REPORTS_AFTER_S = 0.5  # our recorder are ruled off at the end of the second
WORKERS_REPORTS_AFTER_S = 2.0  # theirs, too, and reported once a second
BUNDLE_CACHE_S = 24 * 3600


def install() -> None:
    """Join Locust's events, once per process; before `bookkeeping` does, which at the end has to come first."""
    global _desk  # noqa: PLW0603  # one process, one desk
    if _desk is None:
        _desk = _Desk()
        events.init_command_line_parser.add_listener(add_options)
        for name in ("init", "test_start", "test_stop", "quitting"):
            getattr(events, name).add_listener(getattr(_desk, f"on_{name}"))


def add_options(parser: Any) -> None:
    add = parser.add_argument
    add(
        "--server-pid",
        default="",
        metavar="PID",
        env_var="LOCUST_SERVER_PID",
        help="Follow this process and its children, in the tab Server and in the HTML report.",
    )
    add(
        "--server-control",
        default="",
        metavar="PATH",
        env_var="LOCUST_SERVER_CONTROL",
        help="Follow the procserver with this control socket. Without either, the one at the target's address.",
    )


class _Desk:
    """Where both sides of the test that goes on are looked at. In workers, and where nobody looks, it does nothing."""

    def __init__(self) -> None:
        self.environment: Environment | None = None
        self.live: Live | None = None
        self.test = 0
        self.greenlet: gevent.Greenlet | None = None
        self.begun = time.time()

    def on_init(self, environment: Environment, web_ui: WebUI | None = None, **_: object) -> None:
        self.environment = environment
        if web_ui is not None:
            self.open_tab(web_ui)

    def on_test_start(self, environment: Environment, **_: object) -> None:
        self.end()
        chosen = environment.parsed_options
        if isinstance(environment.runner, WorkerRunner) or chosen is None:
            return
        if environment.web_ui is None and not chosen.html_file:
            return
        self.test += 1
        distributed = isinstance(environment.runner, MasterRunner)
        self.live = Live(clock(), WORKERS_REPORTS_AFTER_S if distributed else OWN_REPORTS_AFTER_S)
        try:
            host = environment.host or next(c.host for c in environment.user_classes if c.host)
            self.live.follow(find_server(host, str(chosen.server_pid or ""), chosen.server_control or ""))
        except (ConfigError, OSError, StopIteration) as error:
            self.live.complaint = str(error) or "which host is loaded, is not known"
        self.greenlet = gevent.spawn(self.advance_each_second)

    def advance_each_second(self) -> None:
        while True:
            gevent.sleep(INTERVAL_S)
            self.advance()

    def advance(self) -> None:
        if self.live is not None:
            self.live.advance(clock(), stats_keeper.stats(), COURSE.planned)

    def on_test_stop(self, **_: object) -> None:
        self.end()

    def end(self) -> None:
        """Stop the tracker; the rows stay, until the next test."""
        if self.greenlet is not None:
            self.greenlet.kill()
            self.greenlet = None
        if self.live is not None and self.live.process is not None:
            self.live.advance(clock(), stats_keeper.stats(), COURSE.planned)
            self.live.end()

    def on_quitting(self, environment: Environment, **_: object) -> None:
        self.end()
        chosen = environment.parsed_options
        path = chosen.html_file if chosen is not None else None
        if path and not isinstance(environment.runner, WorkerRunner) and self.live is not None:
            self.amend(Path(path))

    def amend(self, path: Path) -> None:
        """Put our section into the report that Locust has just written; after SIGTERM there is none."""
        if path.exists() and path.stat().st_mtime >= self.begun:
            write_whole(path, self.with_section(path.read_text(encoding="utf-8")).encode())

    def with_section(self, page: str) -> str:
        # The bundle's own code holds the same words: only the last are the end of the page.
        head, end, tail = page.rpartition("</body>")
        return f"{head}{section(stats_keeper.stats(), self.live)}{end}{tail}"

    # --- the web UI ---

    def open_tab(self, web_ui: WebUI) -> None:
        web_ui.template_args.update(
            extended_tabs=[{"title": "Server", "key": KEY}],
            extended_tables=[
                {
                    "key": KEY,
                    "structure": [
                        {"key": "what", "title": "Server"},
                        {"key": "now", "title": "Now"},
                        {"key": "most", "title": "Most"},
                    ],
                }
            ],
        )
        assert web_ui.app is not None
        guard: Any = web_ui.auth_required_if_enabled  # untyped
        options = self.environment.parsed_options if self.environment is not None else None
        pages = flask.Blueprint(KEY, __name__, url_prefix=getattr(options, "web_base_path", None) or None)
        pages.add_url_rule("/server", "page", guard(self.serve_page))
        pages.add_url_rule("/server/rows.json", "rows", guard(self.serve_rows))
        pages.add_url_rule("/server/plotly.min.js", "bundle", guard(serve_bundle))
        web_ui.app.register_blueprint(pages)
        web_ui.app.after_request(self.extend)

    def serve_page(self) -> str:
        page = Template(PAGE.read_text(encoding="utf-8"))
        return page.substitute(
            charts=json.dumps(CHARTS), rows_max=ROWS_MAX, interval_ms=round(1000 * INTERVAL_S)
        )

    def serve_rows(self) -> flask.Response:
        """Rows from the number `after` on, of the test that goes on or was the last."""
        live = self.live
        asked = flask.request.args
        known = asked.get("after", 0, int) if asked.get("test", 0, int) == self.test else 0
        rows = list(live.rows) if live is not None else []
        first = live.made - len(rows) if live is not None else 0
        return flask.jsonify(
            {
                "test": self.test,
                "running": self.greenlet is not None,
                "complaint": live.complaint if live is not None else "No test has been started yet.",
                "request": live.main if live is not None else None,
                "next": first + len(rows),
                "rows": rows[max(0, known - first) :],
            }
        )

    def extend(self, response: flask.Response) -> flask.Response:
        """Add to what Locust answers: rows to its table, the script to its page, the section to its report."""
        endpoint = flask.request.endpoint
        if endpoint == "locust.request_stats" and response.is_json and self.live is not None:
            answer = response.get_json()
            answer["extended_stats"] = [{"key": KEY, "data": table_rows(self.live)}]
            response.set_data(json.dumps(answer))
        elif endpoint == "locust.index" and response.mimetype == "text/html":
            head, end, tail = response.get_data(as_text=True).rpartition("</body>")
            response.set_data(f"{head}{TAB.read_text(encoding='utf-8')}{end}{tail}")
        elif endpoint == "locust.stats_report" and response.mimetype == "text/html" and self.live is not None:
            self.advance()
            response.set_data(self.with_section(response.get_data(as_text=True)))
        return response


def serve_bundle() -> flask.Response:
    """Plotly's script, found without importing Plotly: Locust's processes need nothing else of it."""
    found = importlib.util.find_spec("plotly")
    assert found is not None
    assert found.origin is not None
    path = Path(found.origin).with_name("package_data") / "plotly.min.js"
    return flask.send_file(path, mimetype="text/javascript", max_age=BUNDLE_CACHE_S)


_desk: _Desk | None = None
