"""A reader who does what a page says, in a folder of their own, and compares.

Ports are the kernel's choice: where a page says 127.0.0.1:9999, the server is started on port 0, and from its
ready line on, that address stands for the real one, in commands and in what they print.
"""

import ast
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple, Self

import pytest

from tests.support.pages import Block, Step, agrees, steps
from tests.support.repository import ROOT
from tests.support.wait import PATIENCE_S, read_to_end, wait_until

READY = "listening on "
LOOPBACK = re.compile(r"127\.0\.0\.1:\d+")


class Server(NamedTuple):
    """One that a page has started: `shown` is what its terminal will have shown when it ends."""

    where: str
    process: subprocess.Popen[bytes]
    output: Path
    shown: list[str]
    numbers_vary: bool


class Reader:
    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="reader-"))  # short: control sockets lie in it
        self.bin = self.folder / ".bin"
        self.real: dict[str, str] = {}
        self.servers: list[Server] = []
        self.bin.mkdir()
        (self.folder / "examples").symlink_to(ROOT / "examples")
        self._stand_in("python", f'exec "{sys.executable}" "$@"')
        self._stand_in("procserver", f'exec "{sys.executable}" -P -m procserver "$@"')
        self.env = os.environ | {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "XDG_RUNTIME_DIR": str(self.folder),
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for server in self.servers:
            if server.process.poll() is None:
                server.process.kill()
            server.process.wait(PATIENCE_S)
        shutil.rmtree(self.folder)

    def follow(self, block: Block) -> None:
        """Do what a block says; AssertionError with what was shown and what came."""
        if name := block.options.get("file"):
            text = "\n".join(block.lines) + "\n"
            (self.folder / name).write_text(
                LOOPBACK.sub("127.0.0.1:0", text) if name.endswith(".py") else text
            )
        elif block.language == "console":
            for step in steps(block):
                self._take(step, block)
        elif block.language == "conversation":
            self._converse(block)

    def leave(self) -> None:
        """Stop the servers that the page leaves running, and compare what every one has shown."""
        for server in self.servers:
            shown = server.shown
            if not shown[-1].endswith(("(exit code 0)", "…")):
                shown = [*shown, "…"]
            if shown[-1] == "…":
                server.process.terminate()
            assert server.process.wait(PATIENCE_S) == 0, server.output.read_text()
            self._compare(server.where, shown, server.output.read_text(), vary=server.numbers_vary)

    # One step

    def _take(self, step: Step, block: Block) -> None:
        if re.search(r"\bnc\b", step.command):
            need_nc()
        if step.prints and step.prints[0].startswith(READY):
            self._serve(step, block)
        elif "typed" in block.options:
            self._type(step, block)
        else:
            done = subprocess.run(
                ["bash", "-c", self._translated(step.command)],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                text=True,
                cwd=self.folder,
                env=self.env,
                timeout=PATIENCE_S,
                check=False,
            )
            self._compare(block.where, step.prints, done.stdout, vary=block.numbers_vary)

    def _serve(self, step: Step, block: Block) -> None:
        """Start it, wait until it is ready, and learn its addresses."""
        command = LOOPBACK.sub("127.0.0.1:0", as_make_would(step.command))
        output = self.folder / f".output-{len(self.servers)}"
        with output.open("wb") as stream:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=self.folder,
                env=self.env | ({} if "--bind" in command else {"PROCSERVER_BIND": "127.0.0.1:0"}),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
            )
        self.servers.append(Server(block.where, process, output, step.prints, block.numbers_vary))

        def ready_line() -> str:
            first, newline, _ = output.read_text().partition("\n")
            assert process.poll() is None or newline, f"{block.where}: it ended without being ready: {first}"
            return first if newline else ""

        came = wait_until(ready_line, f"{block.where}: {step.command} is ready")
        assert came.startswith(READY), f"{block.where}: {output.read_text()}"
        shown_names, real_names = (line.removeprefix(READY).split(", ") for line in (step.prints[0], came))
        self.real.update(zip(shown_names, real_names, strict=True))

    def _type(self, step: Step, block: Block) -> None:
        """Type each word when what the page shows before it has come."""
        rest = "".join(line + "\n" for line in step.prints)
        with subprocess.Popen(
            ["bash", "-c", f"exec {self._translated(step.command)}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            cwd=self.folder,
            env=self.env,
        ) as program:
            assert program.stdin is not None
            assert program.stdout is not None
            try:
                for word in block.options["typed"].split(","):
                    before, typed, rest = rest.partition(word + "\n")
                    assert typed, f"{block.where}: {word} is not shown"
                    assert read_exactly(program.stdout.fileno(), len(before)).decode() == before
                    program.stdin.write(typed.encode())
                program.stdin.close()
                assert (
                    read_to_end(program.stdout.fileno(), f"{block.where}: {step.command} ends").decode()
                    == rest
                )
            finally:
                program.kill()

    def _converse(self, block: Block) -> None:
        """The lines `S: …` are what the greeting says, `C: …` what a client sends in one segment."""
        flags = " ".join(f"--{name} {value}" for name, value in block.options.items())
        name = f"the server of {block.where}"
        self._serve(Step(f"procserver serve --control none {flags}", [READY + name, "…"]), block)
        host, port = self.real[name].split(":")
        with socket.create_connection((host, int(port)), PATIENCE_S) as client:
            for number, line in enumerate(block.lines, 1):
                who, text = line[:3], line[3:]
                assert who in ("S: ", "C: "), f"{block.where}: {line}"
                data = b"" if text == "(end)" else ast.literal_eval(f"b'''{text}'''")
                if who == "S: ":
                    came = read_exactly(client.fileno(), len(data)) if data else client.recv(1024)
                    assert came == data, f"{block.where}, line {number}: shown {data!r}, came {came!r}"
                elif data:
                    client.sendall(data)
                else:
                    client.shutdown(socket.SHUT_WR)

    # Inside

    def _translated(self, text: str) -> str:
        """With the real addresses in place of those that the page names."""
        for shown, real in self.real.items():
            text = text.replace(shown, real).replace(shown.replace(":", " "), real.replace(":", " "))
        return text

    def _compare(self, where: str, shown: list[str], printed: str, *, vary: bool) -> None:
        expected = [self._translated(line) for line in shown]
        assert agrees(expected, printed.splitlines(), numbers_vary=vary), (
            f"{where} shows\n" + "\n".join(expected) + f"\nbut this is printed:\n{printed}"
        )

    def _stand_in(self, name: str, script: str) -> None:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)


def as_make_would(command: str) -> str:
    """For `make TARGET`, the last line of what it would run; our own environment takes the place of its `.venv`."""
    if not command.startswith("make "):
        return command
    clean = ["env", "-u", "MAKEFLAGS", "-u", "MAKELEVEL", "make", "-n", "--no-print-directory"]
    target = command.removeprefix("make ")
    lines = subprocess.run(
        [*clean, target], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return lines[-1].removeprefix("exec ").replace(".venv/bin/", "")


def need_nc() -> None:
    """Skip unless this is OpenBSD's netcat: others have no -N."""
    if shutil.which("nc") is None:
        pytest.skip("no nc here (Debian: apt-get install netcat-openbsd)")
    told = subprocess.run(["nc", "-h"], capture_output=True, text=True, check=False)
    if "OpenBSD" not in told.stdout + told.stderr:
        pytest.skip("this nc is not OpenBSD's (Debian: apt-get install netcat-openbsd)")


def read_exactly(fd: int, size: int) -> bytes:
    """So many bytes; fewer if the stream ends before."""
    data = b""
    while len(data) < size:
        ready, _, _ = select.select([fd], [], [], PATIENCE_S)
        assert ready, f"expected {size} bytes, came {data!r} and then nothing"
        chunk = os.read(fd, size - len(data))
        if not chunk:
            break
        data += chunk
    return data
