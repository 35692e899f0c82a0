"""The page of `capacity`: the highest load that holds, each stage, and the bottleneck."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from loadtest.answers.answer_page import answer_page
from loadtest.answers.capacity.answer import CapacityAnswer, Stage
from loadtest.base.units import format_count, format_duration, format_us, or_dash, parse_duration_s
from loadtest.report import axes, plot
from loadtest.report.page import Panel, Section, Tile, sentence, table
from loadtest.report.plot import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, Figure

__all__ = ["page"]

TALL_PX, HALF_PX = 320, 270
SHARES = [0, 25, 50, 75, 100]


class _Mark(NamedTuple):
    words: str
    colour: str
    symbol: str


MARKS = {
    "holds": _Mark("holds", GREEN, "circle"),
    "breaks": _Mark("breaks", RED, "x-thin"),
    "ended": _Mark("breaks, ended early", RED, "triangle-down-open"),
    "limited": _Mark("the generator's limit", GREY, "diamond-open"),
    "invalid": _Mark("invalid", PURPLE, "square-open"),
}


def page(answer: CapacityAnswer, bundle_html: str) -> str:
    """The page of an answer; `bundle_html` brings Plotly (see `plotly_bundle.script`)."""
    return answer_page(
        answer,
        bundle_html,
        headline=_headline(answer),
        tiles=_tiles(answer),
        panels=_panels(answer),
        sections=[Section("Stages", _stages(answer.stages, _unit(answer)))],
        facts=[f"thresholds: {', '.join(answer.thresholds)}"],
        evidence=answer.bottleneck.reasons if answer.bottleneck else [],
    )


def _unit(answer: CapacityAnswer) -> str:
    return "connections" if answer.of == "connections" else f"{answer.main}s per second"


def _load(answer: CapacityAnswer, load: float | None) -> str:
    return f"{format_count(load)} {_unit(answer)}"


def _headline(answer: CapacityAnswer) -> str:
    if answer.capacity is None:
        lowest = min((stage.asked for stage in answer.stages), default=None)
        if answer.verdict == "none":
            return f"Not even {_load(answer, lowest)} hold"
        return "The capacity is not known"
    least = "at least " if answer.at_least else ""
    bottleneck = (
        f"; the limit is {answer.bottleneck.words}" if answer.bottleneck and not answer.at_least else ""
    )
    return sentence(f"{least}{_load(answer, answer.capacity)}{bottleneck}")[:-1]


def _tiles(answer: CapacityAnswer) -> Iterable[Tile]:
    least = "≥ " if answer.at_least and answer.capacity else ""
    yield Tile(_unit(answer), f"{least}{format_count(answer.capacity)}", "confirmed by a longer stage")
    breaks = "no load did" if answer.breaks_at is None else f"within {answer.precision:.0%} of the limit"
    yield Tile("breaks at", format_count(answer.breaks_at), breaks)
    confirmed = _confirmed(answer)
    yield Tile("99 of 100 within", format_us(confirmed.p99_us if confirmed else None), "at the limit")
    cores = confirmed.server_cores if confirmed else None
    yield Tile("server CPU", or_dash(cores, "{:.2f} cores"), f"of {answer.host['cpus']}, at the limit")
    yield Tile("stages", str(len(answer.stages)), format_duration(round(answer.took_s)))


def _confirmed(answer: CapacityAnswer) -> Stage | None:
    """The latest stage that held at the capacity."""
    held = [stage for stage in answer.stages if stage.outcome == "holds" and stage.asked == answer.capacity]
    return held[-1] if held else None


def _panels(answer: CapacityAnswer) -> Iterable[Panel]:
    stages = answer.stages
    if not stages:
        return
    unit = _unit(answer)
    if any(stage.p99_us for stage in stages):
        marks = "● holds, ✕ breaks, ▽ ended early, ◇ the generator's limit"
        words = f"99th percentile of each stage by {unit}, log scale; {marks}"
        yield Panel("latency", _found(answer), words, _latency(answer), wide=True)
    made = (
        "connections that were greeted"
        if answer.of == "connections"
        else f"{answer.main}s answered per second"
    )
    title = "All of the load is answered up to the limit" if answer.capacity else "Load and answers"
    yield Panel("curve", title, f"{made}, by {unit} of load; dashed: all of it", _curve(answer))
    if any(share is not None for stage in stages for share in _shares(stage, answer).values()):
        title = f"What ran out: {answer.bottleneck.words}" if answer.bottleneck else "What was in use"
        words = f"share in use of what there is, by {unit}"
        yield Panel("resources", title, words, _resources(answer))


def _found(answer: CapacityAnswer) -> str:
    if answer.capacity is None:
        return "No load held"
    broke = f", {format_count(answer.breaks_at)} do not" if answer.breaks_at is not None else ""
    return f"{_load(answer, answer.capacity)} hold{broke}"


def _latency(answer: CapacityAnswer) -> Figure:
    limits = _limits_us(answer)
    axis = axes.duration_axis([*(stage.p99_us for stage in answer.stages), *(limit for _, limit in limits)])
    chart = _by_load(answer, axis, TALL_PX, lambda stage: stage.p99_us)
    for expression, limit_us in limits:
        plot.rule(chart, y=limit_us, colour=RED, dash="dot")
        level = axes.place(axis.layout, limit_us)
        right = {"xref": "paper", "xanchor": "right", "yanchor": "bottom"}
        plot.note(chart, f"threshold: {expression.replace('<', '&lt;')}", 1.0, level, RED, right, 12)
    return chart


def _limits_us(answer: CapacityAnswer) -> list[tuple[str, float]]:
    """The thresholds that this chart can show as a level."""
    found = []
    for expression in answer.thresholds:
        metric, below, limit = expression.partition("<")
        if below and metric.strip() == f"{answer.main}.p99":
            found.append((expression, 1e6 * parse_duration_s(limit.removeprefix("="))))
    return found


def _curve(answer: CapacityAnswer) -> Figure:
    asked = [stage.asked for stage in answer.stages]
    axis = axes.count_axis([*asked, *(stage.achieved for stage in answer.stages)])
    chart = _by_load(answer, axis, HALF_PX, lambda stage: stage.achieved, linear=True)
    most = 1.06 * max(asked)
    chart["data"].insert(0, plot.line([0, most], [0, most], "load", GREY, dash="dash", hover="all of it"))
    return chart


def _resources(answer: CapacityAnswer) -> Figure:
    axis = axes.count_axis([100.0], tickvals=SHARES, ticktext=[f"{share} %" for share in SHARES])
    chart = plot.figure([], axes.load_axis(stage.asked for stage in answer.stages), axis, HALF_PX)
    stages = sorted(answer.stages, key=lambda stage: stage.asked)
    names = []
    for (words, colour), dash in zip(
        (("workers", BLUE), ("CPU", RED), ("generator", ORANGE)), ("solid", "dash", "dot"), strict=True
    ):
        known = [
            (stage.asked, share) for stage in stages if (share := _shares(stage, answer)[words]) is not None
        ]
        if known:
            x, y = [asked for asked, _ in known], [min(100.0, 100 * share) for _, share in known]
            chart["data"].append(plot.line(x, y, words, colour, dash=dash, hover="%{y:.0f} %", markers=True))
            names.append((words, colour, y[-1]))
    plot.ends(chart, axis, names)
    return chart


def _shares(stage: Stage, answer: CapacityAnswer) -> dict[str, float | None]:
    """Shares in use: of workers, of the host's cores by the server, of one core by the generator's busiest process."""
    busy, cores, cpus = stage.workers_busy, stage.server_cores, answer.host["cpus"]
    return {
        "workers": busy / stage.workers if busy is not None and stage.workers else None,
        "CPU": cores / cpus if cores is not None and cpus else None,
        "generator": stage.generator_cores,
    }


def _by_load(
    answer: CapacityAnswer, axis: axes.Axis, height_px: int, value_of: Any, *, linear: bool = False
) -> Figure:
    """Every stage that has the value, by its load, marked by its outcome; with a line at the capacity."""
    asked = [stage.asked for stage in answer.stages]
    x = axes.load_axis(asked)
    if linear:
        x = {"range": [0, 1.06 * max(asked)], "nticks": 6, "tickformat": ",.0f"}
    chart = plot.figure([], x, axis, height_px)
    for outcome, mark in MARKS.items():
        stages = [s for s in answer.stages if _kind(s) == outcome and value_of(s) is not None]
        if stages:
            texts = [_label(stage, answer) for stage in stages]
            at, values = [stage.asked for stage in stages], [value_of(stage) for stage in stages]
            chart["data"].append(plot.points(at, values, mark.words, mark.colour, mark.symbol, text=texts))
    if answer.capacity is not None:
        if answer.breaks_at is not None:
            plot.band(chart, answer.capacity, answer.breaks_at, plot.tint(RED, 0.13))
        plot.rule(chart, x=answer.capacity, colour=BLUE)
        left = {"yref": "paper", "xanchor": "right", "yanchor": "top", "xshift": -4}
        plot.note(
            chart, f"<b>{format_count(answer.capacity)}</b>", axes.place(x, answer.capacity), 1.0, BLUE, left
        )
    return chart


def _kind(stage: Stage) -> str:
    return "ended" if stage.ended_early and stage.outcome == "breaks" else stage.outcome


def _label(stage: Stage, answer: CapacityAnswer) -> str:
    words = [
        f"stage {stage.number} ({stage.purpose}): {_load(answer, stage.asked)}",
        f"p99 {format_us(stage.p99_us)}",
    ]
    return "<br>".join([*words, *(reason.replace("<", "&lt;") for reason in stage.why)])


def _stages(stages: Sequence[Stage], unit: str) -> str:
    head = ["stage", "why", f"{unit} of load", "achieved", "half within", "99 %"]
    head += ["server cores", "workers busy", "generator", "outcome"]
    rows = []
    for stage in stages:
        busy = or_dash(stage.workers_busy, f"{{:.1f}} of {format_count(stage.workers)}")
        generator = or_dash(stage.generator_cores, "{:.0%} of a core")
        outcome = MARKS[_kind(stage)].words if stage.outcome in MARKS else stage.outcome
        cores = or_dash(stage.server_cores, "{:.2f}")
        counts = [format_count(stage.asked), format_count(stage.achieved)]
        times = [format_us(stage.p50_us), format_us(stage.p99_us)]
        rows.append([str(stage.number), stage.purpose, *counts, *times, cores, busy, generator, outcome])
    reasons = [[str(stage.number), "; ".join(stage.why)] for stage in stages if stage.why]
    links = [f"{stage.folder}/report.html" for stage in stages]
    broke = table(["stage", "why it did not hold"], reasons, plain=True) if reasons else ""
    return table(head, rows, links=links) + broke
