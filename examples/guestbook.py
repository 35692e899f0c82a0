"""A guest book, as a class: `GUESTBOOK=book.txt procserver serve examples.guestbook:Guestbook`.

    SIGN TEXT    adds an entry; answers OK
    SHOW         the last entries, one a line, then a full stop

What is opened in `setup` belongs to one worker alone; what were opened at import would be shared by all.
"""

import os

from procserver import Connection

PATH = os.environ.get("GUESTBOOK", "guestbook.txt")
SHOWN_MAX = 10
TAIL_BYTES = 16 * 1024  # holds so many entries of `max_message` bytes


class Guestbook:
    def setup(self) -> None:
        """Once in each worker, before its first guest."""
        # Appended in one write, entries do not mix, though every worker has the file open.
        self.book = open(PATH, "a+b", buffering=0)  # noqa: SIM115  # until teardown

    def handle(self, conn: Connection) -> None:
        conn.send(b"The book is open.\n")
        for line in conn.lines():
            command, _, text = line.partition(b" ")
            if command == b"SIGN" and text:
                self.book.write(text + b"\n")
                conn.send(b"OK\n")
            elif command == b"SHOW":
                conn.send(b"".join(entry + b"\n" for entry in self.entries()) + b".\n")
            else:
                conn.send(b"SIGN TEXT or SHOW, please.\n")

    def entries(self) -> list[bytes]:
        size = self.book.seek(0, os.SEEK_END)
        self.book.seek(max(0, size - TAIL_BYTES))
        return self.book.read().splitlines()[-SHOWN_MAX:]

    def goodbye(self, conn: Connection) -> None:
        """The service stops between two messages of this guest: the last word is ours."""
        conn.send(b"We are closing.\n")

    def teardown(self) -> None:
        """Once in each worker, when it leaves."""
        self.book.close()
