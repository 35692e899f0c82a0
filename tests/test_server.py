"""A handler given to `Server` travels to workers by its name, or is refused."""

import pytest

from procserver import Server
from procserver.errors import ConfigError
from procserver.handler.greeting import Greeting
from procserver.server import name_of


def a_handler(conn: object) -> None:
    """At the top of a module: it has a name that another process can import."""


def test_a_handler_travels_by_name() -> None:
    assert name_of(a_handler) == f"{__name__}:a_handler"
    assert Server(a_handler).handler == f"{__name__}:a_handler"
    assert Server("x:y").handler == "x:y"


@pytest.mark.parametrize("handler", [lambda _conn: None, Greeting()])
def test_what_has_no_name_cannot_travel(handler: object) -> None:
    with pytest.raises(ConfigError, match="no name that another process could import it by"):
        name_of(handler)


def test_a_closure_cannot_travel() -> None:
    def inner(_conn: object) -> None: ...

    with pytest.raises(ConfigError, match="not a lambda, closure or instance"):
        name_of(inner)
