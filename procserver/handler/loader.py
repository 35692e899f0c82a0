"""Load a handler by its name: the object whose `handle(conn)` serves connections.

`MODULE:QUALNAME` names a callable, a class or an object; `PATH.py:QUALNAME`
names it in a script, which is imported under another name so that its
`__main__` part does not run. The template and `--debug` load handlers, the
supervisor never does.
"""

from __future__ import annotations

import os
import sys

from procserver.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from procserver.handler.connection import Connection
    from procserver.shared.worker_config import WorkerConfig


def load(config: WorkerConfig) -> object:
    """Import `config.handler`; ConfigError if the name leads nowhere, otherwise whatever the import raises."""
    module_name, _, qualname = config.handler.partition(":")
    if not module_name or not qualname:
        raise ConfigError(
            f"handler={config.handler!r}: expected MODULE:CALLABLE, for example examples.echo:handle"
        )
    found: object = _import(module_name)
    for part in qualname.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise ConfigError(f"handler={config.handler!r}: {module_name} has no {qualname!r}") from None
    return _adapt(found, config)


def _import(name: str) -> ModuleType:
    if not name.endswith(".py"):
        folder = os.getcwd()
        if folder not in sys.path:
            sys.path.insert(0, folder)
        __import__(name)
        return sys.modules[name]
    import importlib.util

    sys.path.insert(0, os.path.dirname(os.path.abspath(name)))
    spec = importlib.util.spec_from_file_location("procserver_script", name)
    if spec is None or spec.loader is None or not os.path.exists(name):
        raise ConfigError(f"handler: no script {name!r}")
    module = importlib.util.module_from_spec(spec)
    sys.modules["procserver_script"] = module
    spec.loader.exec_module(module)
    return module


class FunctionHandler:
    """A plain function as a handler."""

    def __init__(self, function: Callable[[Connection], object]) -> None:
        self.handle = function


def _adapt(found: object, config: WorkerConfig) -> object:
    if isinstance(found, type):
        if not callable(getattr(found, "handle", None)):
            raise ConfigError(f"handler={config.handler!r}: the class has no method handle(conn)")
        from_config = getattr(found, "from_config", None)
        return from_config(config) if from_config is not None else found()
    if callable(getattr(found, "handle", None)):
        return found
    if not callable(found):
        raise ConfigError(f"handler={config.handler!r}: {type(found).__name__} is not callable")
    return FunctionHandler(found)
