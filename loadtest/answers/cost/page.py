"""The page of `cost`: for each quantity its readings, the line through them and its slope."""

from collections.abc import Iterable, Sequence

from loadtest.answers.answer_page import answer_page
from loadtest.answers.cost.answer import QUANTITIES, CostAnswer, Step
from loadtest.base.units import format_bytes, format_count, format_duration, format_us, or_dash
from loadtest.report import axes, plot
from loadtest.report.page import Panel, Section, Tile, sentence, table
from loadtest.report.plot import BLUE, GREY, Figure
from loadtest.statistics.slope import Line

__all__ = ["page"]

WORDS = {name: words for name, (_, words) in QUANTITIES.items()} | {
    "pss": "memory with mapped files (PSS)",
    "uss": "private memory (USS)",
}
MEMORY = ("data", "pss")  # the cost of a connection is the first of these that could be read
WIDE_PX, HALF_PX = 340, 230
BAND_POINTS = 25
FIGURES = ("fds", "cpu_connect", "cpu_idle", "cpu_turn")  # at the top of the page


def page(answer: CostAnswer, bundle_html: str) -> str:
    """The page of an answer; `bundle_html` brings Plotly (see `plotly_bundle.script`)."""
    return answer_page(
        answer,
        bundle_html,
        headline=_headline(answer),
        tiles=_tiles(answer),
        panels=_panels(answer),
        sections=[Section("Slopes", _slopes(answer.lines)), Section("Readings", _steps(answer.steps))],
    )


def _headline(answer: CostAnswer) -> str:
    name = _memory(answer)
    if answer.verdict == "invalid" or name is None:
        return "The cost of a connection is not known"
    if answer.verdict != "answered":
        return "The cost of a connection depends on their number: the readings are not linear"
    return f"One more connection costs {_amount(name, answer.lines[name].slope)} of memory"


def _memory(answer: CostAnswer) -> str | None:
    return next((name for name in MEMORY if name in answer.lines), None)


def _tiles(answer: CostAnswer) -> Iterable[Tile]:
    for name in (_memory(answer) or "", *FIGURES):
        if line := answer.lines.get(name):
            interval = f"{_amount(name, line.low)} to {_amount(name, line.high)}"
            yield Tile(WORDS[name], _amount(name, line.slope), interval)
    if answer.parts is not None and answer.parts.worker_bytes is not None:
        within = "included" if answer.parts.pool == "elastic" else "in addition"
        yield Tile("its worker", format_bytes(answer.parts.worker_bytes), f"{within}, {answer.parts.pool}")
    kept = sum(step.kept for step in answer.steps)
    most = max((step.connections for step in answer.steps), default=0)
    took = format_duration(round(answer.took_s))
    yield Tile("steps", str(kept), f"up to {format_count(most)} connections, in {took}")


def _panels(answer: CostAnswer) -> Iterable[Panel]:
    for name, line in answer.lines.items():
        if not any(y for _, y in answer.points.get(name, ())):
            continue  # all readings are 0: the table shows it
        wide = name == _memory(answer)
        per = _per(name)
        amount = f"{_amount(name, line.slope)} per {per}"
        if line.low <= 0 <= line.high and line.slope:
            amount = "no more than noise"
        title = f"{sentence(WORDS[name])[:-1]}: {amount}"
        if not line.linear:
            title = f"Not linear. {title}"
        interval = f"{_amount(name, line.low)} to {_amount(name, line.high)}"
        words = f"all server processes, by {per}s; slope with 95 % interval: {interval}; ○ not used"
        kept = [step.kept for step in answer.steps]
        figure = _fitted(name, answer.points[name], kept, line, WIDE_PX if wide else HALF_PX)
        yield Panel(f"cost-{name}", title, words, figure, wide=wide)


def _per(name: str) -> str:
    return "turn" if name == "cpu_turn" else "connection"


def _fitted(
    name: str, points: Sequence[tuple[float, float]], kept: Sequence[bool], line: Line, height_px: int
) -> Figure:
    factor, unit = axes.scale(QUANTITIES[name][0], max((y for _, y in points), default=1.0))
    used = [point for point, use in zip(points, kept, strict=True) if use] or list(points)
    unused = [point for point, use in zip(points, kept, strict=True) if not use]
    most = 1.04 * max(x for x, _ in points)
    centre = sum(x for x, _ in used) / len(used)
    at = [most * i / BAND_POINTS for i in range(BAND_POINTS + 1)]
    middle = [line.intercept + line.slope * x for x in at]
    # The lines of the interval cross at the centre of the readings.
    pivot = line.intercept + line.slope * centre
    edges = [[(pivot + slope * (x - centre)) / factor for x in at] for slope in (line.low, line.high)]
    greatest = max(y / factor for _, y in [*points, (most, middle[-1])])
    axis = axes.count_axis([greatest], least=greatest, ticksuffix=f" {unit}")
    chart = plot.figure([], {"range": [0, most], "nticks": 8, "tickformat": ",.0f"}, axis, height_px)
    chart["layout"]["margin"]["l"] = 84 if len(unit) > 2 else 58
    chart["data"] = [
        *plot.between(at, edges[0], edges[1], BLUE, 0.16),
        plot.line(at, [y / factor for y in middle], "fitted", BLUE, hover=f"%{{y:.4~g}} {unit}"),
    ]
    for some, words, symbol, colour in (
        (unused, "not used", "circle-open", GREY),
        (used, "reading", "circle", BLUE),
    ):
        texts = [f"{format_count(x)} {_per(name)}s: {y / factor:.4g} {unit}" for x, y in some]
        x, y = [x for x, _ in some], [y / factor for _, y in some]
        chart["data"].append(plot.points(x, y, words, colour, symbol, text=texts, size=8))
    return chart


def _amount(name: str, value: float) -> str:
    """A slope in the unit of its quantity."""
    kind = QUANTITIES[name][0]
    sign = "-" if value < 0 else ""
    if kind == "bytes":
        return f"{sign}{format_bytes(abs(value))}"
    if kind == "us":
        return f"{sign}{format_us(abs(value))}"
    if kind == "us_per_s":
        return f"{sign}{format_us(abs(value))}/s"
    return f"{value:.3g}"


def _slopes(lines: dict[str, Line]) -> str:
    head = ["", "for each", "slope", "95 % from", "to", "median of slopes", "fit (r²)", "linear?"]
    rows = []
    for name, line in lines.items():
        values = (line.slope, line.low, line.high, line.witness)
        fit = or_dash(line.r2, "{:.5f}")
        shown = [_amount(name, value) for value in values]
        rows.append([WORDS[name], _per(name), *shown, fit, "yes" if line.linear else "NO"])
    return table(head, rows)


def _steps(steps: Sequence[Step]) -> str:
    head = ["connections", "PSS", "USS", "page tables", "descriptors", "processes", "settled in", "used"]
    rows = []
    for step in steps:
        sizes = [format_bytes(size) for size in (step.pss_bytes, step.uss_bytes, step.page_tables_bytes)]
        counts = [format_count(step.fds), format_count(step.processes)]
        settled = format_duration(step.settle_s) if step.settled else "not settled"
        used = "yes" if step.kept else "no: warms up"
        rows.append([format_count(step.connections), *sizes, *counts, settled, used])
    return table(head, rows)
