"""procserver: any TCP protocol, one process per connection.

The public names are resolved at first use (PEP 562): a worker that needs
`Connection` must not pay, in memory, for what only the supervisor imports.
"""

TYPE_CHECKING = False  # read as true by type checkers; `typing` itself is not worth its memory
if TYPE_CHECKING:
    from procserver.errors import ConfigError, ProcserverError
    from procserver.handler.connection import Connection
    from procserver.server import Server
    from procserver.settings import Settings
    from procserver.version import __version__

__all__ = ["ConfigError", "Connection", "ProcserverError", "Server", "Settings", "__version__"]

_HOMES = {
    "ConfigError": "procserver.errors",
    "Connection": "procserver.handler.connection",
    "ProcserverError": "procserver.errors",
    "Server": "procserver.server",
    "Settings": "procserver.settings",
    "__version__": "procserver.version",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'procserver' has no attribute {name!r}")
    module = __import__(home, fromlist=[name])
    value: object = getattr(module, name)
    return value
