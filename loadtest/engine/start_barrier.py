"""The gate before a test: whoever started this process says when it begins, once all that belongs to it is ready."""

import json
import os

from gevent.socket import wait_read
from locust.env import Environment
from locust.runners import WorkerRunner

from loadtest.engine.run_clock import clock, unix_s

__all__ = ["opened"]

READY = b'{"ready": true}\n'


def opened(environment: Environment) -> float:
    """The moment of the beginning, in Unix seconds; it may be about to come. Without a gate it is now.

    Gone without a word, whoever keeps the gate will not have this test: then it ends, before it has begun.
    """
    chosen = environment.parsed_options
    if chosen is None or chosen.gate_fd is None or isinstance(environment.runner, WorkerRunner):
        return clock()
    fd, chosen.gate_fd = chosen.gate_fd, None
    try:
        os.write(chosen.progress_fd, READY)
        wait_read(fd)
        line = os.read(fd, 100)
    finally:
        os.close(fd)
    if not line:
        raise SystemExit("the test was called off before it began")
    return unix_s(float(json.loads(line)))
