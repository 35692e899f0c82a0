"""A real server, in processes of its own, for one test or for a module of them.

Whoever leaves the `with` has checked: the exit code, that no process is left and none was a zombie,
that nothing was logged at warning or error level which the test did not announce, and that the clients,
the access log and the scoreboard counted the same.
"""

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Self

import psutil

from procserver.addresses import parse_address
from procserver.clients import control
from tests.support.clients import Guest
from tests.support.repository import ROOT
from tests.support.tally import Tally
from tests.support.wait import PATIENCE_S, read_to_end, wait_until

MARK = "TESTS_SERVER"


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "procserver", *arguments]


def run_to_end(
    *arguments: str, cwd: Path = ROOT, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    return subprocess.run(
        command(*arguments),
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


class RunningServer:
    """`procserver serve HANDLER FLAGS...` on a free port of loopback; inside the `with` its first worker is ready.

    `framing` is what its guests speak. `bind` replaces the default address.
    """

    def __init__(
        self,
        *flags: str,
        handler: str = "",
        framing: str = "raw",
        bind: tuple[str, ...] = ("127.0.0.1:0",),
        env: dict[str, str] | None = None,
        pass_fds: tuple[int, ...] = (),
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="procserver-test-"))
        self.control = self.folder / "control.sock"
        self.access_log = self.folder / "access.log"
        self.framing = framing
        self.tally = Tally()
        self.guests: list[Guest] = []
        self.announced: set[str] = set()
        self.tolerated: set[str] = set()
        self.crash = ""
        self.code = 0
        self.last_line = "stopped by SIGTERM"
        self.mark = secrets.token_hex(8)
        self.env = os.environ | {MARK: self.mark} | (env or {})
        self.pass_fds = pass_fds
        self.argv = command(
            "serve",
            *([handler] if handler else ["--framing", framing]),
            *(part for text in bind for part in ("--bind", text)),
            *("--control", str(self.control), "--access-log", str(self.access_log), "--log-format", "json"),
            *flags,
        )

    # Life

    def __enter__(self) -> Self:
        ready, theirs = os.pipe()
        with (self.folder / "stderr").open("wb") as stderr:
            self.process = subprocess.Popen(
                [*self.argv, "--ready-fd", str(theirs)],
                cwd=ROOT,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                pass_fds=(theirs, *self.pass_fds),
                start_new_session=True,
            )
        os.close(theirs)
        try:
            line = read_to_end(ready, "the server is ready").decode()
            assert line.startswith("listening on "), f"not ready: {line!r}\n{self.log_text()}"
            self.addresses = line.removeprefix("listening on ").strip().split(", ")
        except BaseException:
            self.kill()
            raise
        finally:
            os.close(ready)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        for guest in self.guests:
            guest.close()
        try:
            if error is None:
                self.finish()
        except AssertionError as failed:
            failed.add_note(f"the server's log:\n{self.log_text()}")
            raise
        finally:
            if error is not None:
                error.add_note(f"the server's log:\n{self.log_text()}")
            self.kill()
            shutil.rmtree(self.folder)

    def finish(self) -> None:
        """Stop, unless that has been done, and check what the module's docstring promises."""
        totals = None
        # One that was told to stop answers its operators before it has ended.
        if self.process.poll() is None and not self.events("stopping"):
            wait_until(lambda: not self.zombies(), "no zombie is left unreaped")
            totals = self.wait_for_status(lambda s: open_connections(s) == 0, "all conversations end")[
                "totals"
            ]
            self.process.terminate()
        assert self.process.wait(PATIENCE_S) == self.code
        wait_until(lambda: not self.processes(), f"no process of the server is left: {self.processes()}", 5.0)
        self.check_log()
        records = self.records()
        self.tally.check_records(records)
        if totals is not None:
            self.tally.check_totals(totals, records)

    def kill(self) -> None:
        """Whatever is still there, at once; after a clean end nothing is."""
        for process in self.processes():
            process.kill()
        self.process.wait(PATIENCE_S)

    def kill_supervisor(self) -> None:
        """With SIGKILL: it can do nothing more, the rest has to end by itself, and nobody says a last line."""
        self.process.kill()
        self.process.wait(PATIENCE_S)
        self.code, self.last_line = -signal.SIGKILL, ""

    # Processes

    @property
    def pid(self) -> int:
        return self.process.pid

    def processes(self) -> list[psutil.Process]:
        """All that were started with our mark, whoever their parent is now. A zombie has no mark left."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == self.mark:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def zombies(self) -> list[psutil.Process]:
        """Children of the server that have ended and that nobody has reaped."""
        found = []
        for process in psutil.Process(self.pid).children(recursive=True):
            try:
                if process.status() == psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.NoSuchProcess:
                continue
        return found

    def workers(self, state: str = "") -> list[dict[str, Any]]:
        """The status' workers that are in this state."""
        return [worker for worker in self.status()["workers"] if state in ("", worker["state"])]

    def worker_of(self, guest: Guest) -> int:
        """The pid of the worker that serves this guest."""
        return {w["peer"]: int(w["pid"]) for w in self.workers("busy")}[guest.name]

    def tell_to_leave(self, pid: int) -> None:
        """TERM to a worker, as an operator may send it; one that has left meanwhile needs none."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)

    # Clients

    @property
    def address(self) -> str:
        return self.addresses[0]

    @property
    def port(self) -> int:
        return parse_address(self.address).port

    def connect(self, address: str = "") -> Guest:
        """A guest that has not been welcomed yet."""
        guest = Guest(address or self.address, self.tally, self.framing)
        self.guests.append(guest)
        return guest

    def guest(self, address: str = "") -> Guest:
        """A guest that has been welcomed."""
        return self.connect(address).welcome()

    # Questions

    def status(self) -> dict[str, Any]:
        return control.request(self.control, {"command": "status"}, PATIENCE_S)

    def wait_for_status(self, condition: Any, what: str) -> dict[str, Any]:
        """The first status for which the condition holds."""

        def holds() -> dict[str, Any] | None:
            found = self.status()
            return found if condition(found) else None

        try:
            found = wait_until(holds, what)
        except AssertionError as error:
            error.add_note(f"the last status: {json.dumps(self.status())}")
            raise
        assert found is not None
        return found

    def wait_for_stage(self, stage: str) -> None:
        """Some conversation is in this stage."""
        self.wait_for_status(
            lambda s: stage in {w["stage"] for w in s["workers"]}, f"one is in stage {stage}"
        )

    def records(self) -> list[dict[str, Any]]:
        """The access log so far."""
        text = self.access_log.read_text() if self.access_log.exists() else ""
        return [json.loads(line) for line in _whole_lines(text)]

    # The log

    def announce(self, *events: str, code: int | None = None, last_line: str = "") -> None:
        """These will be logged as warnings or errors, each at least once; it will end with this code and line."""
        self.announced.update(events)
        self.code = self.code if code is None else code
        self.last_line = last_line or self.last_line

    def tolerate(self, *events: str) -> None:
        """These may be logged, or not: it is not for the test to decide."""
        self.tolerated.update(events)

    def announce_crash(self, error: str) -> None:
        """It will end by this error of its own, whose traceback is the end of the log."""
        self.code, self.crash = 1, error

    def log_text(self) -> str:
        return (self.folder / "stderr").read_text(errors="replace")

    def events(self, name: str = "") -> list[dict[str, Any]]:
        """What was logged so far; a line that is no event is one that nobody meant to write."""
        lines = _whole_lines(self.log_text())
        found = [json.loads(line) for line in lines if not line.startswith("listening on ")]
        return [event for event in found if name in ("", event["event"])]

    def wait_for_event(self, name: str, count: int = 1) -> list[dict[str, Any]]:
        """The events of this name, once there are so many."""
        return wait_until(
            lambda: found if len(found := self.events(name)) >= count else [],
            f"{count} times {name} in the log",
        )

    def wait_for_log(self, text: str) -> None:
        wait_until(lambda: text in self.log_text(), f"{text!r} in the log")

    def check_log(self) -> None:
        if self.crash:
            lines = self.log_text().splitlines()
            assert "Traceback (most recent call last):" in lines
            assert lines[-1].startswith(self.crash)
            return
        events = self.events()
        if self.last_line:
            bye = events.pop()
            assert (bye["event"], bye["exit_code"], bye["reason"]) == ("bye", self.code, self.last_line)
        loud = [event for event in events if event["level"] in ("warning", "error")]
        assert {event["event"] for event in loud} - self.tolerated == self.announced, loud


def open_connections(status: dict[str, Any]) -> int:
    """How many conversations are going on."""
    accepted, outcomes = int(status["totals"]["connections"]), status["totals"]["outcomes"]
    return accepted - sum(int(count) for count in outcomes.values())


def _whole_lines(text: str) -> list[str]:
    """Without the one that is just being written."""
    return text.split("\n")[:-1]
