"""A greeting server small enough to be right by reading: one thread per connection, counts exact.

    python -m tests.support.fake_greeting_server PORT raw|line COUNTS_FILE

Prints `listening on 127.0.0.1:PORT`; at EOF of its standard input it writes its counts as JSON and ends.
Faults for the tests of a client: `--segment N` sends answers N bytes at a time, `--lie` answers one in ten wrongly.
With `--certificate FILE` (key and chain, PEM) it speaks TLS.
"""

import argparse
import json
import socket
import ssl
import sys
import threading
from collections.abc import Iterator


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("framing", choices=("raw", "line"))
    parser.add_argument("counts")
    parser.add_argument("--segment", type=int, default=0)
    parser.add_argument("--lie", action="store_true")
    parser.add_argument("--certificate")
    args = parser.parse_args()
    tls = None
    if args.certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(args.certificate)
    server = FakeServer(args.framing, args.segment, lie=args.lie, tls=tls)
    with socket.create_server(("127.0.0.1", args.port), backlog=1024) as listener:
        print(f"listening on 127.0.0.1:{listener.getsockname()[1]}", flush=True)
        threading.Thread(target=server.accept_all, args=(listener,), daemon=True).start()
        sys.stdin.read()
        with server.lock, open(args.counts, "w") as file:
            json.dump({"connections": server.connections, "messages": server.messages}, file)


class FakeServer:
    def __init__(self, framing: str, segment: int, *, lie: bool, tls: ssl.SSLContext | None = None) -> None:
        self.tls = tls
        self.end = b"\n" if framing == "line" else b""
        self.segment = segment
        self.lie = lie
        self.connections = self.messages = 0
        self.lock = threading.Lock()

    def accept_all(self, listener: socket.socket) -> None:
        while True:
            conn, _ = listener.accept()
            with self.lock:
                self.connections += 1
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def serve(self, conn: socket.socket) -> None:
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls is not None:
            try:
                conn = self.tls.wrap_socket(conn, server_side=True)
            except OSError:
                return  # a client that does not trust us
        with conn:
            try:
                self.say(conn, b"Welcome!" + self.end)
                for name in self.received(conn):
                    with self.lock:
                        self.messages += 1
                        wrong = self.lie and self.messages % 10 == 0
                    if name == b"exit":
                        return
                    self.say(conn, (b"Goodbye," if wrong else b"Hello,") + name + self.end)
            except (ConnectionError, ssl.SSLError):
                return  # the client left first

    def received(self, conn: socket.socket) -> Iterator[bytes]:
        rest = b""
        while data := conn.recv(1024):
            if not self.end:
                yield data
                continue
            *lines, rest = (rest + data).split(b"\n")
            yield from lines

    def say(self, conn: socket.socket, data: bytes) -> None:
        step = self.segment or len(data)
        for i in range(0, len(data), step):
            conn.sendall(data[i : i + step])


if __name__ == "__main__":
    main()
