"""Packing: fill the holes in Python's memory before the first fork.

A page that a child writes becomes its own. Small objects are allocated from
the holes that earlier ones have left all over the heap, so that a child's
first few dozen objects would copy as many pages. When the holes are filled,
each size of object begins a pool of its own, and all that a child allocates
at first lies in its first page.
"""

from __future__ import annotations

POOL_BYTES = 16384  # obmalloc's since 3.10
SIZES = range(48, 513, 16)  # obmalloc's classes from the smallest bytes object up
HEADER_BYTES = 33  # of a bytes object
TRIES_MAX = 4096


def fill_holes() -> list[bytes]:
    """What fills them; it must be kept alive. It costs a few hundred KiB once, in the template."""
    kept = []
    for size in SIZES:
        for _ in range(TRIES_MAX):
            filler = bytes(size - HEADER_BYTES)
            if id(filler) % POOL_BYTES < 2 * size:
                break  # the first of a fresh pool: there are no holes left
            kept.append(filler)
    return kept
