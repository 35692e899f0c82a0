"""`procserver greet`: the tutorial's client."""

import os

import click

from procserver.addresses import Address, parse_address
from procserver.cli.options import errors_shown, parsed_by, seconds_option
from procserver.clients.greeting import TIMEOUT_S, GreetingClient, check_name
from procserver.errors import LocalProtocolError
from procserver.protocols.framing import FRAMINGS


@click.command(
    epilog="Example: procserver greet 127.0.0.1:9999 Michael Tracy Chenqi",
    short_help="Talk to a greeting server.",
)
@click.argument("address", metavar="HOST:PORT", callback=parsed_by(parse_address))
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option(
    "--framing", type=click.Choice(FRAMINGS), default="raw", show_default=True, help="How a message ends."
)
@seconds_option("--timeout", TIMEOUT_S, 3600, "How long each step may take: connecting, and each answer.")
def greet(address: Address, names: tuple[str, ...], framing: str, timeout_s: float) -> None:
    """Connect to a greeting server, send each NAME, print the banner and every answer, and end.

    HOST:PORT may also be [V6]:PORT or unix:PATH. Every answer is checked byte for byte.
    Exit code 0: every answer came; 1: the conversation broke; 2: usage.
    """
    messages = [os.fsencode(name) for name in names]
    try:
        for message in messages:
            check_name(message, framing)
    except LocalProtocolError as error:
        raise click.UsageError(str(error)) from None
    with errors_shown(), GreetingClient(address, framing, timeout_s) as client:
        _show(client.banner)
        for message in messages:
            _show(client.greet(message))
        client.leave()


def _show(answer: bytes) -> None:
    click.echo(answer.removesuffix(b"\n"))
