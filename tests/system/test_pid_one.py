"""The supervisor as PID 1 of a container: it reaps whoever comes to it, and stops when told."""

import os
import select
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from procserver.clients import control as control_client
from tests.support.clients import Guest
from tests.support.server import command
from tests.support.wait import PATIENCE_S, wait_until

NAMESPACE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]


def namespaces_are_allowed() -> bool:
    return (
        shutil.which("unshare") is not None
        and subprocess.run([*NAMESPACE, "true"], check=False, capture_output=True).returncode == 0
    )


@pytest.mark.skipif(not namespaces_are_allowed(), reason="no PID namespaces for us here")
def test_as_pid_1_it_reaps_strangers_and_stops_when_told(tmp_path: Path) -> None:
    """Nobody stands behind it: a handler's orphan is its child, and a signal that it does not handle has no effect."""
    control, fifo, log = tmp_path / "control.sock", tmp_path / "fifo", tmp_path / "log"
    os.mkfifo(fifo)
    ready, its = os.pipe()
    serve = command("serve", "tests.support.handlers:trouble", "--workers", "2", "--bind", "127.0.0.1:0")
    with log.open("wb") as output:
        namespace = subprocess.Popen(
            [*NAMESPACE, *serve, "--control", str(control), "--ready-fd", str(its)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(its,),
        )
    with namespace:
        try:
            os.close(its)
            assert select.select([ready], [], [], PATIENCE_S)[0], "the server is ready"
            address = os.read(ready, 4096).decode().removeprefix("listening on ").strip()
            os.close(ready)
            (server,) = children(namespace.pid)

            def status() -> dict[str, Any]:
                return control_client.request(control, {"command": "status"})

            wait_until(lambda: status()["pool"]["idle"] == 2, "both workers are there")
            assert status()["supervisor"]["pid"] == 1
            before = len(children(server))
            with Guest(address) as guest:
                guest.hear(b"ready\n")
                guest.say(b"grandchild %s\n" % bytes(fifo))
                guest.hear(b"done\n")
                assert len(children(server)) == before + 1
            fifo.write_bytes(b"")
            wait_until(lambda: len(children(server)) == before, "the orphan is reaped")
            os.kill(server, signal.SIGTERM)
            assert namespace.wait(PATIENCE_S) == 0
        finally:
            namespace.kill()
    assert "stopped by SIGTERM (exit code 0)" in log.read_text()


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
