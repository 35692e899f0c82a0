"""What this process does at each of Locust's events, in this order.

Registered once, when `loadtest.users` is imported: before Locust makes its runner, as its own listeners for reports
must come after ours, which fill the tables that they send.
"""

from typing import Any

from locust import events
from locust.env import Environment
from locust.web import WebUI

from loadtest.base.exits import fail
from loadtest.engine import locust_options, locust_stats
from loadtest.engine.load_process import LoadProcess
from loadtest.engine.stats_keeper import FIRST_REPORT, REPORT_KEY
from loadtest.web import tab
from procserver.errors import ConfigError


class Listeners:
    """Of one process. `process` and `tab` are made at Locust's `init` event; before it nothing is to be done."""

    def __init__(self) -> None:
        self.process: LoadProcess | None = None
        self.tab: tab.ServerTab | None = None

    def on_init_command_line_parser(self, parser: Any, **_: object) -> None:
        tab.add_options(parser)
        locust_options.add_options(parser)

    def on_init(self, environment: Environment, web_ui: WebUI | None = None, **_: object) -> None:
        """A wrong dialogue is a mistake in the command line: Locust exits with 2, before anything has started."""
        try:
            self.process = process = LoadProcess(environment)
            needed = any(getattr(user, "needs_dialogue", False) for user in environment.user_classes)
            if needed and not process.settings.dialogue and not process.is_worker:
                raise ConfigError("--dialogue FILE is missing")
        except ConfigError as error:
            fail(str(error), 2)
        if process.settings.background_users:
            for user in environment.user_classes:
                if getattr(user, "background", False):
                    user.fixed_count = process.settings.background_users
        self.tab = tab.ServerTab(process, web_ui)

    def on_test_start(self, **_: object) -> None:
        if self.tab is not None:
            self.tab.start_test()
            self.tab.process.start_test()

    def on_test_stopping(self, **_: object) -> None:
        if self.process is not None:
            self.process.drain()

    def on_test_stop(self, **_: object) -> None:
        if self.tab is not None:
            self.tab.stop_test()
            self.tab.process.stop_test()

    def on_report_to_master(self, data: dict[str, Any], **_: object) -> None:
        if self.process is None:
            data[REPORT_KEY] = FIRST_REPORT
            return
        self.process.clock_sync.add_report(data)
        self.process.keeper.add_report(data)

    def on_worker_report(self, client_id: str, data: dict[str, Any], **_: object) -> None:
        """What a worker of an earlier master at this port had still to send belongs to another test."""
        if self.process is not None and client_id in self.process.clock_sync.connected:
            self.process.clock_sync.take_report(client_id, data)
            self.process.keeper.take_report(client_id, data)

    def on_quitting(self, **_: object) -> None:
        if self.tab is not None:
            self.tab.process.quit()
            self.tab.quit()


_listeners = Listeners()


def install() -> None:
    """Register every listener with Locust, and put our numbers into its tables."""
    locust_stats.install()
    for name in dir(Listeners):
        if name.startswith("on_"):
            getattr(events, name.removeprefix("on_")).add_listener(getattr(_listeners, name))


def process_of(environment: Environment) -> LoadProcess:
    """The process of a user; made now if Locust is used as a library, without an `init` event."""
    if _listeners.process is None:
        _listeners.process = LoadProcess(environment)
    return _listeners.process
