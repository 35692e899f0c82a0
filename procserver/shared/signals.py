"""Signals: the handlers only note and wake; they never raise and never log.

A handler that raises out of `accept()` loses the connection that the kernel
had just handed over. So the supervisor's handlers do nothing at all (the
number travels through the wakeup pipe), and a worker's set a flag.

The one exception is TERM in a worker that waits *between messages*: its
handler shortens the socket's receive timeout, so that the blocked `recv`
returns. Shutting the socket down for reading would do it too, but would cut
off what the peer has under way.
"""

from __future__ import annotations

import os
import signal
import socket

# `signal`'s own turns every number into an enum, and unshares 70 KiB by it.
from _signal import SIG_BLOCK, SIG_SETMASK, SIG_UNBLOCK, pthread_sigmask  # type: ignore[import-not-found]

from procserver.shared import layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import FrameType

SUPERVISOR_SIGNALS = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGCHLD,
)
BLOCKED = tuple(map(int, SUPERVISOR_SIGNALS))  # around fork; let in by a worker that is ready for them
SHOW_STACK = int(
    signal.SIGUSR2
)  # to a worker: write the Python stack to the pipe that the template registered
STOP = int(signal.SIGTERM)
LOOK_AGAIN = int(signal.SIGUSR1)  # to a worker: try the listeners once more


LAST_WORD_MS = 100  # of a draining conversation: a message that was under way is answered, then it ends


class Notices:
    """What signals have told this worker. Its handlers write `stop` and `draining`, the worker the rest.

    `stop`: leave after this connection. `draining`: the whole service stops,
    so the conversation itself should end after its current message. `forked`:
    its handler has forked, so that somebody else may hold the conversation's
    descriptor.
    """

    __slots__ = ("conversation", "draining", "forked", "header", "slot", "stop")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.stop = self.draining = self.forked = False
        self.header: memoryview | None = None
        self.slot: memoryview | None = None
        self.conversation: socket.SocketType | None = None


notices = Notices()


def _on_stop(_number: int, _frame: FrameType | None) -> None:
    notices.stop = True
    slot, header = notices.slot, notices.header
    if slot is None or header is None:
        return
    slot[layout.STOP_SEEN] = layout.SEEN_RETIRE
    if not header[layout.H_STOPPING]:
        return  # retired: its conversation may take the time it needs
    slot[layout.STOP_SEEN] = layout.SEEN_STOP
    notices.draining = True
    if slot[layout.STAGE] & layout.STAGE_MASK == layout.BETWEEN_MESSAGES and notices.conversation is not None:
        hurry(notices.conversation)


def hurry(conversation: socket.SocketType) -> None:
    """Make a blocked `recv` on this socket return soon: what the peer has under way still arrives."""
    try:
        conversation.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _LAST_WORD)
    except OSError:
        pass  # the connection is gone already: there is nothing left to wait for


def timeval(seconds: float) -> bytes:
    """A `struct timeval` of native 64-bit words; 0 means no timeout."""
    whole = int(seconds)
    return whole.to_bytes(8, "little") + int((seconds - whole) * 1e6).to_bytes(8, "little")


_LAST_WORD = timeval(LAST_WORD_MS / 1000)


def _on_look_again(_number: int, _frame: FrameType | None) -> None:
    """Nothing to note: the wakeup pipe has ended the wait already."""


def _on_fork() -> None:
    if notices.slot is not None:  # in a worker, not where the workers themselves are forked
        notices.forked = True


def prepare_template() -> None:
    """Install, before any fork, what workers inherit: a handler set in a child would unshare pages."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(STOP, _on_stop)
    signal.signal(LOOK_AGAIN, _on_look_again)
    for handled in (STOP, LOOK_AGAIN):
        signal.siginterrupt(handled, False)
    os.register_at_fork(after_in_parent=_on_fork)


def prepare_foreground() -> None:
    """A worker without a service around it: TERM and Ctrl-C end it after its conversation."""
    for stop in (STOP, signal.SIGINT):
        signal.signal(stop, _on_stop)
    signal.signal(LOOK_AGAIN, _on_look_again)


def let_in() -> None:
    """The handlers are installed; what was held back comes now."""
    pthread_sigmask(SIG_UNBLOCK, BLOCKED)


class blocked:
    """Hold back all signals that we handle: around fork, so that none meets a half-made child; and around `exec`."""

    def __enter__(self) -> None:
        self.before = pthread_sigmask(SIG_BLOCK, BLOCKED)

    def __exit__(self, *_: object) -> None:
        pthread_sigmask(SIG_SETMASK, self.before)


class Wakeup:
    """The supervisor's pipe, to which every handled signal writes its number."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self.writer, warn_on_full_buffer=False)

    def drain(self) -> Iterator[int]:
        """The numbers of the signals since the last call, oldest first."""
        while True:
            try:
                numbers = os.read(self.reader, 512)
            except BlockingIOError:
                return
            yield from numbers
            if len(numbers) < 512:
                return


def watch(numbers: Iterable[int]) -> Wakeup:
    """In the supervisor: turn these signals into bytes of a pipe."""
    wakeup = Wakeup()
    for number in numbers:
        signal.signal(number, _on_look_again)
    return wakeup
