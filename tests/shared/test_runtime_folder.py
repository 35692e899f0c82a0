"""Where control sockets are by default, and to whom the folder has to belong."""

import os
from pathlib import Path

import pytest

from procserver.addresses import UNIX_PATH_BYTES_MAX
from procserver.errors import ConfigError
from procserver.shared.runtime_folder import default_path, make_private_folder, runtime_folder


def test_the_default_folder_is_ours_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    folder = runtime_folder()
    make_private_folder(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    with pytest.raises(ConfigError, match="not a folder that only we can write to"):
        make_private_folder(folder)
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(ConfigError, match="not a folder that only we"):
        make_private_folder(tmp_path / "link")


def test_a_bind_that_is_too_long_for_a_socket_s_name_still_has_a_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/procserver")
    path = default_path("unix:/" + "long" * 25)
    assert len(os.fsencode(path)) <= UNIX_PATH_BYTES_MAX
    assert path != default_path("unix:/" + "long" * 24)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"cannot make .*Not a directory"):
        make_private_folder(tmp_path / "file" / "folder")
