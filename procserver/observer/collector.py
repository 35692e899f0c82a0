"""What a scrape shows: facts that the supervisor answers over the line, and the use of its processes, measured here.

However many scrape, the supervisor is asked ten times a second at most, and memory is read for no more than a
fiftieth of the time: the reading takes longer the more processes there are.
"""

from __future__ import annotations

import json
import select
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from procserver.errors import ProcserverError
from procserver.resources import HostUsage, Tree, TreeDetail, TreeUsage, host_usage

if TYPE_CHECKING:
    import socket

ANSWER_TIMEOUT_S = 2.0
ANSWER_BYTES_MAX = 1 << 16
FACTS_FRESH_S = 0.1
CHILDREN_FRESH_S = 1.0
DETAIL_FRESH_S = 1.0
DETAIL_SHARE_MAX = 0.02


class NoAnswer(ProcserverError):
    """The supervisor does not answer in time, or has exited."""


class Snapshot(NamedTuple):
    """One scrape's values. `measured_at` is the Unix time of `detail`; `own_cpu_s` the CPU of this thread so far."""

    facts: dict[str, Any]
    usage: TreeUsage
    detail: TreeDetail
    measured_at: float
    host: HostUsage
    own_cpu_s: float


class Collector:
    """Asks and measures, each no more often than its bound. `line` is the observer's end of the metrics line."""

    def __init__(self, line: socket.socket, answer_timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        self.line = line
        self.answer_timeout_s = answer_timeout_s
        self.asked = 0
        self.last_facts: dict[str, Any] = {}
        self.tree: Tree | None = None
        self.detail: TreeDetail | None = None
        self.measured_at = 0.0
        self.due = {"facts": 0.0, "children": 0.0, "detail": 0.0}

    def facts(self) -> dict[str, Any]:
        """The supervisor's facts; NoAnswer."""
        if self._is_due("facts", FACTS_FRESH_S):
            self.due["facts"] = 0.0  # should it fail, the next call asks again
            self.last_facts = self._ask()
            self._is_due("facts", FACTS_FRESH_S)
        return self.last_facts

    def snapshot(self) -> Snapshot:
        """Everything that `/metrics` shows; NoAnswer."""
        facts = self.facts()
        try:
            usage, detail = self._measure(facts["supervisor"]["pid"])
        except ProcessLookupError as error:
            self.tree = None
            raise NoAnswer(f"the supervisor is gone ({error})") from None
        return Snapshot(facts, usage, detail, self.measured_at, host_usage(), time.thread_time())

    def _measure(self, pid: int) -> tuple[TreeUsage, TreeDetail]:
        if self.tree is None:
            self.tree = Tree(pid)
            self._is_due("children", CHILDREN_FRESH_S)
        elif self._is_due("children", CHILDREN_FRESH_S):
            self.tree.refresh()
        if self.detail is None or self._is_due("detail", DETAIL_FRESH_S):
            before = time.monotonic()
            self.detail, self.measured_at = self.tree.detail(), time.time()
            took_s = time.monotonic() - before
            self.due["detail"] = time.monotonic() + max(DETAIL_FRESH_S, took_s / DETAIL_SHARE_MAX)
        return self.tree.usage(), self.detail

    def _is_due(self, what: str, fresh_s: float) -> bool:
        now = time.monotonic()
        if now < self.due[what]:
            return False
        self.due[what] = now + fresh_s
        return True

    def _ask(self) -> dict[str, Any]:
        self.asked += 1
        question = str(self.asked)
        ends = time.monotonic() + self.answer_timeout_s
        poller = select.poll()
        poller.register(self.line, select.POLLIN)
        try:
            self.line.send(question.encode())
            while poller.poll(max(0.0, ends - time.monotonic()) * 1000):
                data = self.line.recv(ANSWER_BYTES_MAX)
                if not data:
                    break
                answer = json.loads(data)
                if answer["question"] == question:  # else the late answer to one before, which had timed out
                    facts: dict[str, Any] = answer["facts"]
                    return facts
        except (OSError, ValueError) as error:
            raise NoAnswer(f"the supervisor cannot be asked ({error})") from None
        raise NoAnswer("the supervisor is gone, or has not answered in time")
