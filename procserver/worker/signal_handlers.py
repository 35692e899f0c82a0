"""A worker's signal handlers: they set a flag, and never raise or log; the wakeup pipe ends the wait.

A handler that raises out of `accept()` would lose the connection that the
kernel has just handed over.

The one exception is TERM in a worker that waits *between messages*: its
handler shortens the socket's receive timeout, so that the blocked `recv`
returns. Shutting the socket down for reading would do it too, but would cut
off what the peer has under way.
"""

from __future__ import annotations

import os
import signal

from procserver.handler.stop_notice import hurry, notice
from procserver.shared import layout
from procserver.shared.signal_numbers import LOOK_AGAIN, STOP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType


def install_in_template() -> None:
    """Install, before any fork, what workers inherit: a handler set in a child would unshare pages."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(STOP, on_stop)
    signal.signal(LOOK_AGAIN, _on_look_again)
    for handled in (STOP, LOOK_AGAIN):
        signal.siginterrupt(handled, False)
    os.register_at_fork(after_in_parent=_on_fork)


def install_in_foreground() -> None:
    """Install for a worker without a supervisor: TERM and Ctrl-C end it after its conversation."""
    for stop in (STOP, signal.SIGINT):
        signal.signal(stop, on_stop)
    signal.signal(LOOK_AGAIN, _on_look_again)


def on_stop(_number: int, _frame: FrameType | None) -> None:
    """Note a stop, in the slot too, and end a conversation's wait between messages."""
    notice.stop = True
    slot, header = notice.slot, notice.header
    if slot is None or header is None:
        return
    slot[layout.STOP_SEEN] = layout.SEEN_RETIRE
    if not header[layout.H_STOPPING]:
        return  # only this worker is retired: its conversation may take the time it needs
    slot[layout.STOP_SEEN] = layout.SEEN_STOP
    notice.draining = True
    if layout.stage_of(slot[layout.STAGE]) == layout.BETWEEN_MESSAGES and notice.conversation is not None:
        hurry(notice.conversation)


def _on_look_again(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: the wakeup pipe has ended the wait already."""


def _on_fork() -> None:
    if notice.slot is not None:  # in a worker, not where the workers themselves are forked
        notice.forked = True
