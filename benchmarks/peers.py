"""The greeting (line framing) in what else Python offers, each in the way its documentation shows.

python -m benchmarks.peers forking|threading|asyncio|gevent READY_FD
"""

import asyncio
import os
import signal
import socketserver
import sys

__all__ = ["PEERS"]

BACKLOG = 2048


class Greeter(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self) -> None:
        self.wfile.write(b"Welcome!\n")
        for line in self.rfile:
            name = line.rstrip(b"\r\n")
            if name == b"exit":
                return
            self.wfile.write(b"Hello," + name + b"\n")


class Forking(socketserver.ForkingTCPServer):
    request_queue_size = BACKLOG
    max_children = 256


class Threading(socketserver.ThreadingTCPServer):
    request_queue_size = BACKLOG
    daemon_threads = True


def serve_forking(ready_fd: int) -> None:
    serve_by_socketserver(Forking(("127.0.0.1", 0), Greeter), ready_fd)


def serve_threading(ready_fd: int) -> None:
    serve_by_socketserver(Threading(("127.0.0.1", 0), Greeter), ready_fd)


def serve_by_socketserver(server: socketserver.TCPServer, ready_fd: int) -> None:
    announce(ready_fd, server.server_address[1])
    server.serve_forever()


def serve_asyncio(ready_fd: int) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"Welcome!\n")
        while line := await reader.readline():
            name = line.rstrip(b"\r\n")
            if name == b"exit":
                break
            writer.write(b"Hello," + name + b"\n")
            await writer.drain()
        writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(greet, "127.0.0.1", 0, backlog=BACKLOG)
        announce(ready_fd, server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


def serve_gevent(ready_fd: int) -> None:
    from gevent.server import StreamServer
    from gevent.socket import socket

    def greet(conn: socket, _address: object) -> None:
        conn.setsockopt(6, 1, 1)  # IPPROTO_TCP, TCP_NODELAY
        conn.sendall(b"Welcome!\n")
        lines = conn.makefile("rb")
        for line in lines:
            name = line.rstrip(b"\r\n")
            if name == b"exit":
                break
            conn.sendall(b"Hello," + name + b"\n")
        lines.close()

    server = StreamServer(("127.0.0.1", 0), greet, backlog=BACKLOG)
    server.start()
    announce(ready_fd, server.server_port)
    server.serve_forever()


def announce(ready_fd: int, port: int) -> None:
    os.write(ready_fd, b"listening on 127.0.0.1:%d\n" % port)
    os.close(ready_fd)


PEERS = {
    "forking": serve_forking,
    "threading": serve_threading,
    "asyncio": serve_asyncio,
    "gevent": serve_gevent,
}

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    PEERS[sys.argv[1]](int(sys.argv[2]))
