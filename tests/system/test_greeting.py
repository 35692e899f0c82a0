"""The greeting, spoken with a running server: byte for byte, by every kind of client."""

import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import RunningServer, run_to_end
from tests.support.wait import PATIENCE_S, wait_until

# As published with the tutorial, unchanged.
PUBLISHED_CLIENT = """
import socket

s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
# 建立连接:
s.connect(('127.0.0.1', 9999))
# 接收欢迎消息:
print(s.recv(1024).decode('utf-8'))
for data in [b'Michael', b'Tracy', b'Chenqi']:
    # 发送数据:
    s.send(data)
    print(s.recv(1024).decode('utf-8'))
s.send(b'exit')
s.close()
"""
HELLOS = "Welcome!\nHello,Michael\nHello,Tracy\nHello,Chenqi\n"


@pytest.fixture(scope="module")
def raw() -> Iterator[RunningServer]:
    with RunningServer(bind=("127.0.0.1:0", "[::1]:0"), framing="raw") as server:
        yield server


@pytest.fixture(scope="module")
def line() -> Iterator[RunningServer]:
    with RunningServer(framing="line") as server:
        yield server


@pytest.mark.parametrize(
    "name", [b"X", b"\0\xff\x80", "\N{GRINNING FACE}".encode()[:2], b"a" * 1024, b" exit "]
)
def test_any_bytes_come_back_in_raw_framing(raw: RunningServer, name: bytes) -> None:
    with raw.guest() as guest:
        guest.greet(name)
        guest.leave()


@pytest.mark.parametrize("farewell", [b"exit", b"exit\n", b"exit\r\n"])
def test_a_raw_conversation_ends_with_exit(raw: RunningServer, farewell: bytes) -> None:
    with raw.guest() as guest:
        guest.greet(b"EXIT")
        guest.say(farewell)
        guest.hear_the_end()


@pytest.mark.parametrize("name", [b"", b"\r", b"\0\xff\x80", b"a" * 1024, b"EXIT", b" exit"])
def test_any_line_is_answered(line: RunningServer, name: bytes) -> None:
    with line.guest() as guest:
        guest.say(name + b"\r\n")
        guest.hear(b"Hello," + name + b"\n")
        guest.leave()


def test_ten_thousand_lines_in_one_go(line: RunningServer) -> None:
    """All are answered, in order, byte for byte, while the client is still sending."""
    names = [b"name-%d" % i for i in range(10_000)]
    with line.guest() as guest:
        script = b"\n".join(names) + b"\nexit\n"
        sender = threading.Thread(target=guest.say, args=(script, len(names) + 1))
        sender.start()
        guest.hear(b"".join(b"Hello," + name + b"\n" for name in names))
        guest.hear_the_end()
        sender.join()


def test_a_line_that_is_too_long_is_told_so(line: RunningServer) -> None:
    """What came before it is answered; what comes after it is not looked at."""
    line.tally.expect("too_long")
    with line.guest() as guest:
        guest.say(b"first\n" + b"x" * 1025 + b"\nnever\n", messages=1)
        guest.hear(b"Hello,first\nError,message too long\n")
        guest.hear_the_end()


def test_half_close_after_the_last_message(line: RunningServer) -> None:
    """All answers come, then the end; an unterminated rest is no message."""
    with line.guest() as guest:
        guest.say(b"one\ntwo\nrest", messages=2)
        guest.half_close()
        guest.hear(b"Hello,one\nHello,two\n")
        guest.hear_the_end()


def test_half_close_before_any_message(raw: RunningServer) -> None:
    with raw.connect() as guest:
        guest.half_close()
        guest.welcome()
        guest.hear_the_end()


def test_a_client_that_resets_or_closes_at_once_harms_nobody(raw: RunningServer) -> None:
    with raw.guest() as steady:
        for how in ("reset", "close", "half_close"):
            with raw.connect() as guest:
                getattr(guest, how)()
        with raw.guest() as guest:
            guest.greet(b"in mid-session")
            guest.reset()
        steady.greet(b"unharmed")
        steady.leave()


def test_other_protocols_are_data(raw: RunningServer) -> None:
    for opening in (
        b"\x16\x03\x01\x00\xa5\x01",
        b"GET / HTTP/1.1\r\n\r\n",
        b"SSH-2.0-x\r\n",
        b"PROXY TCP4 1.2.3.4",
    ):
        with raw.guest() as guest:
            guest.greet(opening)
            guest.leave()


def test_an_urgent_byte_does_not_end_the_session(raw: RunningServer) -> None:
    with raw.guest() as guest:
        guest.sock.send(b"!", socket.MSG_OOB)
        guest.greet(b"after it")
        guest.leave()


def test_the_published_client_unchanged(raw: RunningServer) -> None:
    script = PUBLISHED_CLIENT.replace("9999", str(raw.port))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, timeout=PATIENCE_S, check=True, text=True
    )
    assert done.stdout == HELLOS
    raw.tally.connections += 1
    raw.tally.messages += 4


@pytest.mark.skipif(shutil.which("nc") is None, reason="nc is not installed")
def test_nc(raw: RunningServer) -> None:
    with subprocess.Popen(
        ["nc", "127.0.0.1", str(raw.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as nc:
        assert nc.stdin is not None
        assert nc.stdout is not None
        raw.tally.connections += 1
        for said, heard in ((b"", b"Welcome!"), (b"Michael\n", b"Hello,Michael\n"), (b"exit\n", b"")):
            nc.stdin.write(said)
            nc.stdin.flush()
            assert nc.stdout.read(len(heard)) == heard
        nc.stdin.close()  # it waits for both ends: ours, and the server's
        assert nc.stdout.read() == b""
        assert nc.wait(PATIENCE_S) == 0
    raw.tally.messages += 2


def test_our_own_client(raw: RunningServer, line: RunningServer) -> None:
    for server in (raw, line):
        done = run_to_end("greet", server.address, "Michael", "Tracy", "Chenqi", "--framing", server.framing)
        assert (done.stdout, done.stderr, done.returncode) == (HELLOS, "", 0)
        server.tally.connections += 1
        server.tally.messages += 4


def test_every_address_is_served(raw: RunningServer) -> None:
    assert raw.addresses[1].startswith("[::1]:")
    for address in raw.addresses:
        with raw.guest(address) as guest:
            guest.greet(b"X")
            guest.leave()

    def by_v6() -> list[str]:
        return [record["peer"] for record in raw.records() if record["local"] == raw.addresses[1]]

    peers = wait_until(by_v6, "the record is written")
    assert all(peer.startswith("[::1]:") for peer in peers)


def test_a_host_name_is_served_on_each_of_its_addresses() -> None:
    with RunningServer(bind=("localhost:0",)) as server:
        assert len({address.rpartition(":")[2] for address in server.addresses}) == 1, "one port for all"
        for address in server.addresses:
            server.guest(address).leave()


def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "greeting.sock"
    with RunningServer("--idle-timeout", "300ms", bind=(f"unix:{path}",)) as server:
        server.tally.expect("idle_timeout")
        assert server.addresses == [f"unix:{path}"]
        guest = server.guest()
        guest.greet(b"Michael")
        guest.leave()
        server.guest().hear_the_end()
    assert not path.exists()


def test_the_tutorial_s_work_before_each_answer() -> None:
    """With `--delay`, each answer takes so long, and leaves when it is ready."""
    with RunningServer("--delay", "200ms", framing="line") as server:
        guest = server.guest()
        began = time.monotonic()
        guest.say(b"one\ntwo\n", messages=2)
        guest.hear(b"Hello,one\n")
        first_s = time.monotonic() - began
        guest.hear(b"Hello,two\n")
        assert first_s >= 0.2
        assert time.monotonic() - began >= 0.4
        guest.leave()
