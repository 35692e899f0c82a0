"""Does a stall show? An open loop against a server that stops answering for two seconds, and against one that does not.

The server's processes are stopped in the middle of the measured time and go on two seconds later. A generator that
waits for its answers asks nothing meanwhile, and sees one slow answer for each connection; of what was planned, a tenth
was kept waiting.
"""

import os
import signal
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.results import Result
from benchmarks.servers import BenchmarkError
from loadtest.runs.execute import Load
from loadtest.runs.run import run_beside
from loadtest.runs.service import Service, started
from loadtest.runs.settings import RunSettings
from procserver.resources import Tree

__all__ = ["main"]

STALL_S = 2.0
RATE = 1000.0
CONNECTIONS = 100
RESPONSE_P99_MIN_S = 1.5
LAG_P99_MAX_MS = 2.0
VALID_MIN = 0.9  # of the quiet runs


class Form(NamedTuple):
    duration_s: float
    quiet_runs: int
    judged: bool


def main(short: bool) -> Result:
    form = Form(6.0, 1, judged=False) if short else Form(20.0, 10, judged=True)
    result = Result(
        f"a stall of {STALL_S:g} s in {form.duration_s:g} s at {RATE:g}/s over {CONNECTIONS} connections",
        ("", "response p99 ms", "service p99 ms", "lag p99 ms", "late", "other programs, cores", "verdict"),
    )
    with started(["--workers", str(CONNECTIONS + 20)], "raw", os.devnull) as service:
        stalled = _run(service, form, stall=True)
        _tell(result, "stalled", stalled)
        quiet = []
        for i in range(form.quiet_runs):
            quiet.append(_run(service, form, stall=False))
            _tell(result, f"quiet {i + 1}", quiet[-1])
    shown_s = (stalled["requests"]["message"]["response_us"]["p99"] or 0) / 1e6
    least = f"{RESPONSE_P99_MIN_S:g} s, as a share of the stalled run's response p99"
    result.judge(least, RESPONSE_P99_MIN_S / shown_s if shown_s else float("inf"), 1.0)
    if stalled["reconciled"] is None or not stalled["reconciled"]["ok"]:
        raise BenchmarkError(f"the books of the stalled run differ: {stalled['reconciled']}")
    good = [run for run in quiet if run["verdict"] != "invalid" and _lag_ms(run) < LAG_P99_MAX_MS]
    if form.judged:
        result.judge(
            "share of quiet runs that were not valid, or late", 1 - len(good) / len(quiet), 1 - VALID_MIN
        )
    lags = [_lag_ms(run) for run in quiet]
    result.notes.append(
        f"{len(good)} of {len(quiet)} quiet runs valid with lag p99 under {LAG_P99_MAX_MS:g} ms"
    )
    result.notes.append(f"their lag p99, median: {statistics.median(lags):.2f} ms")
    return result


def _run(service: Service, form: Form, *, stall: bool) -> dict[str, Any]:
    settings = RunSettings(
        host=service.host,
        control=service.control,
        pid=service.pid,
        connections=CONNECTIONS,
        rate=RATE,
        warmup_s=2.0,
        duration_s=form.duration_s,
        thresholds=[],
    )
    with tempfile.TemporaryDirectory(prefix="stall-") as folder:
        if not stall:
            return run_beside([Load(service, settings, Path(folder))], [], lambda _: None)[0]
        staller = _Staller(service, after_s=form.duration_s / 3)
        try:
            return run_beside([Load(service, settings, Path(folder))], [], staller.show)[0]
        finally:
            staller.end()


class _Staller:
    """Stops every process of the server, once, some time after measuring began, and lets them go on."""

    def __init__(self, service: Service, after_s: float) -> None:
        assert service.pid is not None
        self.pid = service.pid
        self.after_s = after_s
        self.measuring = threading.Event()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._stall, name="staller")
        self.thread.start()

    def show(self, event: dict[str, Any]) -> None:
        if event.get("phase") == "measure":
            self.measuring.set()

    def end(self) -> None:
        self.over.set()
        self.measuring.set()
        self.thread.join()

    def _stall(self) -> None:
        self.measuring.wait()
        if self.over.wait(self.after_s):
            return
        pids = list(Tree(self.pid).usage().cpu_s_by_pid)
        try:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            time.sleep(STALL_S)
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)


def _tell(result: Result, name: str, run: dict[str, Any]) -> None:
    row = run["requests"]["message"]
    times = [(row[f"{part}_us"] or {}).get("p99") for part in ("response", "service")]
    figures = [*((value or 0) / 1000 for value in times), _lag_ms(run), row["late"]]
    result.add(name, *figures, run["host"]["others_cores"] or 0.0, run["verdict"])
    print(f"  {name}: {run['verdict']} {'; '.join(run['reasons'])}", flush=True)


def _lag_ms(run: dict[str, Any]) -> float:
    lag = run["generator"]["lag_us"]
    return float("inf") if lag is None or lag["p99"] is None else float(lag["p99"]) / 1000
