"""The client of the control socket: where it looks, and what it says where there is no answer."""

import socket
from pathlib import Path

import pytest

from procserver.clients import control
from procserver.clients.control import ControlError


def test_what_the_client_says_when_nobody_answers(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="no server answers"):
        control.request(tmp_path / "nobody.sock", {"command": "status"})
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent.sock"))
        silent.listen()
        with pytest.raises(ControlError, match=r"no answer within 0\.1 s"):
            control.request(tmp_path / "silent.sock", {"command": "status"}, timeout_s=0.1)
