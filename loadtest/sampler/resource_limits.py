"""The resource limits of a process: CPUs, quota, descriptors, memory; from /proc and cgroups of both versions.

`root` is that of /proc and /sys, for tests. None: unlimited, or not reported by the kernel.
"""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import msgspec

__all__ = ["ResourceLimits", "limits_of", "memory_available_bytes"]

UNLIMITED = 1 << 60  # cgroup version 1 reports no limit as a huge number


class ResourceLimits(msgspec.Struct, frozen=True):
    """`cpus` by affinity; `cpu_quota` in cores (None: no quota); `fds` of one process."""

    cpus: int
    cpu_quota: float | None
    fds: int | None
    memory_bytes: int | None

    @property
    def cores(self) -> float:
        """The cores that the process can use at once."""
        return min(self.cpus, self.cpu_quota or self.cpus)


def limits_of(pid: int, root: Path = Path("/")) -> ResourceLimits:
    """ProcessLookupError: there is no such process."""
    try:
        soft: int | None = resource.prlimit(pid, resource.RLIMIT_NOFILE)[0]
    except PermissionError:  # another user's
        soft = None
    limits = [
        int(text) for text in _cgroup_values(pid, root, "memory", "memory.max", "memory.limit_in_bytes")
    ]
    total = _meminfo(root, "MemTotal")
    memory = [*(limit for limit in limits if limit < UNLIMITED), *([total] if total else [])]
    return ResourceLimits(
        cpus=len(os.sched_getaffinity(pid)),
        cpu_quota=_quota(pid, root),
        fds=None if soft == resource.RLIM_INFINITY else soft,
        memory_bytes=min(memory, default=None),
    )


def memory_available_bytes(root: Path = Path("/")) -> int | None:
    """The memory that the host can provide without swapping, as the kernel estimates it."""
    return _meminfo(root, "MemAvailable")


def _quota(pid: int, root: Path) -> float | None:
    """The lowest quota from the process's group up to the root, in cores."""
    quotas = []
    for text in _cgroup_values(pid, root, "cpu", "cpu.max", "cpu.cfs_quota_us", "cpu.cfs_period_us"):
        quota, period = text.split()
        if quota.isdigit() and int(period):  # `max` and -1 are none
            quotas.append(int(quota) / int(period))
    return min(quotas, default=None)


def _cgroup_values(pid: int, root: Path, controller: str, unified: str, *legacy: str) -> Iterator[str]:
    """The values of a limit in each group of the process, from its own upwards, but for a plain `max`."""
    for folder, names in _groups(pid, root, controller, unified, legacy):
        try:
            text = " ".join((folder / name).read_text().strip() for name in names)
        except OSError:
            continue
        if text != "max":
            yield text


def _groups(
    pid: int, root: Path, controller: str, unified: str, legacy: tuple[str, ...]
) -> Iterator[tuple[Path, tuple[str, ...]]]:
    try:
        lines = (root / f"proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number != "0" and controller not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / ("" if number == "0" else controllers)
        group = mount / path.lstrip("/")
        while group.is_relative_to(mount):
            yield group, (unified,) if number == "0" else legacy
            group = group.parent


def _meminfo(root: Path, name: str) -> int | None:
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), None)
