"""A server whose handler and settings stand in files that a test rewrites under it."""

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from tests.support.clients import Guest
from tests.support.server import RunningServer, command, run_to_end
from tests.support.wait import PATIENCE_S

PARROT = """\
def handle(conn):
    conn.send(b"{name}\\n")
    for line in conn.lines():
        conn.send(b"{name}:" + line + b"\\n")
"""


class ChangingServer(RunningServer):
    """Serves `changing:handle`: at first a parrot that calls itself "one"."""

    def __init__(self, *flags: str, settings: str = "") -> None:
        super().__init__(*flags, handler="changing:handle")
        self.module, self.config = self.folder / "changing.py", self.folder / "procserver.toml"
        # Compiled code is told from its source by size and second: a test changes it faster.
        self.env |= {"PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"}
        self.argv += ["--config", str(self.config)]
        self.be("one")
        self.set(settings)

    def be(self, name: str) -> None:
        """From the next reload on."""
        self.write_code(PARROT.format(name=name))

    def write_code(self, text: str) -> None:
        self.module.write_text(text)

    def set(self, settings: str) -> None:
        """The settings of the configuration file, one a line."""
        self.config.write_text(f"[procserver]\n{settings}\n")

    def meet(self, name: str) -> Guest:
        """A guest that is received by this parrot."""
        guest = self.connect()
        guest.hear(name.encode() + b"\n")
        return guest

    def chat(self, guest: Guest, name: str) -> None:
        """The guest still talks with this one."""
        guest.say(b"who?\n")
        guest.hear(name.encode() + b":who?\n")

    def order(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command for the server, to its end."""
        return run_to_end(*words, "--control", str(self.control))

    @contextlib.contextmanager
    def ordering(self, *words: str) -> Iterator["Order"]:
        """A command for the server that takes its time; it has ended when the `with` has."""
        order = Order()
        with subprocess.Popen(
            command(*words, "--control", str(self.control)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield order
                order.stdout, order.stderr = process.communicate(timeout=PATIENCE_S)
                order.returncode = process.returncode
            finally:
                process.kill()


@dataclass
class Order:
    """What a command said, and how it ended."""

    returncode: int | None = None
    stdout: str = ""
    stderr: str = ""
