"""The examples of the documentation run as they stand."""

import signal
from pathlib import Path

from tests.support.server import RunningServer
from tests.support.wait import PATIENCE_S


def test_the_echo_example() -> None:
    """A plain function; one `recv` is one message."""
    with RunningServer(handler="examples.echo:handle") as server:
        guest = server.connect()
        guest.say(b"\0any bytes\xff")
        guest.hear(b"\0any bytes\xff")
        guest.half_close()
        guest.hear_the_end()
        server.tally.expect("eof")


def test_the_guest_book_example(tmp_path: Path) -> None:
    """A class: set up once in each worker, told of a drain, torn down."""
    env = {"GUESTBOOK": str(tmp_path / "book.txt")}
    with RunningServer("--workers", "2", handler="examples.guestbook:Guestbook", env=env) as server:
        first, second = server.connect(), server.connect()
        for guest in (first, second):
            guest.hear(b"The book is open.\n")
        for guest, said, heard in (
            (first, b"SIGN Michael\r\n", b"OK\n"),
            (second, b"SIGN Tracy\n", b"OK\n"),
            (first, b"SHOW\n", b"Michael\nTracy\n.\n"),
            (first, b"WHAT\n", b"SIGN TEXT or SHOW, please.\n"),
        ):
            guest.say(said)
            guest.hear(heard)
        first.half_close()
        first.hear_the_end()
        server.process.send_signal(signal.SIGTERM)
        second.hear(b"We are closing.\n")
        second.hear_the_end()
        server.process.wait(PATIENCE_S)
        server.tally.expect("eof")
        server.tally.expect("drained")
