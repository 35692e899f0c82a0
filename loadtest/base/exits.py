"""How a command ends without an answer: a line on stderr, and an exit code."""

import sys
from typing import NoReturn

__all__ = ["fail"]


def fail(text: str, code: int) -> NoReturn:
    """Print `text` as an error of this program and exit with `code`."""
    print(f"loadtest: {text}", file=sys.stderr)
    sys.exit(code)
