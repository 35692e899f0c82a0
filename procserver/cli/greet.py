"""`procserver greet`: the tutorial's client."""

import os

import click

from procserver.addresses import Address, parse_address
from procserver.clients.greeting import TIMEOUT_S, GreetingClient, check_name
from procserver.errors import ConfigError, LocalProtocolError, ProcserverError
from procserver.protocols.framing import FRAMINGS


@click.command(
    epilog="Example: procserver greet 127.0.0.1:9999 Michael Tracy Chenqi",
    short_help="Talk to a greeting server.",
)
@click.argument("address", metavar="HOST:PORT", callback=lambda _context, _param, text: _server(text))
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option(
    "--framing", type=click.Choice(FRAMINGS), default="raw", show_default=True, help="How a message ends."
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0.001, max=3600),
    default=TIMEOUT_S,
    show_default=True,
    metavar="SECONDS",
    help="How long each step may take: connecting, and each answer.",
)
def greet(address: Address, names: tuple[str, ...], framing: str, timeout_s: float) -> None:
    """Connect to a greeting server, send each NAME, print the banner and every answer, and leave.

    HOST:PORT may also be [V6]:PORT or unix:PATH. Every answer is checked byte for byte.
    Exit code 0: all was said and answered; 1: the conversation broke; 2: usage.
    """
    messages = [os.fsencode(name) for name in names]
    try:
        for message in messages:
            check_name(message, framing)
    except LocalProtocolError as error:
        raise click.UsageError(str(error)) from None
    try:
        with GreetingClient(address, framing, timeout_s) as client:
            _show(client.banner)
            for message in messages:
                _show(client.greet(message))
            client.leave()
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    except ProcserverError as error:
        raise click.ClickException(str(error)) from None


def _show(answer: bytes) -> None:
    click.echo(answer.removesuffix(b"\n"))


def _server(text: str) -> Address:
    try:
        return parse_address(text)
    except ConfigError as error:
        raise click.BadParameter(str(error)) from None
