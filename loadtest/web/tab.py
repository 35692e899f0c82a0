"""The tab "Server" in Locust's web UI, and the section in its HTML report: charts and figures of generator and server.

Locust has a hook for tables only. Its tab shows our table; the charts are a page of our own, which a short script puts
below that table. Routes, login and base path are those of the web UI.
"""

import importlib.util
import json
import time
from pathlib import Path
from string import Template
from typing import Any

import flask
import gevent
from locust.runners import MasterRunner
from locust.web import WebUI

from loadtest.base.files import write_whole
from loadtest.engine.load_process import LoadProcess
from loadtest.web.live import ROWS_MAX, Live, find_server
from loadtest.web.section import CHARTS, section, table_rows
from procserver.errors import ConfigError

KEY = "server"
PAGE = Path(__file__).with_name("web.html")
TAB = Path(__file__).with_name("web_tab.html")
INTERVAL_S = 1.0
OWN_REPORTS_AFTER_S = 0.5  # our interval is taken at the end of the second
WORKERS_REPORTS_AFTER_S = 2.0  # theirs too, and reported once a second
BUNDLE_CACHE_S = 24 * 3600


def add_options(parser: Any) -> None:
    def add(flag: str, metavar: str, variable: str, text: str) -> None:
        parser.add_argument(flag, default="", metavar=metavar, env_var=variable, help=text)

    add(
        "--server-pid",
        "PID",
        "LOCUST_SERVER_PID",
        "Sample this process and its children, for the tab Server and the HTML report.",
    )
    add(
        "--server-control",
        "PATH",
        "LOCUST_SERVER_CONTROL",
        "Sample the procserver with this control socket; without either option, the one at the target's address.",
    )


class ServerTab:
    """Collects live samples of the current test for the web UI and Locust's report.

    Inactive in worker processes, and in headless runs without a report.
    """

    def __init__(self, process: LoadProcess, web_ui: WebUI | None) -> None:
        self.process = process
        self.environment = process.environment
        self.live: Live | None = None
        self.test = 0
        self.greenlet: gevent.Greenlet | None = None
        self.begun = time.time()
        if web_ui is not None:
            self.open_tab(web_ui)

    def start_test(self) -> None:
        self.stop_test()
        environment, options = self.environment, self.environment.parsed_options
        if self.process.is_worker or options is None or not (environment.web_ui or options.html_file):
            return
        self.test += 1
        distributed = isinstance(environment.runner, MasterRunner)
        reports_after_s = WORKERS_REPORTS_AFTER_S if distributed else OWN_REPORTS_AFTER_S
        self.live = Live(self.process.clock.now(), reports_after_s)
        try:
            host = environment.host or next(c.host for c in environment.user_classes if c.host)
            self.live.follow(find_server(host, str(options.server_pid or ""), options.server_control or ""))
        except (ConfigError, OSError, StopIteration) as error:
            self.live.complaint = str(error) or "the host of the load is not known"
        self.greenlet = gevent.spawn(self.advance_each_second)

    def advance_each_second(self) -> None:
        while True:
            gevent.sleep(INTERVAL_S)
            self.advance()

    def advance(self) -> None:
        if self.live is not None:
            process = self.process
            self.live.advance(process.clock.now(), process.keeper.stats, process.schedule.planned)

    def stop_test(self) -> None:
        """Stop the sampler; the rows stay until the next test."""
        if self.greenlet is not None:
            self.greenlet.kill()
            self.greenlet = None
        if self.live is not None and self.live.process is not None:
            self.advance()
            self.live.end()

    def quit(self) -> None:
        """Put our section into the report that Locust has just written; after SIGTERM there is none."""
        self.stop_test()
        options = self.environment.parsed_options
        if options is None or not options.html_file or self.live is None:
            return
        path = Path(options.html_file)
        if path.exists() and path.stat().st_mtime >= self.begun:
            write_whole(path, self.with_section(path.read_text(encoding="utf-8")).encode())

    def with_section(self, page: str) -> str:
        # The bundle's own code contains the same tag: only its last occurrence is the end of the page.
        head, end, tail = page.rpartition("</body>")
        return f"{head}{section(self.process.keeper.stats, self.live)}{end}{tail}"

    # --- the web UI ---

    def open_tab(self, web_ui: WebUI) -> None:
        columns = {"what": "Server", "now": "Now", "most": "Most"}
        structure = [{"key": key, "title": title} for key, title in columns.items()]
        web_ui.template_args["extended_tabs"] = [{"title": "Server", "key": KEY}]
        web_ui.template_args["extended_tables"] = [{"key": KEY, "structure": structure}]
        assert web_ui.app is not None
        guard: Any = web_ui.auth_required_if_enabled  # untyped
        options = self.environment.parsed_options
        pages = flask.Blueprint(KEY, __name__, url_prefix=getattr(options, "web_base_path", None) or None)
        pages.add_url_rule("/server", "page", guard(self.serve_page))
        pages.add_url_rule("/server/rows.json", "rows", guard(self.serve_rows))
        pages.add_url_rule("/server/plotly.min.js", "bundle", guard(serve_bundle))
        web_ui.app.register_blueprint(pages)
        web_ui.app.after_request(self.extend)

    def serve_page(self) -> str:
        page, charts = Template(PAGE.read_text(encoding="utf-8")), json.dumps(CHARTS)
        return page.substitute(charts=charts, rows_max=ROWS_MAX, interval_ms=round(1000 * INTERVAL_S))

    def serve_rows(self) -> flask.Response:
        """The rows from number `after` on, of the current or the last test."""
        live = self.live
        asked = flask.request.args
        known = asked.get("after", 0, int) if asked.get("test", 0, int) == self.test else 0
        rows, made = (list(live.rows), live.made) if live is not None else ([], 0)
        return flask.jsonify(
            {
                "test": self.test,
                "running": self.greenlet is not None,
                "complaint": live.complaint if live is not None else "No test has been started yet.",
                "request": live.main if live is not None else None,
                "next": made,
                "rows": rows[max(0, known - (made - len(rows))) :],
            }
        )

    def extend(self, response: flask.Response) -> flask.Response:
        """Extend Locust's responses: rows in its table, the script in its page, the section in its report."""
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
    """Plotly's script, found without importing Plotly, of which Locust's processes need nothing else."""
    found = importlib.util.find_spec("plotly")
    assert found is not None
    assert found.origin is not None
    path = Path(found.origin).with_name("package_data") / "plotly.min.js"
    return flask.send_file(path, mimetype="text/javascript", max_age=BUNDLE_CACHE_S)
