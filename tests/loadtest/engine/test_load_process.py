"""The state of one process of a load test, under Locust in a process of its own."""

import subprocess
import sys

from tests.support.loadtest_runs import free_port

MASTER = """
import sys
import gevent.monkey
gevent.monkey.patch_all()
from locust.env import Environment
from locust.runners import WorkerNode
from loadtest.engine.load_process import LoadProcess

environment = Environment()
runner = environment.create_master_runner("127.0.0.1", int(sys.argv[1]))
process = LoadProcess(environment)
print(process.knows_worker("one"))
runner.clients["one"] = WorkerNode("one")
print(process.knows_worker("one"), process.knows_worker("two"))
del runner.clients["one"]
print(process.knows_worker("one"))
"""


def test_reports_are_taken_from_workers_that_were_connected() -> None:
    """Not from those of an earlier master at this port; from one that Locust has forgotten, for it stopped, still."""
    command = [sys.executable, "-c", MASTER, str(free_port())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["False", "True", "False", "True"], done.stderr
