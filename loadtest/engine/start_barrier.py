"""The barrier before a test: the parent process sets the time at which all its generators start."""

import json
import os
from argparse import Namespace

from gevent.socket import wait_read

from loadtest.engine.progress_pipe import ProgressPipe
from loadtest.engine.run_clock import RunClock


def await_start(options: Namespace | None, clock: RunClock, progress: ProgressPipe) -> float:
    """The start of the test in Unix seconds, which may lie a little ahead; without a barrier it is now.

    With one, report `ready` and wait for the start. EOF without a start time means that the parent has given up: raise
    SystemExit.
    """
    if options is None or options.start_fd is None:
        return clock.now()
    fd, options.start_fd = options.start_fd, None
    try:
        progress.send({"ready": True})
        wait_read(fd)
        line = os.read(fd, 100)
    finally:
        os.close(fd)
    if not line:
        raise SystemExit("the test was cancelled before its start")
    return clock.unix_s(float(json.loads(line)))
