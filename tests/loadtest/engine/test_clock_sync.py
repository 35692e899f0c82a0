"""The clock's part of a master, under Locust in a process of its own."""

import subprocess
import sys

from tests.support.loadtest_runs import free_port

MASTER = """
import sys
import gevent.monkey
gevent.monkey.patch_all()
from locust.env import Environment
from locust.rpc.protocol import Message
from loadtest.engine.load_process import LoadProcess
from loadtest.users import listeners

environment = Environment()
runner = environment.create_master_runner("127.0.0.1", int(sys.argv[1]))
process = LoadProcess(environment)
sync = process.clock_sync
taken = []
sync.take_report = process.keeper.take_report = lambda client, data: taken.append(client)
ours = listeners.Listeners()
ours.process = process
runner.handle_message("old", Message("client_ready", -1, "old"))
runner.handle_message("new", Message("client_ready", -1, "new"))
sync.on_request(Message("loadtest clock request", {"asked": 1.0}, "new"))
for client in ("old", "new"):
    ours.on_worker_report(client, {})
print(sorted(set(taken)), sorted(sync.connected))
"""


def test_a_worker_of_an_earlier_master_at_this_port_is_not_counted() -> None:
    """It had announced itself to that one, and what it had still to send came to this one."""
    command = [sys.executable, "-c", MASTER, str(free_port())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "['new'] ['new']\n", done.stdout + done.stderr
