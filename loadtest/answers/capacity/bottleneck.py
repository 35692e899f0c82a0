"""What kept a service from more: from the document of a run that broke, by a table of rules. Pure.

The first rule that finds evidence names the limiter; what others find is told beside it. Their order is that of cause:
where CPU is short, workers are busy for longer; where all workers are busy, the queue grows and may overflow.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from loadtest.answers.capacity.answer import Limiter
from loadtest.base.units import format_bytes, format_count
from loadtest.results.saturation import Saturation

__all__ = ["host_taken", "limiter_of", "workers_sleep"]

CPU_FULL = 0.9  # of the cores that may be used
AT_REST = 0.1  # of the host's CPUs: a server that uses less does not lack any
WORKERS_FULL = 0.9
QUEUE_SHARE = 0.5  # of the time: somebody waits as a rule
FDS_FULL = 0.97
MEMORY_LEFT_MIN = 0.05
NO_CAUSE = (
    "latency or errors rose, but CPU, memory, descriptors, workers and queue had room: no cause was measured"
)
NO_CAUSE_SEEN = (
    "latency or errors rose, but workers and queue had room; of memory and descriptors of the server's host, and of "
    "who else used its CPU, nothing is known"
)
LATE_SHARE = 0.05  # of the arrivals that found no connection free

Run = Mapping[str, Any]
Rule = Callable[[Run, Saturation], list[str]]


def limiter_of(run: Run) -> Limiter:
    """`run` is the document of a run that broke."""
    if run["server"] is None:
        unseen = "the server's processes were not followed (--control, --metrics or --pid): no cause could be measured"
        return Limiter("thresholds", [unseen])
    strain = _strain(run)
    if strain is None:
        return Limiter("thresholds", ["the run was too short for the server's side to be seen"])
    found = {name: reasons for name, rule in RULES.items() if (reasons := rule(run, strain))}
    if not found:
        return Limiter("thresholds", [NO_CAUSE if strain.host_cores is not None else NO_CAUSE_SEEN])
    return Limiter(next(iter(found)), [reason for reasons in found.values() for reason in reasons])


def host_taken(run: Run) -> list[str]:
    """The host was full, and most of it not with the server: who could carry more, nobody knows."""
    strain = _strain(run)
    if strain is None or strain.cores is None or not _host_full(strain):
        return []
    if _at_its_own_limit(strain) or _at_rest(strain):
        return []
    others, generator = _beside(run, strain)
    if strain.cores >= max(others, generator):
        return []
    shares = f"the server used {strain.cores:.2f} cores, the generator {generator:.2f}, others {others:.2f}"
    return [f"all {strain.host_cpus} CPUs of the host were busy, but not with the server: {shares}"]


def workers_sleep(run: Run) -> bool:
    """All workers were busy and somebody waited, and that took no CPU: no lateness of the generator makes it so."""
    strain = _strain(run)
    return strain is not None and bool(_workers(run, strain)) and _at_rest(strain)


def _at_rest(strain: Saturation) -> bool:
    """Had it wanted CPU, the scheduler would have given it its share: it waits for something else."""
    return strain.cores is not None and strain.cores < AT_REST * strain.host_cpus


def _server_cpu(run: Run, strain: Saturation) -> list[str]:
    reasons = []
    allowed = strain.cores_allowed
    if strain.cores is not None and allowed is not None and strain.cores >= CPU_FULL * allowed:
        reasons.append(f"the server used {strain.cores:.2f} of the {allowed:g} cores that it may use")
    elif strain.cores is not None and _host_full(strain) and strain.cores >= max(_beside(run, strain)):
        others, generator = _beside(run, strain)
        reasons.append(
            f"all {strain.host_cpus} CPUs of the host were busy: the server used {strain.cores:.2f} cores, the "
            f"generator beside it {generator:.2f}, others {others:.2f}"
        )
    if strain.process_cores_max is not None and strain.process_cores_max >= CPU_FULL:
        reasons.append(f"one process of the server used {strain.process_cores_max:.0%} of a core")
    return reasons


def _strain(run: Run) -> Saturation | None:
    measured = (run["server"] or {}).get("saturation")
    return None if measured is None else msgspec.convert(measured, Saturation)


def _host_full(strain: Saturation) -> bool:
    return strain.host_cores is not None and strain.host_cores >= CPU_FULL * strain.host_cpus


def _at_its_own_limit(strain: Saturation) -> bool:
    """Whether the server had all that it may use, whoever else was there."""
    all_allowed = (
        strain.cores_allowed is not None and (strain.cores or 0.0) >= CPU_FULL * strain.cores_allowed
    )
    return all_allowed or (strain.process_cores_max or 0.0) >= CPU_FULL


def _beside(run: Run, strain: Saturation) -> tuple[float, float]:
    """The cores that others, and that all processes of the generator, used of the host."""
    told = [worker["cores"] or 0.0 for worker in run["generator"].get("workers") or []]
    besides = max(0.0, (strain.host_cores or 0.0) - (strain.cores or 0.0))
    # On another host it may use more than there is room for here.
    generator = min(besides, sum(told) or run["generator"]["cores_max"] or 0.0)
    return besides - generator, generator


def _memory(run: Run, strain: Saturation) -> list[str]:
    reasons = []
    left = strain.memory_available_share_min
    if left is not None and left < MEMORY_LEFT_MIN:
        pss = format_bytes(run["server"]["pss_bytes_max"])
        reasons.append(f"only {left:.1%} of the memory was left; the server had {pss}")
    return reasons + _said(strain, "memory", "the server's log says that the kernel refused it memory")


def _fds(_run: Run, strain: Saturation) -> list[str]:
    reasons = _said(strain, "fds", "the server's log says that it had too many open files")
    reasons += _said(
        strain, "processes", "the server's log says that the kernel refused it processes or threads"
    )
    share = strain.fds_share_max
    if share is not None and share >= FDS_FULL:
        reasons.append(f"one process of the server held {share:.0%} of the descriptors that it may have")
    return reasons


def _workers(_run: Run, strain: Saturation) -> list[str]:
    busy, waited = strain.workers_busy_share, strain.queue_share
    if busy is None or busy < WORKERS_FULL or waited is None or waited < QUEUE_SHARE:
        return []
    all_of = f"all {strain.workers} workers were busy ({busy:.0%} of the time)"
    return [f"{all_of} while up to {format_count(strain.queue_depth_max)} connections waited for one"]


def _backlog(_run: Run, strain: Saturation) -> list[str]:
    reasons = []
    depth, limit = strain.queue_depth_max, strain.queue_limit
    if overflows := strain.listen_overflows:
        reasons.append(f"the kernel's queue overflowed {format_count(overflows)} times")
    if depth and limit and depth >= limit:
        reasons.append(f"the kernel's queue was full: {format_count(depth)} of {format_count(limit)} waited")
    return reasons


def _connections(run: Run, _strain: Saturation) -> list[str]:
    row = run["requests"].get(run["main_request"]) or {}
    late, planned = row.get("late"), row.get("planned")
    if not late or not planned or late < LATE_SHARE * planned:
        return []
    asked = run["connections"]["asked"]
    found = f"{late / planned:.0%} of the arrivals found none of the {asked} connections free"
    return [f"{found}: more --connections might carry more"]


def _said(strain: Saturation, kind: str, what: str) -> list[str]:
    count = strain.log_errors.get(kind)
    return [f"{what} ({format_count(count)} times)"] if count else []


RULES: dict[str, Rule] = {
    "server_cpu": _server_cpu,
    "memory": _memory,
    "fds": _fds,
    "workers": _workers,
    "backlog": _backlog,
    "connections": _connections,
}
