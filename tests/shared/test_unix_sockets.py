"""UNIX sockets in the file system: which one is replaced, which one is removed, which one counts as served."""

import os
import socket
import stat
from pathlib import Path

import pytest

from procserver.shared.unix_sockets import is_served, listen, unlink_own


def test_only_a_socket_without_a_server_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    with listen(str(path), 1), pytest.raises(FileExistsError, match="listening there already"):
        listen(str(path), 1)
    listen(str(path), 1).close()
    path.unlink()
    path.write_text("mine")
    with pytest.raises(FileExistsError, match="not a socket"):
        listen(str(path), 1)
    assert path.read_text() == "mine"


def test_a_private_socket_is_for_its_user_alone(tmp_path: Path) -> None:
    """And the umask is as before."""
    modes = []
    before = os.umask(0o022)
    try:
        for name, private in (("a", True), ("b", False)):
            listen(str(tmp_path / name), 1, private=private).close()
            modes.append(stat.S_IMODE((tmp_path / name).stat().st_mode))
        assert os.umask(before) == 0o022
    finally:
        os.umask(before)
    assert modes == [0o600, 0o755]


def test_a_server_whose_queue_is_full_is_a_server(tmp_path: Path) -> None:
    path = str(tmp_path / "x.sock")
    assert not is_served(path)
    server = listen(path, 0)
    with server, socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second:
        assert is_served(path)
        for client in (first, second):
            client.setblocking(False)
            client.connect_ex(path)
        assert is_served(path)
        with pytest.raises(FileExistsError, match="listening there already"):
            listen(path, 1)
    assert not is_served(path)


def test_only_the_own_socket_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    listen(str(path), 1).close()
    inode = path.stat().st_ino
    unlink_own(str(path), inode + 1)
    assert path.exists()
    unlink_own(str(path), inode)
    assert not path.exists()
    unlink_own(str(path), inode)
