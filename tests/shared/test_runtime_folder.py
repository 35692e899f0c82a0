"""Where control sockets live by default."""

import os
from pathlib import Path

import pytest

from procserver.addresses import UNIX_PATH_BYTES_MAX
from procserver.errors import ConfigError
from procserver.shared import runtime_folder


def test_the_default_folder_is_ours_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    folder = runtime_folder.runtime_folder()
    runtime_folder.make_private_folder(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    with pytest.raises(ConfigError, match="not a folder that only we can write to"):
        runtime_folder.make_private_folder(folder)
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(ConfigError, match="not a folder that only we"):
        runtime_folder.make_private_folder(tmp_path / "link")


def test_a_bind_that_is_too_long_for_a_socket_s_name_still_has_a_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/procserver")
    path = runtime_folder.default_path("unix:/" + "long" * 25)
    assert len(os.fsencode(path)) <= UNIX_PATH_BYTES_MAX
    assert path != runtime_folder.default_path("unix:/" + "long" * 24)
