"""python -m tests.stress [--short | --seconds N] [--only NAME]... [--json]: a pool that loses no connection, proved.

Counting clients talk to servers while everything is done to them that an operator, or fate, may do. Each conversation
is attributed, and each operation's books are held against the server's. Exits 1 when a bound is broken.
"""

import argparse
import contextlib
import json
import sys
from collections.abc import Callable

from benchmarks.results import Result
from procserver.errors import ProcserverError
from tests.stress import boot, growth, leaving, quiet, renewal, stopping
from tests.support import ledger
from tests.support.effort import Effort
from tests.support.leftovers import mark_this_run

OPERATIONS: dict[str, Callable[[Effort], Result]] = {
    "retire": leaving.retire,
    "quota": leaving.wear,
    "kill": leaving.kill,
    "reload": renewal.reload,
    "resize": renewal.resize,
    "upgrade": renewal.upgrade,
    "stop": stopping.stop,
    "quiet": quiet.quiet,
    "burst": growth.burst,
    "busy-path": growth.busy_path,
    "boot": boot.boot,
}

NOTE_CHARS_MAX = 4000  # the end of a log


def main(arguments: list[str]) -> int:
    options = make_parser().parse_args(arguments)
    effort = Effort(options.short, options.seconds)
    mark_this_run()
    results = {}
    with contextlib.redirect_stdout(sys.stderr if options.json else sys.stdout):
        for name in options.only or OPERATIONS:
            results[name] = result = attempt(name, effort)
            print(f"{name}: {result}\n", flush=True)
        if len(results) > 1:
            print(summary(results))
    if options.json:
        print(json.dumps({name: result.as_dict() for name, result in results.items()}, indent=2))
    broken = [name for name, result in results.items() if not result.ok]
    if broken:
        print(f"stress: a bound is broken: {', '.join(broken)}", file=sys.stderr)
    return 1 if broken else 0


def attempt(name: str, effort: Effort) -> Result:
    """An operation that cannot be brought to its end has broken its bounds, too."""
    try:
        return OPERATIONS[name](effort)
    except (AssertionError, ProcserverError, OSError) as error:
        failed = ledger.report(name)
        failed.judge("operations that did not come to their end", 1, 0, f"{type(error).__name__}: {error}")
        failed.notes += [note[-NOTE_CHARS_MAX:] for note in getattr(error, "__notes__", [])]
        return failed


def summary(results: dict[str, Result]) -> Result:
    """All rows in one table."""
    everything = ledger.report("all operations")
    everything.rows = [row for result in results.values() for row in result.rows]
    everything.bounds = [bound for result in results.values() for bound in result.bounds]
    return everything


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tests.stress", description=(__doc__ or "").partition("\n\n")[2])
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--short", action="store_true", help="about a minute for all of them")
    length.add_argument("--seconds", type=float, metavar="N", help="for each operation, in place of its goal")
    parser.add_argument(
        "--only",
        action="append",
        choices=OPERATIONS,
        metavar="NAME",
        help=f"repeatable; {', '.join(OPERATIONS)}",
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
