"""Asking a stuck worker for its Python stack, before it is ended.

`faulthandler` writes it from a C signal handler to one pipe that all workers
share, so one worker is asked at a time. What comes is text from a process
that runs user code: bounded, and only ever shown.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from procserver.signals import SHOW_STACK

if TYPE_CHECKING:
    from procserver.journal import Journal
    from procserver.procs import Child, Procs

STACK_BYTES_MAX = 1 << 16
LINES_MAX = 30
ANSWER_S = 0.2
STOPPED = "none came: it is stopped, or waits in the kernel"
GONE = "none came: it had ended before it could be asked"


class Case(NamedTuple):
    child: Child
    reason: str
    peer: str
    age_s: float


class Inquest:
    def __init__(self, procs: Procs, journal: Journal, pipe: tuple[int, int] | None = None) -> None:
        self.procs = procs
        self.journal = journal
        self.reader, self.writer = pipe or os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.cases: list[Case] = []
        self.text = b""
        self.silence = ""
        self.ends: float | None = None

    def open(self, case: Case, now: float) -> None:
        self.cases.append(case)
        if self.ends is None:
            self._ask(now)

    def hear(self) -> None:
        try:
            while data := os.read(self.reader, STACK_BYTES_MAX):
                self.text = (self.text + data)[:STACK_BYTES_MAX]
        except BlockingIOError:
            pass

    def tick(self, now: float) -> None:
        """Close the case that is open when its time is up, and open the next."""
        if self.ends is None or now < self.ends:
            return
        case = self.cases.pop(0)
        lines = self.text.decode("utf-8", "backslashreplace").splitlines()[1 : LINES_MAX + 1]
        stack = [line.strip() for line in lines] or [self.silence]
        self.journal.report(
            "error",
            "worker_stuck",
            worker=case.child.number,
            pid=case.child.pid,
            reason=case.reason,
            peer=case.peer,
            age_s=round(case.age_s, 3),
            stack=stack,
        )
        self.ends = None
        if self.cases:
            self._ask(now)

    def _ask(self, now: float) -> None:
        self.hear()
        self.text = b""
        self.ends = now + ANSWER_S
        heard = self.procs.send(self.cases[0].child, SHOW_STACK)
        self.silence = STOPPED if heard else GONE
