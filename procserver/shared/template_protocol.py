"""The protocol between the supervisor and a template, without I/O: both directions, encoded and parsed.

Theory of operation
-------------------
One message is one packet of a SEQPACKET socket, in UTF-8. A message here is a
pair: its verb, and its value.

    reports, to the supervisor          value
    ready THREADS                       int       the handler is imported; the process has so many threads
    failed TEXT                         str       it cannot be imported; the template exits
    spawned SLOT:PID ...                dict      these workers were forked
    unforked ERRNO SLOT ...             (int, tuple)   these were not, for this reason

    orders, to the template             value
    listeners (ours|lent) ...           tuple of bool  which of the descriptors with it were opened for this service
    fork SLOT ...                       tuple     fork a worker for each slot
    dismiss                             None      exit; there are no workers any more

What a template may report depends on what it has reported, and was ordered:

    phase      report                                               next phase
    LOADING    ready                                                READY
    LOADING    failed                                               FAILED
    READY      spawned, unforked: of slots that were ordered,       READY
               each answered once
    otherwise  refused, and nothing changes

A template runs user code, so its reports may be anything: those in no form
above, out of range, or not allowed in this phase are refused. A template whose
middle process was killed repeats reports that the middle may have sent: what
equals a slot's last answer is left out, and is no reason to refuse.

A supervisor that was upgraded talks to templates of the program before it:
forms may be added here, not changed.

The template loads this module: it imports nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Literal

    Report = (
        tuple[Literal["ready"], int]
        | tuple[Literal["failed"], str]
        | tuple[Literal["spawned"], dict[int, int]]
        | tuple[Literal["unforked"], tuple[int, tuple[int, ...]]]
    )
    Order = (
        tuple[Literal["listeners"], tuple[bool, ...]]
        | tuple[Literal["fork"], tuple[int, ...]]
        | tuple[Literal["dismiss"], None]
    )

MESSAGE_BYTES_MAX = 65536
LISTENERS_MAX = 253  # the kernel's SCM_MAX_FD
FAILURE_TEXT_MAX = 2000  # characters
PID_MAX = 1 << 22  # the kernel's PID_MAX_LIMIT
ERRNO_MAX = 4095  # the kernel's MAX_ERRNO
SLOTS_MAX = 1 << 20
EXIT_UNUSABLE = 2  # the status of a template that has reported `failed`
LOADING, READY, FAILED = range(3)


def encode(message: Report | Order) -> bytes:
    """One packet."""
    match message:
        case ("ready", threads):
            text = f"ready {threads}"
        case ("failed", reason):
            text = "failed " + reason[:FAILURE_TEXT_MAX]
        case ("spawned", pids):
            text = "spawned " + " ".join([f"{slot}:{pid}" for slot, pid in pids.items()])
        case ("unforked", (number, slots)):
            text = " ".join(["unforked", *map(str, (number, *slots))])
        case ("listeners", ours):
            text = " ".join(["listeners", *("ours" if own else "lent" for own in ours)])
        case ("fork", slots):
            text = " ".join(["fork", *map(str, slots)])
        case _:
            text = "dismiss"
    return text.encode("utf-8", "backslashreplace")


def parse_report(packet: bytes) -> Report | None:
    """The report in a packet; None if there is none in it, or one out of range."""
    verb, _, rest = packet.partition(b" ")
    words = rest.split(b" ")
    try:
        if len(packet) >= MESSAGE_BYTES_MAX:  # it may have been cut
            return None
        if verb == b"ready":
            return "ready", _number(rest, PID_MAX)
        if verb == b"failed":
            return "failed", rest.decode("utf-8", "replace")[:FAILURE_TEXT_MAX]
        if verb == b"spawned":
            pairs = [word.split(b":") for word in words]
            pids = [_number(pid, PID_MAX) for _, pid in pairs]
            if min(pids) > 0 and len(set(pids)) == len(pids):
                return "spawned", dict(zip(_slots([slot for slot, _ in pairs]), pids, strict=True))
        if verb == b"unforked":
            return "unforked", (_number(words[0], ERRNO_MAX), _slots(words[1:]))
    except ValueError:
        pass
    return None


def parse_order(packet: bytes, slots: int = SLOTS_MAX) -> Order | None:
    """The order in a packet, to a template whose scoreboard has so many slots; None if there is none in it."""
    verb, _, rest = packet.partition(b" ")
    words = rest.split(b" ")
    try:
        if len(packet) >= MESSAGE_BYTES_MAX:
            return None
        if verb == b"listeners" and len(words) <= LISTENERS_MAX and {b"ours", b"lent"}.issuperset(words):
            return "listeners", tuple([word == b"ours" for word in words])
        if verb == b"fork":
            return "fork", _slots(words, slots)
    except ValueError:
        pass
    return ("dismiss", None) if packet == b"dismiss" else None


class ReportReader:
    """The supervisor's side of one channel: what its template may report next, by the table above.

    `phase` is READY for a template that another program of this supervisor has started.
    """

    __slots__ = ("answered", "asked", "phase")

    def __init__(self, phase: int = LOADING) -> None:
        self.phase = phase
        self.asked: set[int] = set()
        self.answered: dict[int, int] = {}  # the last answer for each slot: a pid, or 0 for "unforked"

    def ordered(self, slots: Iterable[int]) -> None:
        """Note that a `fork` of these slots has been sent."""
        self.asked.update(slots)

    def read(self, packet: bytes) -> Report | None:
        """The report in a packet, without repetitions; None if it is refused."""
        report = parse_report(packet)
        match report:
            case ("ready" | "failed" as verb, _) if self.phase == LOADING:
                self.phase = READY if verb == "ready" else FAILED
                return report
            case ("spawned", pids):
                fresh = self._accept(pids)
                return None if fresh is None else ("spawned", {slot: pids[slot] for slot in fresh})
            case ("unforked", (number, slots)):
                fresh = self._accept(dict.fromkeys(slots, 0))
                return None if fresh is None else ("unforked", (number, tuple(fresh)))
        return None

    def _accept(self, answers: dict[int, int]) -> list[int] | None:
        """The slots that these answers are new for; None, and nothing noted, if one of them was not ordered."""
        fresh = [slot for slot in answers if slot in self.asked]
        repeated = [slot for slot, answer in answers.items() if self.answered.get(slot) == answer]
        if self.phase != READY or not answers.keys() <= {*fresh, *repeated}:
            return None
        self.asked.difference_update(fresh)
        self.answered.update(answers)
        return fresh


def _number(word: bytes, most: int) -> int:
    """ASCII digits alone: `int` would take signs, spaces and underscores, too."""
    if not word.isdigit() or len(word) > len(str(most)) or int(word) > most:
        raise ValueError
    return int(word)


def _slots(words: list[bytes], count: int = SLOTS_MAX) -> tuple[int, ...]:
    """One slot or more, each once."""
    slots = tuple([_number(word, count - 1) for word in words])
    if not slots or len(set(slots)) != len(slots):
        raise ValueError
    return slots
