"""Errors at the start: each with its exit code, and one last line that says what, why, and what is allowed."""

import os
import pwd
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.support.clients import Guest
from tests.support.repository import ROOT
from tests.support.server import RunningServer, command, run_to_end
from tests.support.wait import PATIENCE_S, read_to_end

FREE = ("--bind", "127.0.0.1:0", "--control", "none")
BROKEN_HANDLERS = {
    "raises": ("raise OSError('no such table')", "OSError: no such table"),
    "leaves": ("import sys; sys.exit('not today')", "not today"),
    "syntax": ("def handle(conn:", "SyntaxError"),
    "nothing": ("handle = 3", "int is not callable"),
    "no_handle": ("class handle: pass", "no method handle(conn)"),
    "missing": ("other = print", "has no 'handle'"),
}


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    assert "Traceback" not in done.stderr.splitlines()[-1]
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize("verb", ["serve", "check"])
@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--workers", "many"), ("workers='many'", "--workers", "whole number", "1 to 20000")),
        (("--workers", "0"), ("workers=0", "out of range", "1 to 20000")),
        (("--idle-timeout", "-1"), ("idle_timeout=-1.0", "0 to 2592000 s", "0 is off")),
        (("--idle-timeout", "nan"), ("idle_timeout=nan", "0 to 2592000 s")),
        (("--framing", "morse"), ("framing='morse'", "raw, line")),
        (("--min-spare", "9", "--max-spare", "3"), ("max_spare=3", "less than min_spare", "9 and more")),
        (("--bind", "nowhere"), ("'nowhere'", "no port", "HOST:PORT")),
        (("--config", "/no/such/file"), ("config='/no/such/file'", "cannot be read")),
    ],
)
def test_a_setting_that_cannot_be_is_refused(
    verb: str, flags: tuple[str, ...], words: tuple[str, ...]
) -> None:
    """Exit code 2; key, value, reason and range."""
    done = run_to_end(verb, *flags)
    assert done.returncode == 2
    for word in words:
        assert word in last_line(done)


def test_a_file_s_unknown_key_is_refused_and_its_good_ones_are_used(tmp_path: Path) -> None:
    config = tmp_path / "procserver.toml"
    config.write_text("[procserver]\nworkers = 3\nwrokers = 4\n")
    done = run_to_end("check", "--config", str(config))
    assert done.returncode == 2
    for word in (str(config), "wrokers=4", "no such setting", "workers"):
        assert word in last_line(done)
    config.write_text("[procserver]\nworkers = 3\n")
    env = os.environ | {"PROCSERVER_IDLE_TIMEOUT": "90s", "PROCSERVER_PORT_80_TCP": "x"}
    done = run_to_end("check", "--print", "--config", str(config), "--write-timeout", "500ms", env=env)
    assert done.returncode == 0
    assert "PROCSERVER_PORT_80_TCP: no such setting; ignored" in done.stderr
    shown = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}
    assert shown["workers"] == ["3", str(config)]
    assert shown["idle_timeout"] == ["90.0", "PROCSERVER_IDLE_TIMEOUT"]
    assert shown["write_timeout"] == ["0.5", "--write-timeout"]
    assert shown["backlog"] == ["2048", "default"]


@pytest.mark.parametrize("name", BROKEN_HANDLERS)
@pytest.mark.parametrize("verb", ["serve", "check"])
def test_a_handler_that_cannot_be_loaded(verb: str, name: str, tmp_path: Path) -> None:
    """Exit code 2, and the reason; `serve` has held no port meanwhile."""
    source, reason = BROKEN_HANDLERS[name]
    (tmp_path / f"{name}.py").write_text(source + "\n")
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = run_to_end(verb, f"{name}:handle", *FREE, cwd=tmp_path, env=env)
    assert done.returncode == 2
    assert reason in last_line(done)


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        ("no_such_module:handle", "No module named 'no_such_module'"),
        ("examples.echo", "expected MODULE:CALLABLE"),
    ],
)
def test_a_handler_that_does_not_exist(handler: str, reason: str) -> None:
    done = run_to_end("serve", handler, *FREE)
    assert done.returncode == 2
    assert reason in last_line(done)


def test_an_address_of_another_machine() -> None:
    done = run_to_end("serve", "--bind", "192.0.2.1:0", "--control", "none")
    assert done.returncode == 1
    assert "192.0.2.1:0" in last_line(done)
    assert "not one of this machine's" in last_line(done)


def test_a_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        done = run_to_end("serve", "--bind", address, "--control", "none")
    assert done.returncode == 1
    assert address in last_line(done)
    assert "in use" in last_line(done)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody without the right")
def test_a_privileged_port_without_the_right(tmp_path: Path) -> None:
    """Said as it is: ports below 1024 need root or a capability."""
    nobody = pwd.getpwnam("nobody")
    limit = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    if limit == 0:
        pytest.skip("this machine lets everybody have every port")
    script = (
        "import os; from procserver.errors import StartError; from procserver.supervisor.listeners import Listeners\n"
        "'localhost'.encode('idna')  # loaded while we may still read the library\n"
        f"os.setgroups([]); os.setgid({nobody.pw_gid}); os.setuid({nobody.pw_uid})\n"
        "try: Listeners.open(['127.0.0.1:1'], 8, {})\n"
        "except StartError as error: print(error)\n"
    )
    done = subprocess.run(
        [*command()[:1], "-c", script],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=PATIENCE_S,
        check=True,
    )
    assert "cannot listen on 127.0.0.1:1: no right to; ports below 1024 need root" in done.stdout


def test_a_pidfile_is_held_by_its_lock_not_by_its_number(tmp_path: Path) -> None:
    """A number that was left, even that of somebody who lives, stops nobody; a living server does, upgraded or not."""
    path = tmp_path / "pid"
    path.write_text(f"{os.getpid()}\n")
    second = ("serve", *FREE, "--pidfile", str(path))
    with RunningServer("--pidfile", str(path)) as server:
        for _ in range(2):
            assert path.read_text() == f"{server.pid}\n"
            done = run_to_end(*second)
            assert (done.returncode, "its server is still running" in last_line(done)) == (1, True)
            assert run_to_end("upgrade", "--control", str(server.control)).returncode == 0
        assert path.read_text() == f"{server.pid}\n"
    assert not path.exists()
    with RunningServer("--pidfile", str(path)) as server:
        server.kill_supervisor()
    assert path.exists()
    with RunningServer("--pidfile", str(path)) as server:
        assert path.read_text() == f"{server.pid}\n"


def test_a_pidfile_that_points_elsewhere_is_refused(tmp_path: Path) -> None:
    target, path = tmp_path / "target", tmp_path / "pid"
    target.write_text("not yours\n")
    path.symlink_to(target)
    done = run_to_end("serve", *FREE, "--pidfile", str(path))
    assert (done.returncode, f"cannot write the pidfile {path}" in last_line(done)) == (1, True)
    assert target.read_text() == "not yours\n"


def test_a_ready_fd_that_is_not_open() -> None:
    done = run_to_end("serve", *FREE, "--ready-fd", "77")
    assert done.returncode == 2
    assert "ready_fd=77: no such descriptor is open" in last_line(done)


def test_the_ready_line_is_also_on_stderr() -> None:
    with RunningServer(bind=("127.0.0.1:0", "127.0.0.1:0")) as server:
        server.wait_for_log(f"listening on {', '.join(server.addresses)}\n")
        for address in server.addresses:
            server.guest(address).leave()


def test_an_inherited_socket_is_served_and_outlives_the_server() -> None:
    """`fd://N`: no port race, and what we did not make we do not close for others, however we end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        fd = listener.fileno()
        with RunningServer(bind=(f"fd://{fd}",), pass_fds=(fd,)) as server:
            server.guest().leave()
        with RunningServer(bind=(f"fd://{fd}",), pass_fds=(fd,)) as server:
            guest = server.guest()
            server.kill_supervisor()
            guest.hear_the_end()
            server.tally.expect("drained")
        with Guest(server.address) as late:  # in the queue of a socket that lives on
            listener.settimeout(PATIENCE_S)
            connection, _ = listener.accept()
            connection.close()
            late.hear_the_end()


def test_debug_serves_in_one_process(tmp_path: Path) -> None:
    """One connection after another, in the foreground, each shown; TERM ends it."""
    out = tmp_path / "out"
    with out.open("wb") as file:
        process = subprocess.Popen(
            command("serve", "--debug", *FREE, "--framing", "line"),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.PIPE,
        )
    with process:
        assert process.stderr is not None
        line = process.stderr.readline().decode()
        assert line.startswith("listening on 127.0.0.1:")
        address = line.split()[2]
        for _ in range(2):
            with Guest(address, framing="line") as guest:
                guest.welcome().greet(b"X")
                guest.leave()
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    assert out.read_text().count("closed after") == 2


def test_a_script_of_its_own(tmp_path: Path) -> None:
    """The library's way: a function of the running script travels by the script's path."""
    script = tmp_path / "shout.py"
    script.write_text(
        "import os, sys\n"
        "from procserver import Server, Settings\n\n"
        "def handle(conn):\n    for line in conn.lines():\n        conn.send(line.upper() + b'\\n')\n\n"
        "if __name__ == '__main__':\n"
        "    settings = Settings(bind=('127.0.0.1:0',), control='none')\n"
        "    sys.exit(Server(handle, settings, ready_fd=int(sys.argv[1])).run())\n"
    )
    ready, theirs = os.pipe()
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen([*command()[:1], str(script), str(theirs)], pass_fds=(theirs,), env=env) as process:
        os.close(theirs)
        address = read_to_end(ready, "the script serves").decode().split()[2]
        os.close(ready)
        with Guest(address) as guest:
            guest.say(b"loud\n")
            guest.hear(b"LOUD\n")
        process.terminate()
        assert process.wait(PATIENCE_S) == 0
