"""What TERM means to a worker: exit afterwards; and, where the service stops, end the conversation between messages."""

import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from procserver.handler.stop_notice import notice
from procserver.shared import layout
from procserver.shared.layout import BETWEEN_MESSAGES, H_STOPPING, IN_MESSAGE, STAGE, STOP_SEEN
from procserver.shared.scoreboard import Scoreboard
from procserver.worker.signal_handlers import on_stop


@pytest.fixture
def conversation() -> Iterator[socket.socket]:
    """A worker's notice, in a conversation."""
    board = Scoreboard.scratch()
    ours, theirs = socket.socketpair()
    notice.reset()
    notice.header, notice.slot, notice.conversation = board.words, board.slot(0), ours
    yield ours
    notice.reset()
    ours.close()
    theirs.close()


def receive_timeout(sock: socket.socket) -> bytes:
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16)


def slot() -> memoryview:
    assert notice.slot is not None
    return notice.slot


def header() -> memoryview:
    assert notice.header is not None
    return notice.header


def test_before_it_has_a_slot_a_process_notes_the_stop_alone() -> None:
    notice.reset()
    on_stop(15, None)
    assert (notice.stop, notice.draining) == (True, False)
    notice.reset()


def test_one_that_is_retired_finishes_its_conversation(conversation: socket.socket) -> None:
    slot()[STAGE] = layout.stage_word(BETWEEN_MESSAGES, 1 << 40)
    on_stop(15, None)
    assert (notice.stop, notice.draining, slot()[STOP_SEEN]) == (True, False, layout.SEEN_RETIRE)
    assert receive_timeout(conversation) == bytes(16)


@pytest.mark.parametrize(("stage", "hurried"), [(BETWEEN_MESSAGES, True), (IN_MESSAGE, False)])
def test_where_the_service_stops_only_a_wait_between_messages_is_cut_short(
    conversation: socket.socket, stage: int, hurried: bool
) -> None:
    header()[H_STOPPING] = 1
    slot()[STAGE] = layout.stage_word(stage, 1 << 40)
    on_stop(15, None)
    assert (notice.stop, notice.draining, slot()[STOP_SEEN]) == (True, True, layout.SEEN_STOP)
    assert (receive_timeout(conversation) != bytes(16)) == hurried


def in_a_process(program: str) -> str:
    """Its output; signals are its own."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout


def test_what_workers_inherit_from_the_template() -> None:
    """The signals of a terminal are not for them; a stop, and a look at the listeners, restart system calls."""
    program = """
import os, signal
from procserver.handler.stop_notice import notice
from procserver.shared import signal_numbers as signals
from procserver.worker import signal_handlers
signal_handlers.install_in_template()
for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    os.kill(os.getpid(), number)
os.kill(os.getpid(), signals.LOOK_AGAIN)
assert not notice.stop
os.kill(os.getpid(), signals.STOP)
print(notice.stop)
"""
    assert in_a_process(program) == "True\n"


def test_a_handler_that_forks_is_noticed_and_a_template_s_forks_are_not() -> None:
    program = """
import os
from procserver.handler.stop_notice import notice
from procserver.shared.scoreboard import Scoreboard
from procserver.worker import signal_handlers
signal_handlers.install_in_template()
for slot in (None, Scoreboard.scratch().slot(0)):
    notice.slot = slot
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    print(notice.forked)
"""
    assert in_a_process(program) == "False\nTrue\n"


def test_in_the_foreground_ctrl_c_ends_it_after_its_conversation() -> None:
    program = """
import os, signal
from procserver.handler.stop_notice import notice
from procserver.worker import signal_handlers
signal_handlers.install_in_foreground()
os.kill(os.getpid(), signal.SIGINT)
print(notice.stop)
"""
    assert in_a_process(program) == "True\n"
