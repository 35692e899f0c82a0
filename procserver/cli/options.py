"""What the commands for clients share: how an argument is parsed, a timeout is given, an error is shown."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, TypeVar

import click

from procserver.errors import ConfigError, ProcserverError
from procserver.observer.log_text import escape_unprintable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")


def parsed_by(parse: Callable[[str], T]) -> Callable[[click.Context, click.Parameter, str], T]:
    """A click callback: the argument as `parse` reads it, its ConfigError as a usage error."""

    def callback(_context: click.Context, _parameter: click.Parameter, text: str) -> T:
        try:
            return parse(text)
        except ConfigError as error:
            raise click.BadParameter(str(error)) from None

    return callback


def seconds_option(flag: str, default: float, most: float, text: str) -> Callable[[Any], Any]:
    """An option in seconds; `--some-timeout` is passed as `some_timeout_s`."""
    return click.option(
        flag,
        flag.removeprefix("--").replace("-", "_") + "_s",
        type=click.FloatRange(min=0.001, max=most),
        default=default,
        show_default=True,
        metavar="SECONDS",
        help=text,
    )


@contextlib.contextmanager
def errors_shown() -> Iterator[None]:
    """Show a ConfigError as a usage error (exit code 2), another ProcserverError as a failure (1)."""
    try:
        yield
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    except ProcserverError as error:
        raise click.ClickException(escape_unprintable(str(error))) from None
