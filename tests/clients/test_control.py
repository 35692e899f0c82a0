"""The client of the control socket: where it looks, and what it says where there is no answer."""

import os
import socket
from pathlib import Path

import pytest

from procserver.clients import control
from procserver.clients.control import ControlError
from procserver.errors import ConfigError


def test_what_the_client_says_when_nobody_answers(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="no server answers"):
        control.request(tmp_path / "nobody.sock", {"command": "status"})
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent.sock"))
        silent.listen()
        with pytest.raises(ControlError, match=r"no answer within 0\.1 s"):
            control.request(tmp_path / "silent.sock", {"command": "status"}, timeout_s=0.1)


def test_the_default_folder_is_ours_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    folder = control.runtime_folder()
    control.make_private_folder(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    with pytest.raises(ConfigError, match="not a folder that only we can write to"):
        control.make_private_folder(folder)
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(ConfigError, match="not a folder that only we"):
        control.make_private_folder(tmp_path / "link")


def test_a_bind_that_is_too_long_for_a_socket_s_name_still_has_a_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/procserver")
    path = control.default_path("unix:/" + "long" * 25)
    assert len(os.fsencode(path)) <= control.SUN_PATH_MAX
    assert path != control.default_path("unix:/" + "long" * 24)
