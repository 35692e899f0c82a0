"""The page of `compare`: the change from A to B in each metric, with its interval, and all runs."""

import math
from collections.abc import Iterable, Sequence

from loadtest.answers.answer_page import answer_page
from loadtest.answers.compare.answer import CompareAnswer, Compared, Measured
from loadtest.answers.compare.text import with_unit
from loadtest.base.units import format_count, format_duration, or_dash
from loadtest.report import axes, plot
from loadtest.report.page import Panel, Section, Tile, paragraph, table
from loadtest.report.plot import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, RED, SHADE, Figure

__all__ = ["page"]

HEADLINES = {
    "slower": "{b} is slower than {a}",
    "faster": "{b} is faster than {a}",
    "no difference": "{b} does not differ from {a} by more than {tolerance}",
    "cannot tell": "Whether {b} differs from {a} is not certain",
}
MARKS = {
    "slower": (RED, "triangle-up"),
    "faster": (GREEN, "triangle-down"),
    "no difference": (BLUE, "circle"),
    "cannot tell": (PURPLE, "circle-open"),
}
ROW_PX, STRIP_PX = 48, 210
SPAN_MIN = 0.08  # of the axis, on each side of equal


def page(answer: CompareAnswer, bundle_html: str) -> str:
    """The page of an answer; `bundle_html` brings Plotly (see `plotly_bundle.script`)."""
    return answer_page(
        answer,
        bundle_html,
        headline=_headline(answer),
        facts=[f"{key.upper()}: {side.label}" for key, side in answer.sides.items()],
        target={},
        tiles=_tiles(answer),
        panels=_panels(answer),
        sections=[
            Section("Metrics", _metrics(answer.metrics, paired=answer.paired)),
            Section("Sides", _sides(answer)),
            Section("Runs", _runs(answer.runs, answer.metrics)),
        ],
    )


def _headline(answer: CompareAnswer) -> str:
    labels = {key: side.label for key, side in answer.sides.items()}
    headline = HEADLINES[answer.verdict].format(tolerance=f"{answer.tolerance:.0%}", **labels)
    ratios = {
        metric.name: metric.ratio.value
        for metric in answer.metrics
        if metric.gates and metric.answer == answer.verdict and metric.ratio
    }
    if answer.verdict in ("slower", "faster") and ratios:
        most = max(ratios, key=lambda name: abs(math.log(ratios[name])))
        return f"{headline}: {most} {_change(ratios[most])}"
    return headline


def _tiles(answer: CompareAnswer) -> Iterable[Tile]:
    for metric in answer.metrics:
        if metric.gates:
            yield Tile(metric.name, _ratio(metric), _interval(metric))
    used = {key: sum(run.used and run.side == key for run in answer.runs) for key in answer.sides}
    runs = " and ".join(f"{count} of {key.upper()}" for key, count in used.items())
    slot_s = answer.settings.get("slot_s")
    pairs = f"in pairs, in time slots of {format_duration(slot_s)}" if slot_s else "in pairs"
    yield Tile("runs", runs, pairs if answer.paired else "not in pairs")
    yield Tile("tolerance", f"± {answer.tolerance:.0%}", f"{answer.confidence:.0%} confidence")


def _panels(answer: CompareAnswer) -> Iterable[Panel]:
    shown = sorted((m for m in answer.metrics if m.ratio is not None), key=lambda m: not m.gates)
    if shown:
        decides = [metric.name for metric in shown if metric.gates]
        title = _most(answer)
        words = f"B against A, with intervals; shaded: the tolerance; bold: what decides ({', '.join(decides) or '-'})"
        yield Panel("forest", title, words, _forest(shown, answer.tolerance), wide=True)
    for metric in shown:
        if metric.gates:
            a, b = with_unit(metric, metric.a_median), with_unit(metric, metric.b_median)
            title = f"{metric.name}: {a} in A, {b} in B"
            order = "pair by pair" if answer.paired else "in the order of the runs"
            words = f"each run, {order}; ○ A, ● B; dashed: their medians"
            yield Panel(f"runs-{metric.name.replace('.', '-')}", title, words, _strip(metric))


def _most(answer: CompareAnswer) -> str:
    gating = [metric for metric in answer.metrics if metric.gates]
    words = {"slower": "worse", "faster": "better"}
    certain = [f"{metric.name} {words[metric.answer]}" for metric in gating if metric.answer in words]
    if certain:
        return f"Beyond the tolerance: {', '.join(certain)}"
    unsure = [metric.name for metric in gating if metric.answer == "cannot tell"]
    return (
        f"Too wide an interval: {', '.join(unsure)}"
        if unsure
        else "All metrics that decide are within the tolerance"
    )


def _forest(metrics: Sequence[Compared], tolerance: float) -> Figure:
    """One row for each metric: its name and change in words, and its interval on a log axis of ratios."""
    far = max(
        [SPAN_MIN, 1.5 * math.log1p(tolerance)]
        + [abs(math.log(edge)) for m in metrics if m.ratio for edge in (m.ratio.low, m.ratio.high)]
    )
    ticks = _ratio_ticks(1.05 * far)
    rows = {"range": [-0.35, len(metrics)], "showticklabels": False, "showgrid": False}
    axis = axes.Axis(rows, -0.35, len(metrics), log=False)
    x = {
        "range": [-1.05 * far, 1.05 * far],
        "tickvals": [math.log(tick) for tick in ticks],
        "ticktext": [_change(tick) if tick != 1 else "equal" for tick in ticks],
        "showgrid": True,
        "gridcolor": plot.GRID,
    }
    chart = plot.figure([], x, axis, ROW_PX * len(metrics) + 60)
    chart["layout"]["margin"] |= {"l": 14, "r": 14}
    plot.band(chart, math.log(1 / (1 + tolerance)), math.log1p(tolerance), SHADE)
    plot.rule(chart, x=0.0, colour=INK, dash="solid")
    for i, metric in enumerate(metrics):
        ratio = metric.ratio
        assert ratio is not None
        colour, symbol = MARKS[metric.answer]
        row = len(metrics) - 1 - i
        name = f"<b>{metric.name}</b>" if metric.gates else metric.name
        words = f"{name}  {_change(ratio.value)}, {metric.answer}"
        left = {"xref": "paper", "xanchor": "left", "yanchor": "bottom", "yshift": 5}
        plot.note(chart, words, 0.0, row, colour if metric.gates else GREY, left)
        low, middle, high = (math.log(edge) for edge in (ratio.low, ratio.value, ratio.high))
        texts = [f"{metric.name}: {_interval(metric)}"]
        width, size = (4, 13) if metric.gates else (2, 9)
        ends = {"type": "scatter", "mode": "lines", "x": [low, high], "y": [row, row], "name": metric.name}
        chart["data"] += [
            ends | {"line": {"color": colour, "width": width}, "hoverinfo": "skip"},
            plot.points([middle], [row], metric.answer, colour, symbol, text=texts, size=size),
        ]
    return chart


def _ratio_ticks(far: float) -> list[float]:
    """Round ratios within `far` (a logarithm) of 1; at most two on each side."""
    steps = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 3.0, 9.0]
    near = [step for step in steps if math.log1p(step) <= far]
    chosen = near[-2:]
    return sorted([*(1 / (1 + step) for step in chosen), 1.0, *(1 + step for step in chosen)])


def _strip(metric: Compared) -> Figure:
    values = [*metric.a, *metric.b]
    scale, unit = axes.scale(metric.unit, max(values))
    low, high = 0.9 * min(values) / scale, 1.07 * max(values) / scale
    if low < 0.4 * high:
        low = 0.0
    axis = axes.Axis({"range": [low, high], "nticks": 5, "ticksuffix": f" {unit}"}, low, high, log=False)
    most = max(len(metric.a), len(metric.b))
    x = {"range": [0.4, most + 0.6], "nticks": min(10, most + 1), "tickformat": "d"}
    chart = plot.figure([], x, axis, STRIP_PX)
    chart["layout"]["margin"]["l"] = 72
    names = []
    for name, side, median, symbol, colour in (
        ("A", metric.a, metric.a_median, "circle-open", ORANGE),
        ("B", metric.b, metric.b_median, "circle", BLUE),
    ):
        texts = [f"{name}, run {i}: {with_unit(metric, value)}" for i, value in enumerate(side, 1)]
        at, shown = list(range(1, len(side) + 1)), [value / scale for value in side]
        chart["data"].append(plot.points(at, shown, name, colour, symbol, text=texts, size=8))
        if median is not None:
            plot.rule(chart, y=median / scale, colour=colour)
            names.append((f"{name} median", colour, median / scale))
    plot.ends(chart, axis, names)
    return chart


def _change(ratio: float) -> str:
    """B / A as a change: `+12 %`, `-3.4 %`; from 3 on as a factor."""
    if ratio >= 3:
        return f"{ratio:.3g} times"
    percent = 100 * (ratio - 1)
    return f"{percent:+.0f} %" if abs(percent) >= 9.95 else f"{percent:+.1f} %"


def _ratio(metric: Compared) -> str:
    return "-" if metric.ratio is None else _change(metric.ratio.value)


def _interval(metric: Compared) -> str:
    if metric.ratio is None:
        return metric.why or "not known"
    return f"{_change(metric.ratio.low)} to {_change(metric.ratio.high)}"


def _metrics(metrics: Sequence[Compared], *, paired: bool) -> str:
    head = ["metric", "A, median", "B, median", "change", "interval", "noise", "answer", ""]
    rows = []
    for metric in metrics:
        noise = or_dash(metric.noise, "{:.1%}")
        medians = [with_unit(metric, value) for value in (metric.a_median, metric.b_median)]
        decides = "decides" if metric.gates else ""
        interval = "-" if metric.ratio is None else _interval(metric)
        rows.append([metric.name, *medians, _ratio(metric), interval, noise, metric.answer, decides])
    steps = "the ratios of two successive pairs" if paired else "two successive runs of A"
    return table(head, rows) + paragraph(f"Noise: the median distance of {steps}.")


def _sides(answer: CompareAnswer) -> str:
    rows = []
    for key, side in answer.sides.items():
        what = side.kind if side.label == side.what else f"{side.kind}: {side.what}"
        rows.append([f"{key.upper()}: {side.label}", what])
    return table(["", ""], rows, plain=True)


def _runs(runs: Sequence[Measured], metrics: Sequence[Compared]) -> str:
    shown = [metric for metric in metrics if metric.gates]
    head = ["run", "pair", "verdict", *(metric.name for metric in shown), "used"]
    rows = []
    for run in runs:
        values = [with_unit(metric, run.values.get(metric.name)) for metric in shown]
        used = "yes" if run.used else f"no: {run.why_not}"
        rows.append([f"{run.side.upper()} {run.folder}", format_count(run.pair), run.verdict, *values, used])
    return table(head, rows, links=[f"{run.folder}/report.html" for run in runs])
