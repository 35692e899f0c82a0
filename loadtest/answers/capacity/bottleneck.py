"""The bottleneck of a service: found in the document of a run that broke, by a table of rules. Pure.

The first rule with evidence names the bottleneck; the evidence of the others is added. They are ordered from cause to
effect: when CPU is short, workers are busy for longer; when all workers are busy, the queue grows and may overflow.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from loadtest.answers.capacity.answer import Bottleneck
from loadtest.base.units import format_bytes, format_count
from loadtest.results.metrics import main_row
from loadtest.results.saturation import Saturation

__all__ = ["bottleneck_of", "host_taken", "workers_sleep"]

CPU_FULL = 0.9  # of the cores that may be used
AT_REST = 0.1  # of the host's CPUs: a server that uses less is not short of CPU
WORKERS_FULL = 0.9
QUEUE_SHARE = 0.5  # of the time in which connections are queued
FDS_FULL = 0.97
MEMORY_LEFT_MIN = 0.05
NO_CAUSE = (
    "latency or errors rose, but CPU, memory, descriptors, workers and queue had room: no cause was measured"
)
NO_CAUSE_SEEN = (
    "latency or errors rose, but workers and queue had room; memory, descriptors and the CPU of other programs on the "
    "server's host are unknown"
)
LATE_SHARE = 0.05  # of the arrivals that found no connection free

Run = Mapping[str, Any]
Rule = Callable[[Run, Saturation], list[str]]


def bottleneck_of(run: Run) -> Bottleneck:
    """The bottleneck in `run`, the document of a run that broke."""
    if run["server"] is None:
        unseen = "the server's processes were not followed (--control, --metrics or --pid): no cause could be measured"
        return Bottleneck("thresholds", [unseen])
    saturation = _saturation_of(run)
    if saturation is None:
        return Bottleneck("thresholds", ["the run was too short to sample the server"])
    found = {name: reasons for name, rule in RULES.items() if (reasons := rule(run, saturation))}
    if not found:
        return Bottleneck("thresholds", [NO_CAUSE if saturation.host_cores is not None else NO_CAUSE_SEEN])
    return Bottleneck(next(iter(found)), [reason for reasons in found.values() for reason in reasons])


def host_taken(run: Run) -> list[str]:
    """A reason, if other programs or the generator used the host's CPUs: the server's own limit is then unknown."""
    saturation = _saturation_of(run)
    if saturation is None or saturation.cores is None or not _host_full(saturation):
        return []
    if _at_its_own_limit(saturation) or _at_rest(saturation):
        return []
    others, generator = _beside(run, saturation)
    if saturation.cores >= max(others, generator):
        return []
    shares = (
        f"the server used {saturation.cores:.2f} cores, the generator {generator:.2f}, others {others:.2f}"
    )
    return [f"all {saturation.host_cpus} CPUs of the host were busy, but not with the server: {shares}"]


def workers_sleep(run: Run) -> bool:
    """All workers were busy with connections queued, and used hardly any CPU: a late generator cannot cause that."""
    saturation = _saturation_of(run)
    return saturation is not None and bool(_workers(run, saturation)) and _at_rest(saturation)


def _at_rest(saturation: Saturation) -> bool:
    """The server waits for something other than CPU: the scheduler would have given it its share."""
    return saturation.cores is not None and saturation.cores < AT_REST * saturation.host_cpus


def _server_cpu(run: Run, saturation: Saturation) -> list[str]:
    reasons = []
    allowed = saturation.cores_allowed
    if saturation.cores is not None and allowed is not None and saturation.cores >= CPU_FULL * allowed:
        reasons.append(f"the server used {saturation.cores:.2f} of the {allowed:g} cores that it may use")
    elif (
        saturation.cores is not None
        and _host_full(saturation)
        and saturation.cores >= max(_beside(run, saturation))
    ):
        others, generator = _beside(run, saturation)
        reasons.append(
            f"all {saturation.host_cpus} CPUs of the host were busy: the server used {saturation.cores:.2f} cores, the "
            f"generator beside it {generator:.2f}, others {others:.2f}"
        )
    if saturation.process_cores_max is not None and saturation.process_cores_max >= CPU_FULL:
        reasons.append(f"one process of the server used {saturation.process_cores_max:.0%} of a core")
    return reasons


def _saturation_of(run: Run) -> Saturation | None:
    measured = (run["server"] or {}).get("saturation")
    return None if measured is None else msgspec.convert(measured, Saturation)


def _host_full(saturation: Saturation) -> bool:
    return saturation.host_cores is not None and saturation.host_cores >= CPU_FULL * saturation.host_cpus


def _at_its_own_limit(saturation: Saturation) -> bool:
    """The server used all the CPU that it may use, whatever other programs used."""
    all_allowed = (
        saturation.cores_allowed is not None
        and (saturation.cores or 0.0) >= CPU_FULL * saturation.cores_allowed
    )
    return all_allowed or (saturation.process_cores_max or 0.0) >= CPU_FULL


def _beside(run: Run, saturation: Saturation) -> tuple[float, float]:
    """Cores of the host used by other programs, and by all processes of the generator."""
    own = [worker["cores"] or 0.0 for worker in run["generator"].get("workers") or []]
    besides = max(0.0, (saturation.host_cores or 0.0) - (saturation.cores or 0.0))
    # A generator on another host may use more than this host has left.
    generator = min(besides, sum(own) or run["generator"]["cores_max"] or 0.0)
    return besides - generator, generator


def _memory(run: Run, saturation: Saturation) -> list[str]:
    reasons = []
    left = saturation.memory_available_share_min
    if left is not None and left < MEMORY_LEFT_MIN:
        pss = format_bytes(run["server"]["pss_bytes_max"])
        reasons.append(f"only {left:.1%} of the memory was left; the server had {pss}")
    return reasons + _logged(saturation, "memory", "the kernel refused it memory")


def _fds(_run: Run, saturation: Saturation) -> list[str]:
    reasons = _logged(saturation, "fds", "it had too many open files")
    reasons += _logged(saturation, "processes", "the kernel refused it processes or threads")
    share = saturation.fds_share_max
    if share is not None and share >= FDS_FULL:
        reasons.append(f"one process of the server held {share:.0%} of the descriptors that it may have")
    return reasons


def _workers(_run: Run, saturation: Saturation) -> list[str]:
    busy, waited = saturation.workers_busy_share, saturation.queue_share
    if busy is None or busy < WORKERS_FULL or waited is None or waited < QUEUE_SHARE:
        return []
    all_of = f"all {saturation.workers} workers were busy ({busy:.0%} of the time)"
    return [f"{all_of} while up to {format_count(saturation.queue_depth_max)} connections waited for one"]


def _backlog(_run: Run, saturation: Saturation) -> list[str]:
    reasons = []
    depth, limit = saturation.queue_depth_max, saturation.queue_limit
    if overflows := saturation.listen_overflows:
        reasons.append(f"the kernel's queue overflowed {format_count(overflows)} times")
    if depth and limit and depth >= limit:
        reasons.append(f"the kernel's queue was full: {format_count(depth)} of {format_count(limit)} waited")
    return reasons


def _connections(run: Run, _saturation: Saturation) -> list[str]:
    row = main_row(run)
    late, planned = row.get("late"), row.get("planned")
    if not late or not planned or late < LATE_SHARE * planned:
        return []
    asked = run["connections"]["asked"]
    found = f"{late / planned:.0%} of the arrivals found none of the {asked} connections free"
    return [f"{found}: more --connections might carry more"]


def _logged(saturation: Saturation, kind: str, what: str) -> list[str]:
    count = saturation.log_errors.get(kind)
    return [f"the server's log says that {what} ({format_count(count)} times)"] if count else []


RULES: dict[str, Rule] = {
    "server_cpu": _server_cpu,
    "memory": _memory,
    "fds": _fds,
    "workers": _workers,
    "backlog": _backlog,
    "connections": _connections,
}
