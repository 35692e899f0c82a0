"""The options that these users add to Locust's own, on its command line and in its web form."""

import argparse
from typing import Any

from loadtest.units import parse_duration_s

__all__ = ["FRAMINGS", "NAME_LENGTH_MAX", "PACING_DEFAULT", "add_options"]

FRAMINGS = ("raw", "line")
NAME_LENGTH_MAX = 1024  # the greeting's greatest message; in raw framing one `recv` of the server's
# Ten messages a second per connection: a load that one generator process can carry with hundreds of users
# without its own queueing becoming the latency that it reports.
PACING_DEFAULT = "100ms"


def add_options(parser: Any) -> None:
    add = parser.add_argument
    add("--framing", choices=FRAMINGS, default="raw", help="How messages are told apart: raw or line.")
    add(
        "--name-length",
        type=_name_length,
        default=16,
        help=f"Bytes in each name that is sent, 1 to {NAME_LENGTH_MAX}.",
    )
    add(
        "--pacing",
        type=_duration_s,
        default=PACING_DEFAULT,
        help="From the start of a user's message to the start of its next; 0: as fast as the server answers.",
    )
    add(
        "--request-timeout", type=_duration_s, default="10s", help="An answer that takes longer is a failure."
    )
    hidden = {"include_in_web_ui": False}
    add("--warmup", type=_duration_s, default="0s", help="What ends before this is told apart.", **hidden)
    add("--measure", type=_duration_s, default=None, help="Stop this long after the warm-up.", **hidden)
    add("--account", default=None, metavar="FILE", help="Write the closing account here, as JSON.", **hidden)
    add(
        "--progress-fd",
        type=int,
        default=None,
        help="Write a JSON line a second to this descriptor.",
        **hidden,
    )


def _name_length(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= NAME_LENGTH_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is no length from 1 to {NAME_LENGTH_MAX} bytes")
    return int(text)


def _duration_s(text: str) -> float:
    try:
        return parse_duration_s(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
