"""python -m benchmarks [NAME...] [--short] [--json] [--allow-missing]: run all benchmarks, or those named.

Exits 1 when a bound is missed, or a program that a benchmark needs is missing.
"""

import argparse
import contextlib
import importlib.util
import json
import sys
from collections.abc import Callable

from benchmarks import (
    burst,
    capacity,
    compare,
    cost,
    generator,
    lockstep,
    memory,
    quiet,
    stall,
    syscalls,
    throughput,
)
from benchmarks.results import Bound, Result
from benchmarks.servers import BenchmarkError
from procserver.errors import ProcserverError

__all__ = ["BENCHMARKS", "main"]


def generator_cost(short: bool) -> Result:
    """What Locust's side of a greeting costs."""
    found = generator.main(short)
    columns = ("ratio", "least", "greatest", "pairs")
    result = Result(
        str(found["name"]), ("", *columns), [["median", *(float(str(found[c])) for c in columns)]]
    )
    ratio, at_most = float(str(found["ratio"])), float(str(found["bound"]))
    if short:
        result.notes.append(f"at most {at_most:g} is promised; a few pairs are too few to judge a ratio by")
    else:
        result.bounds.append(Bound("median of interleaved pairs", ratio, at_most, bool(found["ok"])))
    return result


def of_locust(benchmark: Callable[[bool], Result]) -> Callable[[bool], Result]:
    """A benchmark that needs the loadtest extra."""

    def run(short: bool) -> Result:
        if importlib.util.find_spec("locust") is None:
            return Result(benchmark.__name__, skipped="Locust is not installed (pip: the extra loadtest)")
        return benchmark(short)

    return run


BENCHMARKS: dict[str, Callable[[bool], Result]] = {
    "syscalls": syscalls.main,
    "memory": memory.main,
    "burst": burst.main,
    "quiet": quiet.main,
    "throughput": throughput.main,
    "generator": of_locust(generator_cost),
    "lockstep": of_locust(lockstep.main),
    "stall": of_locust(stall.main),
    "cost": cost.main,
    "compare": of_locust(compare.main),
    "capacity": of_locust(capacity.main),
}


def main(arguments: list[str]) -> int:
    parser = make_parser()
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(BENCHMARKS):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    results = {}
    for name in options.names or BENCHMARKS:
        # Benchmarks may tell of their progress; with --json, stdout is for the one document.
        with contextlib.redirect_stdout(sys.stderr if options.json else sys.stdout):
            try:
                results[name] = result = BENCHMARKS[name](options.short)
            except (BenchmarkError, ProcserverError) as error:
                print(f"benchmarks: {name}: {error}", file=sys.stderr)
                return 1
            print(f"{name}: {result}\n", flush=True)
    if options.json:
        print(json.dumps({name: result.as_dict() for name, result in results.items()}, indent=2))
    bad = [
        name
        for name, result in results.items()
        if not (result.ok or (result.skipped and options.allow_missing))
    ]
    if bad:
        print(f"benchmarks: missed a bound, or could not be made: {', '.join(bad)}", file=sys.stderr)
    return 1 if bad else 0


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks", description=(__doc__ or "").partition("\n\n")[2])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--short", action="store_true", help="fewer and shorter runs: to see that it works")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument(
        "--allow-missing", action="store_true", help="skip what needs a program that is not installed"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
