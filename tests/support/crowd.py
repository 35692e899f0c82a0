"""Clients that loop: each a process of its own, one conversation after another, each conversation counted once.

The counts lie in shared memory, a row for each client, which alone writes it: they can be read while it talks,
and are still there if it dies.
"""

import mmap
import multiprocessing
import os
import random
import signal
from dataclasses import dataclass, fields
from typing import Self

from tests.support.counting_client import PATIENCE_S, Fate, Talk, converse

STALL_S = 0.2
WORD_BYTES = 8
MESSAGES, STALLS, LATE, LONGEST_US = range(len(Fate), len(Fate) + 4)
ROW_WORDS = len(Fate) + 4
NAMES_MAX = 3
NAME_BYTES = (5, 1000)


@dataclass(frozen=True)
class Counts:
    """What conversations came to; the names are those of Fate, lower case. `late`: stalled before the greeting."""

    ok: int = 0
    refused: int = 0
    turned_away: int = 0
    reset: int = 0
    cut: int = 0
    ended: int = 0
    hung: int = 0
    wrong: int = 0
    messages: int = 0
    stalls: int = 0
    late: int = 0
    longest_us: int = 0

    @property
    def lost(self) -> int:
        """Connected, and then neither served to the end nor told why not."""
        return self.reset + self.cut + self.ended + self.hung + self.wrong

    @property
    def greeted(self) -> int:
        """Those that the server has certainly accepted."""
        return self.ok + self.turned_away + self.cut + self.ended + self.wrong

    def plus(self, talk: Talk) -> Self:
        """With one more conversation."""
        row = [getattr(self, field.name) for field in fields(self)]
        book(row, talk)
        return type(self)(*row)

    def plus_all(self, other: Self) -> Self:
        """With another crowd's."""
        sums = {name: value + getattr(other, name) for name, value in vars(self).items()}
        return type(self)(**sums | {"longest_us": max(self.longest_us, other.longest_us)})


def book(row: list[int] | memoryview, talk: Talk) -> None:
    """Count one conversation. Whoever waits in order to be refused does not stall."""
    row[talk.fate] += 1
    row[MESSAGES] += talk.messages
    if talk.fate is not Fate.REFUSED:
        row[STALLS] += talk.longest_s > STALL_S
        row[LATE] += talk.greeted_s > STALL_S
        row[LONGEST_US] = max(row[LONGEST_US], int(talk.longest_s * 1e6))


class Crowd:
    """So many clients of a port of loopback, from `with` on until `leave`, or until each has met a fate so often."""

    def __init__(
        self, port: int, clients: int, seed: int, *, leaves_after: tuple[Fate, int] = (Fate.OK, 1 << 62)
    ) -> None:
        self.port = port
        self.clients = clients
        self.seed = seed
        self.leaves_after = leaves_after
        self.words = memoryview(mmap.mmap(-1, (1 + clients * ROW_WORDS) * WORD_BYTES)).cast("Q")
        context = multiprocessing.get_context("fork")
        self.processes = [
            context.Process(target=self._talk, args=(number, os.getpid()), daemon=True)
            for number in range(clients)
        ]

    def __enter__(self) -> Self:
        for process in self.processes:
            process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.words[0] = 1
        for process in self.processes:
            process.join(2 * PATIENCE_S)
            if process.is_alive():
                process.kill()
                process.join()

    @property
    def counts(self) -> Counts:
        """So far; for good after `leave` or `see_off`."""
        columns = [self.words[1 + i :: ROW_WORDS].tolist() for i in range(ROW_WORDS)]
        totals = [sum(column) for column in columns[:LONGEST_US]]
        return Counts(*totals, *[max(columns[LONGEST_US])])

    @property
    def talks(self) -> int:
        """Conversations that have ended well so far."""
        return sum(self.words[1 + Fate.OK :: ROW_WORDS].tolist())

    def leave(self) -> Counts:
        """Every client ends its conversation, and goes."""
        self.words[0] = 1
        return self.see_off()

    def see_off(self) -> Counts:
        """The counts when every client has gone."""
        for process in self.processes:
            process.join(2 * PATIENCE_S)
            assert process.exitcode == 0, f"a client did not end well: exit code {process.exitcode}"
        return self.counts

    def _talk(self, number: int, parent: int) -> None:
        """A client's whole life."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for our parent, who tells us
        rng = random.Random(f"{self.seed} {number}")
        begin = 1 + number * ROW_WORDS
        row = self.words[begin : begin + ROW_WORDS]
        fate, times = self.leaves_after
        while row[fate] < times and not self.words[0] and os.getppid() == parent:
            names = [rng.randbytes(rng.randint(*NAME_BYTES)) for _ in range(rng.randint(0, NAMES_MAX))]
            book(row, converse(self.port, names))
