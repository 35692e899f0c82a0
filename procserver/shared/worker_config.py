"""What a generation's template and workers need to know of the settings.

The supervisor resolves the settings and sends these few values along; the
settings' own module, and the libraries that check them, stay out of workers.
This module is loaded by every worker: it imports nothing.
"""

BUILTIN_HANDLER = "procserver.handler.greeting:Greeting"


class WorkerConfig:
    """Plain values; times in seconds, 0 is off. `extra` reaches handlers that take options (the greeting)."""

    __slots__ = (
        "access_records",
        "boot_timeout",
        "connection_timeout",
        "delay",
        "framing",
        "generation",
        "graceful_timeout",
        "handler",
        "handler_timeout",
        "idle_timeout",
        "max_message",
        "message_timeout",
        "opened_records",
        "path",
        "write_timeout",
    )

    def __init__(
        self,
        handler: str = BUILTIN_HANDLER,
        path: str = "",
        generation: int = 1,
        framing: str = "raw",
        delay: float = 0.0,
        max_message: int = 1024,
        idle_timeout: float = 60.0,
        message_timeout: float = 10.0,
        write_timeout: float = 10.0,
        handler_timeout: float = 30.0,
        connection_timeout: float = 0.0,
        boot_timeout: float = 10.0,
        graceful_timeout: float = 30.0,
        access_records: bool = False,
        opened_records: bool = False,
    ) -> None:
        self.handler = handler
        self.path = path
        self.generation = generation
        self.framing = framing
        self.delay = delay
        self.max_message = max_message
        self.idle_timeout = idle_timeout
        self.message_timeout = message_timeout
        self.write_timeout = write_timeout
        self.handler_timeout = handler_timeout
        self.connection_timeout = connection_timeout
        self.boot_timeout = boot_timeout
        self.graceful_timeout = graceful_timeout
        self.access_records = access_records
        self.opened_records = opened_records

    def as_dict(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in self.__slots__}
