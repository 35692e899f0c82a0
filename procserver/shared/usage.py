"""What a process has cost so far, in the order of the scoreboard's USAGE_NAMES. Loaded by every worker."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import resource


def usage_words(usage: resource.struct_rusage) -> tuple[int, ...]:
    """CPU in microseconds, faults, context switches."""
    return (
        round(usage.ru_utime * 1e6),
        round(usage.ru_stime * 1e6),
        usage.ru_minflt,
        usage.ru_majflt,
        usage.ru_nvcsw,
        usage.ru_nivcsw,
    )
