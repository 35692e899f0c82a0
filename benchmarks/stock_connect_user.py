"""The greeting as Locust's documentation would have it written: what `ConnectUser` is compared with.

`socket.create_connection` looks the name up in a thread each time, and `events.request.measure()` builds a context
manager, a dict and an event per request.
"""

import socket
from itertools import count
from urllib.parse import urlsplit

from locust import User, constant, task

from benchmarks import cpu_report

cpu_report.install("greeting")

_numbers = count()


class StockConnectUser(User):
    wait_time = constant(0)

    @task
    def visit(self) -> None:
        target = urlsplit(self.host or "")
        assert target.hostname
        assert target.port
        name = b"%016x" % next(_numbers)
        with self.environment.events.request.measure("TCP", "greeting") as meta:
            with socket.create_connection((target.hostname, target.port), timeout=10) as sock:
                assert sock.recv(1024) == b"Welcome!"
                sock.sendall(name)
                answer = sock.recv(1024)
            meta["response_length"] = len(answer)
            if answer != b"Hello," + name:
                raise ValueError("wrong answer")
