"""What the commands for clients share: arguments, timeouts, and how an error is shown."""

import click
import pytest
from click.testing import CliRunner

from procserver.addresses import Address, parse_address
from procserver.cli.options import errors_shown, parsed_by, seconds_option
from procserver.errors import ConfigError, PeerClosed

ERRORS = {"settings": ConfigError("a setting"), "peer": PeerClosed("it closed\x1b[2J"), "none": None}


@click.command()
@click.argument("address", callback=parsed_by(parse_address))
@seconds_option("--some-timeout", 2.5, 10, "a bound")
@click.option("--error", default="none")
def command(address: Address, some_timeout_s: float, error: str) -> None:
    with errors_shown():
        if (raised := ERRORS[error]) is not None:
            raise raised
    click.echo(f"{address.port} {some_timeout_s}")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["h:1"], 0, "1 2.5\n"),
        (["h:1", "--some-timeout", "10"], 0, "1 10.0\n"),
        (["h:1", "--some-timeout", "11"], 2, "11.0 is not in the range"),
        (["h"], 2, "address 'h': it has no port"),
        (["h:1", "--error", "settings"], 2, "Error: a setting\n"),
        (["h:1", "--error", "peer"], 1, "Error: it closed\\x1b[2J\n"),
    ],
)
def test_arguments_and_errors(arguments: list[str], code: int, said: str) -> None:
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == code
    assert said in result.output
