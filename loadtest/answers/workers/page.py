"""The page of `workers`: the capacity of each size of the pool, the scalability law, and how many suffice."""

from collections.abc import Iterable, Sequence

from loadtest.answers.answer_page import answer_page
from loadtest.answers.workers.answer import PoolSize, WorkersAnswer
from loadtest.base.units import format_count, format_duration, format_us, or_dash
from loadtest.report import axes, plot
from loadtest.report.page import Panel, Section, Tile, paragraph, table
from loadtest.report.plot import BLUE, GREEN, GREY, ORANGE, Figure
from loadtest.statistics.usl import Estimate, Fit

__all__ = ["page"]

TALL_PX, HALF_PX = 360, 230


def page(answer: WorkersAnswer, bundle_html: str) -> str:
    """The page of an answer; `bundle_html` brings Plotly (see `plotly_bundle.script`)."""
    sections = [Section("Sizes of the pool", _sizes(answer.sizes))]
    if answer.fit is not None:
        sections.append(Section("The scalability law", _law(answer.fit)))
    return answer_page(
        answer,
        bundle_html,
        headline=_headline(answer),
        tiles=_tiles(answer),
        panels=_panels(answer),
        sections=sections,
        facts=[f"thresholds: {', '.join(answer.thresholds)}"],
    )


def _of(answer: WorkersAnswer, workers: int | None) -> PoolSize | None:
    return next((size for size in answer.sizes if size.workers == workers), None)


def _headline(answer: WorkersAnswer) -> str:
    best, knee = _of(answer, answer.best), _of(answer, answer.knee)
    if knee is None or best is None:
        none = answer.verdict == "none"
        return "No size of the pool held the lowest load" if none else "How many workers suffice is not known"
    if answer.knee == answer.best:
        most = max(size.workers for size in answer.sizes)
        more = "; more might carry more" if answer.knee == most else ""
        return f"{answer.knee} workers carry most: {format_count(best.capacity)} per second{more}"
    share = f"{(knee.capacity or 0) / best.capacity:.0%} of the best" if best.capacity else ""
    return f"{answer.knee} workers suffice: {format_count(knee.capacity)} per second, {share}"


def _tiles(answer: WorkersAnswer) -> Iterable[Tile]:
    best, knee = _of(answer, answer.best), _of(answer, answer.knee)
    yield Tile("workers that suffice", format_count(answer.knee), "the fewest within 5 % of the best")
    rate = f"{format_count(best.capacity)} per second" if best else ""
    yield Tile("best measured", f"{format_count(answer.best)} workers", rate)
    bottleneck = knee.bottleneck if knee else None
    yield Tile("99 of 100 within", format_us(knee.p99_us if knee else None), "where they suffice")
    if answer.fit:
        contention, coherency = answer.fit.contention, answer.fit.coherency
        yield Tile("contention", f"{contention.value:.1%}", _interval(contention, 100, " %"))
        yield Tile("coherency", f"{coherency.value:.3%}", _interval(coherency, 100, " %"))
    elif bottleneck:
        yield Tile("limited there by", bottleneck.name.replace("_", " "))
    yield Tile("sizes", str(len(answer.sizes)), format_duration(round(answer.took_s)))


def _panels(answer: WorkersAnswer) -> Iterable[Panel]:
    measured = [size for size in answer.sizes if size.capacity is not None]
    if not measured:
        return
    words = "highest rate that holds by number of workers; △ at least that"
    if answer.fit is not None:
        words += f"; curve: the Universal Scalability Law with its {answer.fit.confidence:.0%} interval"
    yield Panel("capacity", _growth(answer), words, _capacity(answer, measured), wide=True)
    title, figure = _efficiency(measured)
    words = "highest rate per worker, as a share of that of the smallest pool"
    yield Panel("efficiency", title, words, figure)
    if any(size.server_cores is not None for size in measured):
        title = f"At most {max(size.server_cores or 0.0 for size in measured):.2f} cores were used"
        cpus = answer.host["cpus"]
        words = f"cores used by the server at that rate, of {cpus}"
        yield Panel("cpu", title, words, _cores(measured, cpus))


def _growth(answer: WorkersAnswer) -> str:
    if answer.knee is None:
        return "Capacity by number of workers"
    if answer.fit is None:
        if answer.knee == answer.sizes[-1].workers:
            return f"It still grows at {answer.knee} workers, the most that were tried"
        return f"Beyond {answer.knee} workers little is gained"
    law = answer.fit
    if law.peak is not None:
        return f"It peaks at about {law.peak:.0f} workers, and falls beyond"
    if law.contention.value < 0.0005:
        return "Each worker adds as much as the first"
    return f"Each worker adds, but {law.contention.value:.1%} of the work has to queue"


def _capacity(answer: WorkersAnswer, measured: Sequence[PoolSize]) -> Figure:
    law = answer.fit
    high = [point.high for point in law.curve] if law else []
    axis = axes.count_axis([*(size.capacity for size in measured), *high], nticks=9)
    most = max(size.workers for size in answer.sizes)
    chart = plot.figure([], {"range": [0, 1.04 * most], "nticks": 10}, axis, TALL_PX)
    if law is not None:
        at = [point.workers for point in law.curve]
        low, top = [point.low for point in law.curve], [point.high for point in law.curve]
        chart["data"] += plot.between(at, low, top, BLUE, 0.16)
        rates = [point.rate for point in law.curve]
        chart["data"].append(plot.line(at, rates, "the law", BLUE, hover="%{x:.0f} workers: %{y:,.0f} per s"))
        plot.ends(chart, axis, [("the law", BLUE, rates[-1] if rates else None)])
    singles = [(size.workers, rate) for size in measured for rate in size.rates]
    if singles:
        texts = [f"{format_count(rate)} per second" for _, rate in singles]
        x, y = [workers for workers, _ in singles], [rate for _, rate in singles]
        chart["data"].append(plot.points(x, y, "one run", GREY, "circle", text=texts, size=4))
    for at_least, symbol, colour in ((False, "circle", GREEN), (True, "triangle-up-open", ORANGE)):
        sizes = [size for size in measured if size.at_least == at_least]
        texts = [f"{size.workers} workers: {format_count(size.capacity)} per second" for size in sizes]
        x, y = [size.workers for size in sizes], [size.capacity or 0.0 for size in sizes]
        if sizes:
            name = "at least" if at_least else "capacity"
            chart["data"].append(plot.points(x, y, name, colour, symbol, text=texts))
    if answer.knee is not None:
        plot.rule(chart, x=answer.knee, colour=GREEN)
        side, shift = ("left", 5) if answer.knee < 0.8 * most else ("right", -5)
        place = {"yref": "paper", "xanchor": side, "yanchor": "bottom", "xshift": shift, "yshift": 4}
        words = "carry most" if answer.knee == most else "suffice"
        plot.note(chart, f"<b>{answer.knee} {words}</b>", answer.knee, 0.0, GREEN, place)
    return chart


def _efficiency(measured: Sequence[PoolSize]) -> tuple[str, Figure]:
    least, most = measured[0], measured[-1]
    base = (least.capacity or 0.0) / least.workers
    shares = [100 * (size.capacity or 0.0) / size.workers / base for size in measured]
    axis = axes.count_axis([100.0, *shares], ticksuffix=" %")
    chart = _by_workers(measured, shares, "per worker", "%{y:.0f} %", axis)
    plot.rule(chart, y=100.0, colour=GREY)
    title = f"At {most.workers} workers each carries {shares[-1]:.0f} % of what it does at {least.workers}"
    return title, chart


def _cores(measured: Sequence[PoolSize], cpus: int) -> Figure:
    seen = [size for size in measured if size.server_cores is not None]
    axis = axes.count_axis([float(cpus)])
    cores = [size.server_cores for size in seen]
    chart = _by_workers(seen, cores, "server", "%{y:.2f} cores", axis)
    plot.rule(chart, y=float(cpus), colour=GREY)
    plot.ends(chart, axis, [("all cores", GREY, float(cpus))])
    return chart


def _by_workers(
    sizes: Sequence[PoolSize], values: Sequence[float | None], name: str, hover: str, axis: axes.Axis
) -> Figure:
    trace = plot.line([size.workers for size in sizes], values, name, BLUE, hover=hover, markers=True)
    return plot.figure([trace], {"range": [0, 1.04 * sizes[-1].workers], "nticks": 8}, axis, HALF_PX)


def _sizes(sizes: Sequence[PoolSize]) -> str:
    head = ["workers", "highest rate", "confirmed at", "99 %", "server cores", "limited by", ""]
    rows = []
    for size in sizes:
        least = "≥ " if size.at_least and size.capacity is not None else ""
        rates = ", ".join(format_count(rate) for rate in size.rates) or "-"
        cores = or_dash(size.server_cores, "{:.2f}")
        bottleneck = size.bottleneck.words if size.bottleneck else "-"
        reason = size.reasons[0] if size.verdict != "answered" and size.reasons else ""
        rate = f"{least}{format_count(size.capacity)}"
        rows.append([str(size.workers), rate, rates, format_us(size.p99_us), cores, bottleneck, reason])
    return table(head, rows, links=[f"{size.folder}/report.html" for size in sizes])


def _law(law: Fit) -> str:
    one, contention, coherency = law.rate_of_one, law.contention, law.coherency
    rows = [
        ["rate of one worker (lambda)", format_count(one.value), _interval(one, 1, "")],
        ["contention (sigma): queueing", f"{contention.value:.2%}", _interval(contention, 100, " %")],
        ["coherency (kappa): coordination", f"{coherency.value:.4%}", _interval(coherency, 100, " %")],
    ]
    head = ["X(N) = lambda N / (1 + sigma (N - 1) + kappa N (N - 1))", "", f"{law.confidence:.0%} interval"]
    measured = f"{law.measurements} measurements, none further than {law.error_max:.1%} from the law"
    return table(head, rows) + paragraph(f"{measured}; nothing is known beyond them.")


def _interval(estimate: Estimate, factor: float, unit: str) -> str:
    return f"{factor * estimate.low:.3g} to {factor * estimate.high:.3g}{unit}"
