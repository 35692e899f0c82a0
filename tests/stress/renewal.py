"""All workers replaced at once: by a reload, by an upgrade, by recycling; and pools that change their size."""

import random
import signal

from benchmarks.results import Result
from procserver.clients import control
from tests.support.crowd import Crowd
from tests.support.effort import Effort
from tests.support.ledger import enter, reconcile, report
from tests.support.pace import beats, steps
from tests.support.server import run_to_end
from tests.support.service import Service
from tests.support.wait import PATIENCE_S

CLIENTS = 16
FEW_WORKERS = ("--workers", "4", "--delay", "0.002")  # fewer than clients: the queue is never empty
ELASTIC = ("--min-spare", "2", "--max-spare", "4", "--max-workers", "16")
RECYCLE_EVERY = 10


def reload(effort: Effort) -> Result:
    """A reload every 250 ms, asked for and by HUP in turns, while somebody always waits in the queue."""
    result = report("reload every 250 ms, the queue never empty")
    course = effort.course("reload", 50, 6)
    done = without_queue = 0
    with Service(*FEW_WORKERS, tolerates=("saturated",)) as service:
        with Crowd(service.port, CLIENTS, seed=4) as crowd:
            service.wait_for_status(lambda s: s["queue"]["depth"] > 0, "a queue")
            for _ in steps(0.25):
                if not course.wants(done):
                    break
                before = service.status()
                without_queue += before["queue"]["depth"] == 0
                if done % 2:
                    service.process.send_signal(signal.SIGHUP)
                    service.wait_for_generation(before["supervisor"]["generation"] + 1)
                else:
                    ask(service, "reload")
                done += 1
            counts = crowd.leave()
        generation = service.status()["supervisor"]["generation"]
    enter(result, "reload", f"{done} reloads", counts)
    result.judge("reload: conversations lost", counts.lost + counts.refused, 0)
    result.judge("reload: looks that found the queue empty", without_queue, 0)
    result.judge("reload: generations that came out of order", abs(generation - 1 - done), 0)
    reconcile(result, "reload", counts, service)
    return result


def upgrade(effort: Effort) -> Result:
    """The program replaced under the service, asked for and by USR2 in turns."""
    result = report("upgrade in place")
    if run_to_end("upgrade", "--help").returncode != 0:
        result.notes.append("left out: this procserver has no upgrade yet")
        return result
    course = effort.course("upgrade", 10, 2)
    done = fell = 0
    with Service(*FEW_WORKERS, tolerates=("saturated",)) as service:
        pid = service.status()["supervisor"]["pid"]
        with Crowd(service.port, CLIENTS, seed=5) as crowd:
            for _ in steps(0.25):
                if not course.wants(done):
                    break
                before = service.status()
                generation = before["supervisor"]["generation"]
                if done % 2:
                    service.process.send_signal(signal.SIGUSR2)
                else:
                    asked = run_to_end("upgrade", "--control", str(service.control))
                    assert asked.returncode == 0, f"upgrade: {asked.stderr}"
                service.wait_for_generation(generation + 1)
                after = service.status()
                fell += after["totals"]["connections"] < before["totals"]["connections"]
                fell += after["supervisor"]["uptime_s"] < before["supervisor"]["uptime_s"]
                assert after["supervisor"]["pid"] == pid
                done += 1
            counts = crowd.leave()
    enter(result, "upgrade", f"{done} upgrades", counts)
    result.judge("upgrade: conversations lost", counts.lost + counts.refused, 0)
    result.judge("upgrade: counters or uptimes that fell", fell, 0)
    reconcile(result, "upgrade", counts, service)
    return result


def resize(effort: Effort) -> Result:
    """Scale up and down, and recycle now and then, under clients that fit into the final size."""
    result = report("pools scaled up and down, and recycled")
    pools = {"static": (("--workers", "4"), 2, 12, 8), "elastic": (ELASTIC, 3, 16, 8)}
    for name, (flags, low, high, last) in pools.items():
        _resize(result, effort, f"resize, {name}", flags, low, high, last)
    return result


def _resize(
    result: Result, effort: Effort, series: str, flags: tuple[str, ...], low: int, high: int, last: int
) -> None:
    course = effort.course(series, 50, 10)
    done = 0
    with Service(*flags, tolerates=("saturated",)) as service:
        with Crowd(service.port, last - 2, seed=6) as crowd:
            for _ in beats(0.02, 0.2, random.Random(6)):
                if not course.wants(done):
                    break
                if done % RECYCLE_EVERY == RECYCLE_EVERY - 1:
                    ask(service, "recycle")
                else:
                    ask(service, "scale", workers=low if done % 2 else high)
                done += 1
            ask(service, "scale", workers=last)
            converged = service.wait_for_status(
                lambda s: s["pool"]["workers"] + s["pool"]["starting"] <= last and not s["pool"]["draining"],
                f"at most {last} workers",
            )
            counts = crowd.leave()
    enter(result, series, f"{done} changes", counts)
    result.judge(f"{series}: conversations lost", counts.lost + counts.refused, 0)
    result.judge(f"{series}: workers killed in conversation", service.totals["outcomes"]["killed"], 0)
    if "--workers" in flags:
        result.judge(f"{series}: off the size asked for", abs(converged["pool"]["workers"] - last), 0)
    reconcile(result, series, counts, service)


def ask(service: Service, command: str, **details: object) -> None:
    """Answered when it is done; ControlError when it is not."""
    control.request(service.control, {"command": command, **details}, PATIENCE_S)
