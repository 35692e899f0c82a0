"""What processes and their host have used; no other module imports psutil.

Reading costs: CPU of a known process some 10 µs; memory, descriptors and switches of a process 0.1 to 1 ms; finding
the children 3 to 20 ms, for it reads all of /proc. So `Tree` has three methods, to be called at three paces.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

CPUCLOCK_SCHED = 2  # the process CPU-time clock of any process, as clock_getcpuclockid(3) makes its number


@dataclass(frozen=True, slots=True)
class TreeUsage:
    """CPU seconds since each process's start, with those of its children that have been reaped."""

    processes: int
    cpu_s: float
    cpu_s_by_pid: dict[int, float]  # of the living, without their children's


@dataclass(frozen=True, slots=True)
class ProcessDetail:
    """One process. `pss_bytes` has its part of each shared page, `uss_bytes` is what its exit would free."""

    pid: int
    name: str
    pss_bytes: int
    uss_bytes: int
    fds: int
    threads: int
    cpu_s: float


@dataclass(frozen=True, slots=True)
class TreeDetail:
    """Sums over the living; the switches count exited processes, too. A sum of RSS would count shared pages N times."""

    pss_bytes: int
    uss_bytes: int
    fds: int
    threads: int
    voluntary_switches: int
    involuntary_switches: int
    processes: list[ProcessDetail]


@dataclass(frozen=True, slots=True)
class HostUsage:
    """Since boot, of the whole host or network namespace; the counters only grow."""

    cpus: int
    busy_s: float
    listen_overflows: int
    listen_drops: int
    retransmits: int


class Tree:
    """A process and all its descendants. Any method raises ProcessLookupError once the root has exited."""

    def __init__(self, pid: int) -> None:
        try:
            self._root = psutil.Process(pid)
        except psutil.NoSuchProcess as error:
            raise ProcessLookupError(f"no process {pid}") from error
        self._processes: list[psutil.Process] = [self._root]
        self._cpu_s = 0.0
        self._switches: dict[int, tuple[int, int]] = {}
        self._switches_of_dead = (0, 0)
        self.refresh()

    def refresh(self) -> None:
        """Find the descendants that exist now; `usage` and `detail` read those found last."""
        self._check()
        try:
            self._processes = [self._root, *self._root.children(recursive=True)]
        except psutil.NoSuchProcess as error:
            raise ProcessLookupError(f"process {self._root.pid} is gone") from error

    def usage(self) -> TreeUsage:
        self._check()
        total, by_pid = 0.0, {}
        for process in self._processes:
            try:
                cpu = process.cpu_times()
            except psutil.Error:
                continue  # reaped: what it used is in its parent's children
            own_s = _run_s(process.pid)
            by_pid[process.pid] = cpu.user + cpu.system if own_s is None else own_s
            total += by_pid[process.pid] + cpu.children_user + cpu.children_system
        # A child reaped between the reading of its parent and its own is missed once.
        self._cpu_s = max(self._cpu_s, total)
        return TreeUsage(len(by_pid), self._cpu_s, by_pid)

    def detail(self) -> TreeDetail:
        self._check()
        found = list(self._details())
        living = {process.pid for process in found}
        dead = [self._switches.pop(pid) for pid in self._switches.keys() - living]
        self._switches_of_dead = _sums([self._switches_of_dead, *dead])
        voluntary, involuntary = _sums([self._switches_of_dead, *self._switches.values()])
        return TreeDetail(
            pss_bytes=sum(p.pss_bytes for p in found),
            uss_bytes=sum(p.uss_bytes for p in found),
            fds=sum(p.fds for p in found),
            threads=sum(p.threads for p in found),
            voluntary_switches=voluntary,
            involuntary_switches=involuntary,
            processes=found,
        )

    def _details(self) -> Iterator[ProcessDetail]:
        for process in self._processes:
            try:
                with process.oneshot():
                    memory = process.memory_full_info()
                    switches = process.num_ctx_switches()
                    cpu = process.cpu_times()
                    detail = ProcessDetail(
                        pid=process.pid,
                        name=process.name(),
                        pss_bytes=memory.pss,
                        uss_bytes=memory.uss,
                        fds=process.num_fds(),
                        threads=process.num_threads(),
                        cpu_s=cpu.user + cpu.system,
                    )
            except psutil.Error:
                continue  # exited, or another user's
            self._switches[process.pid] = (switches.voluntary, switches.involuntary)
            yield detail

    def _check(self) -> None:
        if not self._root.is_running() or self._root.status() == psutil.STATUS_ZOMBIE:
            raise ProcessLookupError(f"process {self._root.pid} is gone")


def host_usage() -> HostUsage:
    cpu = psutil.cpu_times()
    tcp = _counters("/proc/net/netstat", "TcpExt:") | _counters("/proc/net/snmp", "Tcp:")
    return HostUsage(
        cpus=psutil.cpu_count() or 1,
        # The kernel counts guest time in user time as well.
        busy_s=sum(cpu)
        - cpu.idle
        - sum(getattr(cpu, name, 0.0) for name in ("iowait", "guest", "guest_nice")),
        listen_overflows=tcp.get("ListenOverflows", 0),
        listen_drops=tcp.get("ListenDrops", 0),
        retransmits=tcp.get("RetransSegs", 0),
    )


def page_tables_bytes(pid: int) -> int:
    """The kernel's page tables of a process, which no sum of its pages includes; 0 if it has exited."""
    return _proc_bytes(pid, "status", "VmPTE:") or 0


def pss_data_bytes(pid: int) -> int | None:
    """The part of PSS that is no mapped file: 0 if the process has exited, None if the kernel does not report it.

    Files are shared with every process of the host that maps them, so their PSS falls when another program of the
    same interpreter starts; data is shared within the tree only.
    """
    return _proc_bytes(pid, "smaps_rollup", "Pss_Anon:", "Pss_Shmem:")


def tcp_memory_bytes() -> int | None:
    """The kernel's buffers of all TCP sockets, in whole pages; None if it does not report them."""
    try:
        with open("/proc/net/sockstat") as file:
            words = next((line.split() for line in file if line.startswith("TCP:")), [])
    except FileNotFoundError:
        return None
    facts = dict(zip(words[1::2], words[2::2], strict=False))
    return int(facts["mem"]) * os.sysconf("SC_PAGE_SIZE") if "mem" in facts else None


def own_cpu_s() -> float:
    """CPU seconds of the calling process."""
    return time.process_time()


def _run_s(pid: int) -> float | None:
    """Seconds on a CPU, all threads, to the nanosecond; None if the kernel does not report it.

    The times in `/proc/PID/stat` come in whole ticks of 10 ms for each process: of a hundred workers that
    use 5 ms each they show nothing.
    """
    try:
        return time.clock_gettime(((~pid) << 3) | CPUCLOCK_SCHED)
    except OSError:
        return None


def _proc_bytes(pid: int, file_name: str, *keys: str) -> int | None:
    """The sum of these lines of /proc/PID/FILE, which are in KiB; 0 if the process has exited, None without a line."""
    try:
        with open(f"/proc/{pid}/{file_name}") as file:
            sizes = [int(line.split()[1]) for line in file if line.startswith(keys)]
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(sizes) * 1024 if sizes else None


def _counters(path: str, group: str) -> dict[str, int]:
    """A group of the kernel's network counters: a line of names, then a line of values; {} if there is none."""
    if not os.path.exists(path):
        return {}
    with open(path) as file:
        lines = [line.split()[1:] for line in file if line.startswith(group + " ")]
    return dict(zip(lines[0], map(int, lines[1]), strict=False)) if len(lines) == 2 else {}


def _sums(pairs: list[tuple[int, int]]) -> tuple[int, int]:
    return sum(first for first, _ in pairs), sum(second for _, second in pairs)
