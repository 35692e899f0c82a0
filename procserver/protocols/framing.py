"""Framing without I/O: bytes in, whole messages out.

    raw     a message is the bytes of one `recv`
    line    a message ends at LF; one CR before the LF is no part of it

Every worker loads this module: it imports nothing.
"""

RAW_CHUNK_BYTES = 1024  # what the tutorial's server asks `recv` for
FRAMINGS = ("raw", "line")


def cut_lines(block: bytes, limit: int, most: int = -1) -> tuple[list[bytes], bytes, bool]:
    """Cut up to `most` lines (-1: all) from the start of `block`.

    Returns the lines, the bytes behind them, and whether the next message is
    longer than `limit` bytes, LF and CR not counted: then those bytes begin
    with that message, and no more can be cut. When the caller puts later bytes
    behind the rest and cuts again, the lines are those of the whole stream,
    however it was split into segments.
    """
    lines = block.split(b"\n", most)
    rest = lines.pop()
    cut = len(block) - len(rest)
    if block.find(b"\r", 0, cut) >= 0:
        lines = [line[:-1] if line.endswith(b"\r") else line for line in lines]
    # With `most` lines cut, the rest may hold whole ones.
    if len(block) <= limit or (len(lines) == most and cut <= limit):
        return lines, rest, False
    for i, line in enumerate(lines):
        if len(line) > limit:
            kept = sum(map(len, block.split(b"\n", i)[:i])) + i
            return lines[:i], block[kept:], True
    # A CR at the very end may yet belong to a line's end.
    return lines, rest, len(lines) != most and len(rest) - rest.endswith(b"\r") > limit
