"""The builds of a comparison: checkouts, and servers of any kind."""

import sys
from pathlib import Path
from typing import Any

import pytest

from loadtest.answers.compare.builds import builds, running
from loadtest.answers.compare.settings import CompareSettings, SideSettings
from loadtest.runs.service import ServiceError
from loadtest.workload.target import parse_host
from procserver.clients.greeting import GreetingClient
from procserver.errors import ConfigError
from tests.support.repository import ROOT


def sides(**b: Any) -> CompareSettings:
    return CompareSettings(
        a=SideSettings(name="a", serve=["--workers", "1"]),
        b=SideSettings(name="b", **b),
        pairs=5,
        tolerance=0.05,
        confidence=0.95,
        gates=["p50"],
    )


@pytest.mark.parametrize(
    "place",
    [
        "--bind 127.0.0.1:{port} --control none",
        "--bind 127.0.0.1:0 --ready-fd {ready_fd} --control {control}",
    ],
)
def test_any_server_can_be_a_side(place: str, tmp_path: Path) -> None:
    """Told where to listen, or telling; its environment is its own, and it is gone afterwards."""
    command = f"{sys.executable} -m procserver serve --framing {{framing}} {place}"
    with builds(sides(command=command, env={"PROCSERVER_WORKERS": "2"})) as (_, b):
        with running(b, "line", str(tmp_path / "log")) as service:
            with GreetingClient(parse_host(service.host).address, "line") as client:
                assert client.greet(b"Michael") == b"Hello,Michael\n"
            assert service.process is not None
            if "{control}" in place:
                status = service.status()
                assert status is not None
                assert status["pool"]["max_workers"] == 2
        assert service.exit_code == 0


def test_a_server_that_never_listens_is_told_by_its_end(tmp_path: Path) -> None:
    """With the port and how it ended."""
    command = f"{sys.executable} -c 'import sys; sys.exit(7)' {{port}}"
    with builds(sides(command=command)) as (_, b):
        with pytest.raises(
            ServiceError, match=r"before it listened on port [0-9]+: it ended with exit code 7"
        ):
            with running(b, "raw", str(tmp_path / "log")):
                raise AssertionError


def test_code_that_is_not_of_the_checkout_is_refused(tmp_path: Path) -> None:
    """An interpreter that imports another copy would compare the code with itself."""
    checkout = tmp_path / "checkout"
    (checkout / "procserver").mkdir(parents=True)
    (checkout / "procserver" / "__init__.py").touch()
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\ncd {ROOT}\nunset PYTHONPATH\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    settings = sides(of=str(checkout), python=str(python))
    with pytest.raises(ConfigError, match="does not run the code of that checkout"):
        with builds(settings):
            raise AssertionError
