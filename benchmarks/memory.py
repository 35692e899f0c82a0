"""What does a worker cost in memory? Private dirty pages of 200 static workers, idle and after having served.

In a bare environment: a fresh virtual environment with the core dependencies alone, for one `.pth` file
that imports `threading` would be paid for by every worker.
"""

import re
import shutil
import sys
import tempfile
import tomllib
import venv
from importlib.metadata import distribution
from pathlib import Path
from statistics import mean

from benchmarks.guest import Guest
from benchmarks.results import Result
from benchmarks.servers import ROOT, Server, procserver

__all__ = ["main"]

WORKERS = 200
IDLE_KIB_MAX = 400
BOUND_HOLDS_FOR = (3, 11)  # later versions print their figure; the bound was found on this one


def main(short: bool) -> Result:
    rounds = (1, 3) if short else (1, 10, 40)
    result = Result(
        f"memory of one of {WORKERS} static workers, KiB",
        ("", "private dirty, mean", "private dirty, max", "PSS, mean"),
    )
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        python = bare_environment(Path(folder))
        command = ("env", "-i", "PATH=/usr/bin:/bin", str(python))
        with procserver("--workers", str(WORKERS), python=command) as server:
            server.await_idle(WORKERS)
            private, shared = weigh(server)
            result.add("idle", mean(private), max(private), mean(shared))
            what = "private dirty memory of an idle worker, mean, KiB"
            if sys.version_info[:2] == BOUND_HOLDS_FOR:
                result.judge(what, mean(private), IDLE_KIB_MAX)
            served = 0
            for count in rounds:
                while served < count:
                    everybody_serves(server)
                    served += 1
                private, shared = weigh(server)
                result.add(f"after {served} connections each", mean(private), max(private), mean(shared))
    return result


def weigh(server: Server) -> tuple[list[float], list[float]]:
    """Private dirty memory and PSS of each worker, KiB."""
    private, shared = [], []
    for pid in server.worker_pids():
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        sizes = {name: float(size) for name, size in re.findall(r"^(\w+): +(\d+) kB$", text, re.MULTILINE)}
        private.append(sizes["Private_Dirty"])
        shared.append(sizes["Pss"])
    return private, shared


def everybody_serves(server: Server) -> None:
    """As many conversations at a time as there are workers: each worker has one."""
    guests = [Guest(server.port) for _ in range(WORKERS)]
    for guest in guests:
        guest.welcome()
        guest.greet(b"Michael")
    for guest in guests:
        guest.leave("exit")
        guest.close()
    server.await_idle(WORKERS)


def bare_environment(folder: Path) -> Path:
    """A virtual environment with nothing but the core dependencies, copied from ours; its interpreter."""
    venv.EnvBuilder(with_pip=False, symlinks=True).create(folder)
    (site,) = folder.glob("lib/python3*/site-packages")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for requirement in project["dependencies"]:
        name = re.split(r"[^A-Za-z0-9._-]", requirement)[0]
        for file in distribution(name).files or ():
            if file.parts[0] != ".." and file.suffix != ".pyc":
                target = site / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file.locate(), target)
    return folder / "bin" / "python"
