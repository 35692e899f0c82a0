"""The least that gevent can do: send, receive, send again; what `GreetingUser` is compared with.

python -m benchmarks.bare_lockstep HOST PORT USERS SECONDS
"""

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402
import socket  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402

import gevent  # noqa: E402


def main(host: str, port: int, users: int, seconds: float) -> None:
    answered = [0]
    over = gevent.event.Event()

    def talk() -> None:
        with socket.create_connection((host, port)) as sock:
            assert sock.recv(1024)
            while not over.is_set():
                sock.send(b"0123456789abcdef")
                assert sock.recv(1024)
                answered[0] += 1

    begun_s = time.process_time()
    talkers = [gevent.spawn(talk) for _ in range(users)]
    gevent.sleep(seconds)
    over.set()
    gevent.joinall(talkers, raise_error=True)
    spent_s = time.process_time() - begun_s
    print("COST " + json.dumps({"cpu_s": spent_s, "requests": answered[0], "failed": 0}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
