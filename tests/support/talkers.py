"""Small servers that the example dialogues are held with: `procserver serve tests.support.talkers:NAME`."""

import os

from procserver import Connection

BURST = 3


def redis(conn: Connection) -> None:
    """Three commands of the protocol, in its inline form."""
    store: dict[bytes, bytes] = {}
    for line in conn.lines():
        words = line.split(b" ")
        if words == [b"PING"]:
            conn.send(b"+PONG\r\n")
        elif words[0] == b"SET" and len(words) == 3:
            store[words[1]] = words[2]
            conn.send(b"+OK\r\n")
        elif words[0] == b"GET" and words[1] in store:
            conn.send(b"$%d\r\n%s\r\n" % (len(store[words[1]]), store[words[1]]))
        elif words == [b"DBSIZE"]:
            conn.send(b":%d\r\n" % len(store))
        else:
            conn.send(b"-ERR unknown command\r\n")


def smtp(conn: Connection) -> None:
    """Takes mail and forgets it."""
    conn.send(b"220 mx.example ESMTP\r\n")
    in_body = False
    for line in conn.lines():
        verb, _, rest = line.partition(b" ")
        if in_body:
            if line == b".":
                in_body = False
                conn.send(b"250 queued as %s\r\n" % os.urandom(4).hex().encode())
        elif verb == b"EHLO":
            conn.send(b"250-mx.example greets " + rest + b"\r\n250 HELP\r\n")
        elif verb in (b"MAIL", b"RCPT"):
            conn.send(b"250 ok\r\n")
        elif verb == b"DATA":
            in_body = True
            conn.send(b"354 end with a full stop\r\n")
        elif verb == b"QUIT":
            conn.send(b"221 bye\r\n")
            return
        else:
            conn.send(b"500 what\r\n")


def frames(conn: Connection) -> None:
    """Names a session, then echoes frames after its name, and pushes some of its own."""

    def receive() -> bytes:
        size = int.from_bytes(conn.readexactly(2), "little")
        return conn.readexactly(size)

    def send(*payloads: bytes) -> None:
        conn.send(b"".join(len(payload).to_bytes(2, "little") + payload for payload in payloads))

    session = os.urandom(8)
    receive()
    send(b"\0" + session)
    while True:
        payload = receive()
        send(payload, *[b"%d" % i for i in range(BURST)])
