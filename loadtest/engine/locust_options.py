"""The options that these users add to Locust's own, on its command line and in its web form."""

import argparse
from collections.abc import Callable
from typing import Any

from loadtest.base.units import parse_duration_s
from loadtest.workload.scenarios import EVERY_DEFAULT
from loadtest.workload.target import Tls, check_sources
from procserver.errors import ConfigError

__all__ = [
    "ARRIVALS",
    "CONNECT_RATE_DEFAULT",
    "FRAMINGS",
    "NAME_LENGTH_MAX",
    "PACING_DEFAULT",
    "RATE_MAX",
    "add_options",
    "tls_of",
]

FRAMINGS = ("raw", "line")
ARRIVALS = ("constant", "poisson")
NAME_LENGTH_MAX = 1024  # the greeting's greatest message; in raw framing one `recv` of the server's
RATE_MAX = 1_000_000.0
CONNECT_RATE_DEFAULT = 500.0  # an elastic pool that is to grow for them, forks some thousands a second
# Ten messages a second per connection: a load that one generator process can carry with hundreds of users
# without its own queueing becoming the latency that it reports.
PACING_DEFAULT = "100ms"


def add_options(parser: Any) -> None:
    add = parser.add_argument
    add("--framing", choices=FRAMINGS, default="raw", help="How messages are told apart: raw or line.")
    add(
        "--name-length",
        type=_within(int, 1, NAME_LENGTH_MAX, "bytes"),
        default=16,
        help=f"Bytes in each name that is sent, 1 to {NAME_LENGTH_MAX}.",
    )
    add(
        "--rate",
        type=_within(float, 0, RATE_MAX, "per second"),
        default=0.0,
        help="Arrivals per second over all processes, on a schedule that waits for nobody; 0: a closed loop.",
    )
    add("--arrivals", choices=ARRIVALS, default=ARRIVALS[0], help="Evenly spaced, or by chance (Poisson).")
    add(
        "--pacing",
        type=_duration_s,
        default=PACING_DEFAULT,
        help="In a closed loop, from the start of a user's message to the start of its next; 0: as fast as the "
        "server answers.",
    )
    add(
        "--connect-rate",
        type=_within(float, 0.01, RATE_MAX, "per second"),
        default=CONNECT_RATE_DEFAULT,
        help="Connections made per second, over all processes, whenever the users are there.",
    )
    add(
        "--request-timeout", type=_duration_s, default="10s", help="An answer that takes longer is a failure."
    )
    add(
        "--seed",
        type=_within(int, 0, 2**63 - 1, ""),
        default=1,
        help="The same seed plans the same arrivals.",
    )
    _add_hidden_options(parser)


def tls_of(chosen: Any) -> Tls:
    """How certificates are checked, by the parsed options; None of them: by the system's rules."""
    return Tls(chosen.tls_ca, chosen.tls_server_name, chosen.tls_insecure) if chosen is not None else Tls()


def _add_hidden_options(parser: Any) -> None:
    """Those that `loadtest run` uses, and files: they have no place in a web form."""

    def add(name: str, **settings: Any) -> None:
        parser.add_argument(name, include_in_web_ui=False, **settings)

    add("--dialogue", default=None, metavar="FILE", help="With dialogue_user.py: the conversation, in TOML.")
    add(
        "--tls-ca",
        default=None,
        metavar="FILE",
        help="With tls://: whom to trust, in PEM, not the system's.",
    )
    add(
        "--tls-server-name",
        default=None,
        metavar="NAME",
        help="With tls://: the name to ask for and to check.",
    )
    add("--tls-insecure", action="store_true", help="With tls://: check no certificate.")
    add(
        "--source-address",
        default=(),
        type=_sources,
        metavar="A,B,...",
        help="Addresses of this machine to connect from, one after another: 28 000 ports for each.",
    )
    add("--scenario", default="steady", help="How the rate moves while it is measured.")
    add(
        "--beside",
        type=int,
        default=None,
        metavar="N",
        help="With background_user.py: how many of the users are of it.",
    )
    add("--every", type=_duration_s, default=EVERY_DEFAULT, help="From one heartbeat or storm to the next.")
    add("--warmup", type=_duration_s, default="0s", help="What ends before this is told apart.")
    add("--measure", type=_duration_s, default=None, help="Stop this long after the warm-up.")
    add("--slot-s", type=float, default=0.0, help="With another run at the same time: the length of a slot.")
    add("--slot", type=int, default=0, help="Which slots are this run's: 0 or 1.")
    add("--account", default=None, metavar="FILE", help="Write the closing account here, as JSON.")
    add(
        "--over",
        default=None,
        type=lambda text: [int(word) for word in text.split(",") if word],
        metavar="US,US,...",
        help="Tell in each line of progress what was measured so far, and how much of it took longer.",
    )
    add("--progress-fd", type=int, default=None, help="Write a JSON line a second to this descriptor.")
    add(
        "--gate-fd",
        type=int,
        default=None,
        help="Say `ready` there, and begin when this one says at which moment of the monotonic clock.",
    )


def _within(kind: Callable[[str], Any], least: float, most: float, unit: str) -> Callable[[str], Any]:
    """A number of this kind between two bounds, as argparse wants it."""

    def read(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not least <= value <= most:
            allowed = f"from {least:g} to {most:g} {unit}".rstrip()
            raise argparse.ArgumentTypeError(f"{text!r} is no number {allowed}")
        return value

    return read


def _sources(text: str) -> list[str]:
    addresses = text.split(",")
    try:
        check_sources(addresses, None)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("--source-address ")) from None
    return addresses


def _duration_s(text: str) -> float:
    try:
        return parse_duration_s(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
