"""The few settings that a template and its workers need.

The supervisor checks the settings and passes these values on; the module of
the settings, and the libraries that check them, stay out of workers.
Every worker loads this module: it imports nothing.
"""

from __future__ import annotations

BUILTIN_HANDLER = "procserver.handler.greeting:Greeting"


class WorkerConfig:
    """The configuration of one generation. Each attribute below is an argument; TypeError for any other.

    Times are in seconds, 0 is off; `max_message` is in bytes. `framing` and
    `delay` are the greeting's: a handler class with `from_config` gets them.
    """

    handler: str = BUILTIN_HANDLER
    generation: int = 1
    framing: str = "raw"
    delay: float = 0.0
    max_message: int = 1024
    idle_timeout: float = 60.0
    message_timeout: float = 10.0
    write_timeout: float = 10.0
    handler_timeout: float = 30.0
    connection_timeout: float = 0.0
    boot_timeout: float = 10.0
    graceful_timeout: float = 30.0
    access_records: bool = False
    opened_records: bool = False

    def __init__(self, **values: object) -> None:
        for name, value in values.items():
            if name not in FIELDS:
                raise TypeError(f"WorkerConfig has no {name!r}")
            setattr(self, name, value)

    def as_dict(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in FIELDS}


FIELDS = tuple(WorkerConfig.__annotations__)
