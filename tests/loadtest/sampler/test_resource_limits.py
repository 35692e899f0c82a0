"""What a process may use: both versions of cgroups, and none."""

import os
from pathlib import Path

import pytest

from loadtest.sampler.resource_limits import limits_of, memory_available_bytes

PID = os.getpid()


def host(tmp_path: Path, groups: str, files: dict[str, str]) -> Path:
    """A root with this process's groups and their files."""
    proc = tmp_path / f"proc/{PID}"
    proc.mkdir(parents=True)
    (proc / "cgroup").write_text(groups)
    (tmp_path / "proc/meminfo").write_text("MemTotal:  8192 kB\nMemFree: 1 kB\nMemAvailable:  4096 kB\n")
    for name, text in files.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("groups", "files", "quota", "memory"),
    [
        ("0::/\n", {}, None, 8192 * 1024),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/b/memory.max": "max\n"}, None, 8192 * 1024),
        ("0::/a/b\n", {"a/b/cpu.max": "150000 100000\n"}, 1.5, 8192 * 1024),
        (
            "0::/a/b\n",
            {"a/cpu.max": "50000 100000\n", "a/b/cpu.max": "150000 100000\n", "a/memory.max": "1048576\n"},
            0.5,
            1048576,
        ),
        (
            "4:memory:/m\n1:cpu,cpuacct:/c\n0::/\n",
            {
                "cpu,cpuacct/c/cpu.cfs_quota_us": "200000\n",
                "cpu,cpuacct/c/cpu.cfs_period_us": "100000\n",
                "cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
                "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
                "memory/m/memory.limit_in_bytes": "2097152\n",
                "memory/memory.limit_in_bytes": "9223372036854771712\n",
            },
            2.0,
            2097152,
        ),
    ],
)
def test_the_least_of_all_groups_counts(
    groups: str, files: dict[str, str], quota: float | None, memory: int, tmp_path: Path
) -> None:
    """From the process's own group up to the root; a limit that is none is left out."""
    found = limits_of(PID, host(tmp_path, groups, files))
    assert (found.cpu_quota, found.memory_bytes) == (quota, memory)
    assert found.cores == min(found.cpus, quota or found.cpus)


def test_this_host_tells() -> None:
    """The real one: as many CPUs as we may use, some descriptors, some memory."""
    found = limits_of(PID)
    assert found.cpus == len(os.sched_getaffinity(0))
    assert found.fds is None or found.fds > 3
    available = memory_available_bytes()
    assert available is not None
    assert found.memory_bytes is not None
    assert available > 0


def test_a_host_that_tells_nothing(tmp_path: Path) -> None:
    """Unknown is None, not a number."""
    found = limits_of(PID, tmp_path)
    assert (found.cpu_quota, found.memory_bytes) == (None, None)
    assert memory_available_bytes(tmp_path) is None


def test_no_such_process() -> None:
    """It says so at once."""
    with pytest.raises(ProcessLookupError):
        limits_of(2**22 - 1)
