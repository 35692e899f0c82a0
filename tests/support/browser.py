"""A real browser without a window: Chromium, driven over its own debugging pipe, so that no driver need be installed.

The protocol is JSON with a NUL behind each message: what is sent on descriptor 3 is answered on 4.
https://chromedevtools.github.io/devtools-protocol/
"""

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PROGRAM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
needs_browser = pytest.mark.skipif(
    PROGRAM is None, reason="no chromium here (Debian: apt-get install chromium)"
)

PATIENCE_S = 30.0  # far beyond what any step takes
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-first-run",
)
# Nothing of its own is asked of the network: a page that needs anything from elsewhere is seen to fail.
ALONE = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-default-browser-check",
)


class Page:
    """One tab. `complaints` are what a developer would see in red: errors, exceptions, what could not be loaded."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self.to_browser, self.from_browser = to_browser, from_browser
        self.rest = b""
        self.number = 0
        self.session: str | None = None
        self.complaints: list[str] = []
        self.asked: list[str] = []  # each address that the page loaded, but for data in the page itself
        self.seen: set[str] = set()
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def open(self, address: str, *, width: int = 1280, height: int = 900) -> None:
        """Load a page, and everything in it."""
        self.resize(width, height)
        self.seen.clear()
        answer = self.ask("Page.navigate", url=address)
        assert "errorText" not in answer, f"{address}: {answer}"
        self.wait_for_event("Page.loadEventFired")

    def forget(self) -> None:
        """What was complained of and asked for so far."""
        self.complaints.clear()
        self.asked.clear()

    def resize(self, width: int, height: int) -> None:
        """A window of so many pixels; those of a phone are told to be one."""
        mobile = width < 600
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
        self.ask("Emulation.setDeviceMetricsOverride", **size)

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression; a promise is waited for."""
        answer = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, f"{script}: {answer['exceptionDetails']}"
        return answer["result"].get("value")

    def wait_for(self, script: str, timeout_s: float = PATIENCE_S) -> Any:
        """The first true value of an expression, looked at once per frame that the page draws."""
        turns = "new Promise(go => requestAnimationFrame(() => setTimeout(go, 20)))"
        end = f"performance.now() + {1000 * timeout_s}"
        found = (
            f"(async () => {{ const end = {end}; for (;;) {{ const value = {script}; if (value) return value;"
        )
        found += f" if (performance.now() > end) return null; await {turns}; }} }})()"
        value = self.run(found)
        assert value, f"not within {timeout_s:g} s: {script}"
        return value

    def picture(self, path: Path, *, whole: bool = True, of: str | None = None) -> None:
        """The whole page, or what is in the window, or the element that an expression says, as a PNG."""
        params: dict[str, Any] = {"format": "png", "captureBeyondViewport": whole}
        if of is not None:
            box = self.run(
                f"(r => ({{x: r.x, y: r.y, width: r.width, height: r.height}}))({of}.getBoundingClientRect())"
            )
            edge = 16
            params["clip"] = {
                "x": box["x"] - edge,
                "y": box["y"] + self.run("scrollY") - edge,
                "width": box["width"] + 2 * edge,
                "height": box["height"] + 2 * edge,
                "scale": 1,
            }
        path.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot", **params)["data"]))

    def paper(self) -> bytes:
        """The page as a PDF, on the paper that it asks for."""
        printed = self.ask("Page.printToPDF", preferCSSPageSize=True, printBackground=False)
        return base64.b64decode(printed["data"])

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session is not None:
            message["sessionId"] = self.session
        os.write(self.to_browser, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.next_message()
            if answer.get("id") == self.number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result

    def wait_for_event(self, name: str) -> None:
        while name not in self.seen:
            self.next_message()

    def next_message(self) -> dict[str, Any]:
        deadline = time.monotonic() + 2 * PATIENCE_S
        while b"\0" not in self.rest:
            left_s = max(0.0, deadline - time.monotonic())
            ready, _, _ = select.select([self.from_browser], [], [], left_s)
            assert ready, "the browser does not answer"
            data = os.read(self.from_browser, 1 << 20)
            assert data, "the browser has ended"
            self.rest += data
        text, _, self.rest = self.rest.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        self.note(message.get("method", ""), message.get("params", {}))
        return message

    def note(self, event: str, params: dict[str, Any]) -> None:
        self.seen.add(event)
        if event == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"]))
        elif event == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert", "warning"):
            self.complaints.append(str(params["args"]))
        elif event == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(str(params["entry"]))
        elif event == "Network.requestWillBeSent" and not params["request"]["url"].startswith(
            ("data:", "blob:")
        ):
            self.asked.append(params["request"]["url"])


@contextmanager
def browser() -> Iterator[Page]:
    """A browser with one tab and a profile of its own, ended when the body is."""
    assert PROGRAM is not None
    commands, to_browser = os.pipe()
    from_browser, answers = os.pipe()
    with tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True) as folder:
        # The shell puts the two pipes where Chromium expects them, and becomes it.
        script = f'exec "$@" 3<&{commands} 4>&{answers}'
        options = [*QUIET, *ALONE, f"--user-data-dir={folder}/profile", "--remote-debugging-pipe"]
        with open(f"{folder}/log", "wb") as log:
            process = subprocess.Popen(
                ["bash", "-c", script, "bash", PROGRAM, *options, "about:blank"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[commands, answers],
                start_new_session=True,
            )
        os.close(commands)
        os.close(answers)
        try:
            yield Page(to_browser, from_browser)
        finally:
            os.close(to_browser)  # the end of its input is the end of Chromium
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            os.close(from_browser)
