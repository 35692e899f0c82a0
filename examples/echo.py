"""An echo server: `procserver serve examples.echo:handle`."""

from procserver import Connection


def handle(conn: Connection) -> None:
    while data := conn.recv():
        conn.send(data)
