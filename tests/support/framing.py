"""A stream cut into lines segment by segment, as a connection reads it."""

from procserver.protocols.framing import cut_lines


def lines_of(segments: list[bytes], limit: int, most: int = -1) -> tuple[list[bytes], bool, bytes]:
    """The lines, whether the next is too long, and, if not, the rest; cut at most so many at a time."""
    lines, rest = list[bytes](), b""
    for segment in segments:
        rest += segment
        while True:
            batch, rest, too_long = cut_lines(rest, limit, most)
            lines += batch
            if not batch:
                break
        if too_long:
            return lines, True, b""
    return lines, False, rest
