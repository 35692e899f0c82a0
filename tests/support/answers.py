"""One answer of each kind, as its command would leave it, small but whole."""

from typing import Any, TypeVar

import msgspec

from loadtest.answers.capacity import page as capacity_page
from loadtest.answers.capacity.answer import Bottleneck, CapacityAnswer, Stage
from loadtest.answers.compare import page as compare_page
from loadtest.answers.compare.answer import CompareAnswer, Compared, Measured, Side
from loadtest.answers.cost import page as cost_page
from loadtest.answers.cost.answer import QUANTITIES, CostAnswer, Parts, Spares, Step
from loadtest.answers.workers import page as workers_page
from loadtest.answers.workers.answer import PoolSize, WorkersAnswer
from loadtest.statistics import bootstrap, slope, usl

HOST: dict[str, Any] = {"cpus": 2, "machine": "x86_64", "cpus_allowed": 2, "cpu_quota": None}
SETTINGS: dict[str, Any] = {"serve": ["--workers", "4"], "host": None, "user": "greeting"}
STARTED = "2026-01-01T12:00:00.000+00:00"
S = TypeVar("S", bound=msgspec.Struct)
HOSTILE = "<script>alert(1)</script>"


def blank(kind: type[S], **told: Any) -> S:
    """A struct of which only some fields matter: the others are None, 0, or empty, by their types."""
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        if field.name in told or not field.required:
            continue
        text = str(field.type)
        if "None" in text:
            values[field.name] = None
        elif "list" in text:
            values[field.name] = []
        elif "dict" in text:
            values[field.name] = {}
        elif field.type is str:
            values[field.name] = ""
        else:
            values[field.name] = field.type(0)
    return kind(**values, **told)


def capacity_answer() -> CapacityAnswer:
    """Four workers of 10 ms each: 391 hold, 400 break."""
    stages = []
    for number, (asked, outcome) in enumerate(
        [(50, "holds"), (100, "holds"), (200, "holds"), (400, "breaks"), (391, "holds"), (800, "limited")], 1
    ):
        stages.append(
            blank(
                Stage,
                number=number,
                folder=f"stage-{number}",
                asked=float(asked),
                purpose="range",
                outcome=outcome,
                why=[f"message.p99 was 80 ms {HOSTILE}"] if outcome == "breaks" else [],
                achieved=float(min(asked, 391)),
                duration_s=2.0 if asked == 400 else 5.0,
                ended_early="ended after 2s of 5s: 7 arrivals were dropped" if asked == 400 else "",
                p50_us=10_400.0,
                p99_us=11_000.0 + (70_000 if outcome == "breaks" else asked),
                server_cores=0.001 * asked,
                workers=4,
                workers_busy=min(4.0, 0.01 * asked),
                generator_cores=0.0005 * asked,
            )
        )
    return blank(
        CapacityAnswer,
        verdict="answered",
        of="rate",
        capacity=391.0,
        at_least=False,
        breaks_at=400.0,
        precision=0.05,
        bottleneck=Bottleneck("workers", [f"all 4 workers were busy {HOSTILE}"], 4),
        main="message",
        thresholds=["message.p99<50ms", "errors=0"],
        stages=stages,
        started=STARTED,
        took_s=70.0,
        settings=SETTINGS,
        host=HOST,
    )


def workers_answer() -> WorkersAnswer:
    """Eight sizes that follow the law."""
    sizes, measured = [], []
    for count in (1, 2, 3, 4, 6, 8, 12, 16):
        rate = 100 * count / (1 + 0.05 * (count - 1) + 0.004 * count * (count - 1))
        rates = [rate, 1.01 * rate, 0.99 * rate]
        measured += [(count, each) for each in rates]
        sizes.append(
            blank(
                PoolSize,
                workers=count,
                verdict="answered",
                capacity=rate,
                at_least=count == 12,
                rates=rates,
                bottleneck=Bottleneck("workers", [], 1),
                server_cores=0.02 * count,
                p99_us=22_000.0,
                folder=f"workers-{count}",
            )
        )
    return blank(
        WorkersAnswer,
        verdict="answered",
        notes=[f"a note {HOSTILE}"],
        knee=8,
        best=12,
        sizes=sizes,
        fit=usl.fit(measured, 1, resamples=200),
        thresholds=["message.p99<50ms"],
        started=STARTED,
        took_s=600.0,
        settings=SETTINGS,
        host=HOST,
    )


def cost_answer() -> CostAnswer:
    """Steps whose memory rises by 1 MiB for each connection; a quantity that does not rise at all."""
    at = [10, 20, 40, 60, 80, 100]
    steps = [
        blank(
            Step,
            connections=n,
            kept=i > 0,
            settled=True,
            pss_bytes=(20 + n) << 20,
            uss_bytes=(15 + n) << 20,
            fds=100 + 3 * n,
            processes=3 + n,
            spares=Spares(4, 4 << 20, 4096, 30),
        )
        for i, n in enumerate(at)
    ]
    points = {
        name: [(float(n), float((20 << 20) + n * (1 << 20) + (n % 3) * 1000)) for n in at]
        for name in QUANTITIES
    }
    points["cpu_idle"] = [(float(n), 400.0 + 100 * (i % 2)) for i, n in enumerate(at)]
    lines = {name: slope.fit([x for x, _ in p[1:]], [y for _, y in p[1:]]) for name, p in points.items()}
    return blank(
        CostAnswer,
        verdict="answered",
        notes=[f"a note {HOSTILE}"],
        started=STARTED,
        took_s=60.0,
        settings=SETTINGS,
        host=HOST,
        steps=steps,
        points=points,
        lines=lines,
        parts=blank(Parts, pool="elastic", worker_bytes=400_000.0),
    )


def compare_answer() -> CompareAnswer:
    """One metric that is a fifth slower, one alike, one of which nothing can be told."""
    metrics = []
    for name, factor, gates, said in (
        ("server.cpu_us_per_message", 1.2, True, "slower"),
        ("message.p50", 1.0, True, "no difference"),
        ("message.p99", 1.1, False, "cannot tell"),
    ):
        a = [100 + i % 3 for i in range(8)]
        b = [factor * value * (1 + 0.001 * (i % 2)) for i, value in enumerate(a)]
        ratio = bootstrap.ratio_of_pairs(a, b, 0.95, 1)
        row = blank(
            Compared, name=name, unit="us", worse="up", gates=gates, a=a, b=b, ratio=ratio, answer=said
        )
        row.a_median, row.b_median = 101.0, 101.0 * factor
        metrics.append(row)
    runs = [
        Measured(
            side, i // 2, f"run-{i}-{side}", "pass", used=True, why_not="", values={"message.p50": 100.0}
        )
        for i, side in enumerate("abbaabba")
    ]
    return blank(
        CompareAnswer,
        verdict="slower",
        reasons=[f"server.cpu_us_per_message is 20 % higher {HOSTILE}"],
        started=STARTED,
        took_s=300.0,
        tolerance=0.05,
        confidence=0.95,
        paired=True,
        sides={
            "a": Side("main", "commit", "abc", "abcdef0"),
            "b": Side(f"spin{HOSTILE}", "serve", None, "--x"),
        },
        metrics=metrics,
        runs=runs,
        settings=SETTINGS,
        host=HOST,
    )


ANSWERS = {
    "capacity": (capacity_answer, capacity_page.page),
    "workers": (workers_answer, workers_page.page),
    "cost": (cost_answer, cost_page.page),
    "comparison": (compare_answer, compare_page.page),
}
