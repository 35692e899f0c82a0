"""`procserver fetch`: what goes where, what stays if it fails, and its exit codes."""

import os
import pty
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from procserver.cli.fetch import fetch, whole_file
from tests.support.http_peers import OK, PAGE, SIZED, Serve, answering, stays, url_of
from tests.support.scripted_server import (
    ScriptedServer,
)
from tests.support.wait import PATIENCE_S, wait_until


def run_fetch(*arguments: str) -> Result:
    return CliRunner().invoke(fetch, list(arguments))


def test_command_prints_body_and_head_apart() -> None:
    """The body alone goes to stdout, to be piped; the head is seen on stderr."""
    with ScriptedServer(answering(SIZED)) as server:
        result = run_fetch(url_of(server))
    assert (result.exit_code, result.stdout) == (0, PAGE.decode())
    assert result.stderr == "HTTP/1.1 200 OK\nContent-Type: text/html\nContent-Length: 17\n\n"


def test_command_saves_the_body(tmp_path: Path) -> None:
    """With -o the head goes to stdout and the body to the file, under the modes that files get here."""
    page = tmp_path / "page.html"
    with ScriptedServer(answering(SIZED)) as server:
        result = run_fetch(url_of(server), "-o", str(page))
    assert result.exit_code == 0
    assert result.stdout.startswith("HTTP/1.1 200 OK\n")
    assert result.stdout.endswith(f"saved 17 bytes to {page}\n")
    assert page.read_bytes() == PAGE
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(page.stat().st_mode) == 0o666 & ~umask
    assert list(tmp_path.iterdir()) == [page]


@pytest.mark.parametrize(
    "script",
    [
        answering(OK + b"Content-Length: 99\r\n\r\n" + PAGE),
        answering(OK + b"Content-Length: 99999\r\n\r\n"),
        answering(OK + b"\r\n" + b"x" * 20_000, then=stays),
        answering(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone"),
        answering(b"HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n"),
    ],
    ids=["truncated", "announced-too-long", "too-long", "404", "redirect"],
)
@pytest.mark.parametrize("there_before", [True, False])
def test_command_keeps_what_was_there_unless_the_page_came_whole(
    script: Serve, there_before: bool, tmp_path: Path
) -> None:
    """After a failure the folder is as it was: the old page or none, and no half of the new one."""
    page = tmp_path / "page.html"
    if there_before:
        page.write_text("old")
    with ScriptedServer(script) as server:
        result = run_fetch(url_of(server), "-o", str(page), "--max-bytes", "10000")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"] * there_before


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("/there?x", "http://{address}/there?x"),
        ("https://example.org/", "https://example.org/"),
        ("http://[", "http://["),
        ("http://a/\x1b[2J", "http://a/\\x1b[2J"),
    ],
)
def test_command_says_where_a_redirect_points(location: str, shown: str) -> None:
    """A redirect is not followed but shown, absolute, and harmless to a terminal; the exit code tells."""
    answer = f"HTTP/1.1 301 Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()
    with ScriptedServer(answering(answer)) as server:
        result = run_fetch(url_of(server))
    assert result.exit_code == 1
    assert result.stderr.endswith(
        f"Error: not followed: a redirect to {shown.format(address=server.address)}\n"
    )
    assert "\x1b" not in result.stderr


def test_command_prints_an_error_page_and_fails() -> None:
    """Any other answer is shown, but the exit code says that it is not the page."""
    with ScriptedServer(answering(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone")) as server:
        result = run_fetch(url_of(server))
    assert (result.exit_code, result.stdout) == (1, "gone")
    assert result.stderr.endswith("Error: the answer is 404 Not Found\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Missing argument 'URL'"),
        (["example.org"], "start with http:// or https://"),
        (["http://h/\r\nX:1"], "space or a control character"),
        (["http://h/", "--max-bytes", "-1"], "x>=0"),
        (["http://h/", "--timeout", "0"], "0.001<=x<=86400"),
        (["https://h/", "--cacert", "/nonexistent"], "No such file"),
        (["https://h/", "--cacert", "x", "--insecure"], "exclude each other"),
    ],
)
def test_command_refuses_wrong_usage_before_it_connects(arguments: list[str], words: str) -> None:
    """Usage errors: exit code 2, with the value and what is allowed."""
    result = run_fetch(*arguments)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())


def test_command_cannot_write_there(tmp_path: Path) -> None:
    """A folder that is not there, or a folder in the file's place: exit code 1 and the reason."""
    for path in (tmp_path, tmp_path / "missing" / "page"):
        with ScriptedServer(answering(SIZED)) as server:
            result = run_fetch(url_of(server), "-o", str(path))
        assert result.exit_code == 1
        assert result.stderr.startswith(f"Error: cannot write {path}: ")
    assert list(tmp_path.iterdir()) == []


COMMAND = [sys.executable, "-c", "from procserver.cli.fetch import fetch; fetch()"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_command_leaves_nothing_when_it_is_stopped(number: signal.Signals, tmp_path: Path) -> None:
    """Stopped in the middle of the body, it removes what it had of it and fails."""
    script = answering(OK + b"Content-Length: 99\r\n\r\nabc", then=stays)
    with ScriptedServer(script) as server:
        command = [*COMMAND, url_of(server), "-o", str(tmp_path / "page")]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            wait_until(lambda: list(tmp_path.iterdir()), "the body has begun to be saved")
            process.send_signal(number)
            assert process.wait(PATIENCE_S) in (1, 128 + number)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """A terminal's two ends: what a person sees, and what a program writes to."""
    seen, written = pty.openpty()
    yield seen, written
    os.close(seen)


@pytest.mark.parametrize(("size", "shown"), [(3 * 1024 * 1024, True), (1000, False)])
def test_command_shows_progress_on_a_terminal(
    size: int, shown: bool, terminal: tuple[int, int], tmp_path: Path
) -> None:
    """A long body's progress is drawn and wiped away again; a short one needs none."""
    head = OK + b"Content-Length: %d\r\n\r\n" % size
    with ScriptedServer(answering(head, b"x" * size)) as server:
        command = [*COMMAND, url_of(server), "-o", str(tmp_path / "page")]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=terminal[1]) as process:
            os.close(terminal[1])
            assert process.wait(PATIENCE_S) == 0
    os.set_blocking(terminal[0], False)
    try:
        drawn = os.read(terminal[0], 65536).decode()
    except OSError:  # EIO or EAGAIN: nothing was ever written
        drawn = ""
    assert ("of 3.0 MiB, " in drawn) is shown
    assert drawn.endswith("\r\x1b[K") is shown


def test_whole_file_keeps_links_and_modes(tmp_path: Path) -> None:
    """A link stays a link, what it points to is replaced and keeps its mode."""
    target, channel = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    target.chmod(0o640)
    channel.symlink_to(target)
    with whole_file(str(channel)) as out:
        out.write(b"new")
        assert target.read_text() == "old"
    assert channel.is_symlink()
    assert target.read_text() == "new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_whole_file_writes_to_a_device_as_it_is() -> None:
    """A device is never replaced by a file."""
    with whole_file(os.devnull) as out:
        out.write(b"gone")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
