r"""Templates of messages: text with placeholders, rendered to bytes. Pure; values and rng are arguments.

    SET key-{n} {random:8}    a placeholder stands in braces; a brace itself is written twice
    hex:00 ff 7f              bytes by their digits, without placeholders

Text is UTF-8. A placeholder has one value for all templates that are rendered from the same `Values`, so that an
answer can be expected to contain what the request contained.
"""

import re
from collections.abc import Iterable
from random import Random
from typing import NamedTuple

BUILT_IN = ("n", "i", "user", "name")
RANDOM_MAX = 1024
_ALPHABET = b"abcdefghijklmnopqrstuvwxyz0123456789"
_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_RANDOM = re.compile(r"random:([1-9][0-9]{0,3})")


class Template(NamedTuple):
    """Literal bytes, and names of placeholders (`str`) between them."""

    parts: tuple[bytes | str, ...]

    @property
    def names(self) -> list[str]:
        return [part for part in self.parts if isinstance(part, str)]

    @property
    def literal(self) -> bytes:
        """All literal parts, concatenated."""
        return b"".join(part for part in self.parts if isinstance(part, bytes))

    def render(self, values: "Values") -> bytes:
        parts = self.parts
        if not parts:
            return b""
        if len(parts) == 1 and isinstance(parts[0], bytes):
            return parts[0]
        return b"".join([part if isinstance(part, bytes) else values[part] for part in parts])


class Values(dict[str, bytes]):
    """Values by placeholder; `random:N` is drawn at its first use, and kept."""

    def __init__(self, rng: Random, known: Iterable[tuple[str, bytes]] = ()) -> None:
        super().__init__(known)
        self.rng = rng

    def __missing__(self, name: str) -> bytes:
        _, _, length = name.partition("random:")
        value = self[name] = bytes(self.rng.choices(_ALPHABET, k=int(length)))
        return value


def parse_template(text: str, known: Iterable[str] = ()) -> Template:
    """Parse a template; `known` are the placeholders besides `BUILT_IN` and `random:N`. ValueError: it is wrong."""
    if text.startswith("hex:"):
        try:
            data = bytes.fromhex(text[4:])
        except ValueError:
            raise ValueError("after hex: stand pairs of hexadecimal digits") from None
        return Template((data,) if data else ())
    allowed = {*BUILT_IN, *known}
    parts: list[bytes | str] = []
    at = 0
    for match in _TOKEN.finditer(text):
        _append(parts, text[at : match.start()])
        at = match.end()
        if match[0] in ("{{", "}}"):
            _append(parts, match[0][0])
        elif match[1] is None:
            raise ValueError(f"a lone {match[0]!r}: write a literal brace twice")
        else:
            parts.append(_placeholder(match[1], allowed))
    _append(parts, text[at:])
    return Template(tuple(parts))


def _append(parts: list[bytes | str], text: str) -> None:
    """Literal text, joined to literal text before it."""
    if not text:
        return
    if parts and isinstance(parts[-1], bytes):
        parts[-1] += text.encode()
    else:
        parts.append(text.encode())


def _placeholder(name: str, allowed: set[str]) -> str:
    if name in allowed:
        return name
    if (match := _RANDOM.fullmatch(name)) and int(match[1]) <= RANDOM_MAX:
        return name
    raise ValueError(
        f"no placeholder {{{name}}} is known here; there are "
        f"{', '.join(f'{{{known}}}' for known in sorted(allowed))} and {{random:N}} with N from 1 to {RANDOM_MAX}"
    )
