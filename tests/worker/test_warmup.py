"""What the template does before its first fork: it leaves nothing behind but warm code and full holes."""

import subprocess
import sys


def in_a_process(program: str) -> str:
    """Its output: signals, descriptors and the heap are its own."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_rehearsal_leaves_no_descriptor_no_signal_pipe_and_no_notice() -> None:
    program = """
import os, signal, sys
from procserver.handler import connection
from procserver.handler.stop_notice import notice
from procserver.shared.worker_config import WorkerConfig
from procserver.worker.warmup import REHEARSALS, rehearse

closed = []
close = connection.Connection.close
connection.Connection.close = lambda conn: (closed.append(conn.id), close(conn))
before = sorted(os.listdir("/proc/self/fd"))
for framing in ("raw", "line"):
    closed.clear()
    rehearse(WorkerConfig(framing=framing, access_records=True))
    assert len(set(closed)) == REHEARSALS, closed
# The scratch scoreboard is a mapping, and stays.
left = [fd for fd in os.listdir("/proc/self/fd") if fd not in before]
kinds = {os.readlink(f"/proc/self/fd/{fd}") for fd in left if os.path.exists(f"/proc/self/fd/{fd}")}
print(kinds, signal.set_wakeup_fd(-1), notice.stop, notice.slot, notice.conversation)
"""
    kinds, *rest = in_a_process(program).rsplit(" ", 4)
    assert [word.strip() for word in rest] == ["-1", "False", "None", "None"]
    assert "socket" not in kinds
    assert "pipe" not in kinds


def test_after_the_filling_each_size_begins_a_pool_of_its_own() -> None:
    """So what a child allocates first lies together."""
    program = """
from procserver.worker.warmup import HEADER_BYTES, POOL_BYTES, SIZES, fill_holes
kept = fill_holes()
fresh = 0
for size in SIZES:
    made = bytes(size - HEADER_BYTES)
    fresh += id(made) % POOL_BYTES < 4 * size
print(fresh, len(SIZES), sum(map(len, kept)) < 4 << 20)
"""
    fresh, sizes, bounded = in_a_process(program).split()
    assert bounded == "True"
    assert int(fresh) >= int(sizes) - 2, "a size or two is used by the interpreter itself meanwhile"
