"""The page of a run: verdict, charts and tables. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from loadtest.base.units import format_bytes, format_count, format_duration, format_us, or_dash
from loadtest.report import run_charts, run_tables
from loadtest.report.page import Panel, Section, Tile, fill, listed, moment, paragraph, sentence
from loadtest.report.stalls import stalls
from loadtest.results.run_folder import StoredRun
from loadtest.results.timeline import Point
from loadtest.stats.histogram import Histogram
from loadtest.workload.scenarios import SCENARIOS, judged

__all__ = ["page"]

TONES = {"pass": "good", "fail": "bad", "invalid": "unsure"}
UNFAIR = 1.5  # times the mean


def page(run: StoredRun, bundle_html: str) -> str:
    """The page of a run, from what its folder holds; `bundle_html` brings Plotly (see `plotly_bundle.script`)."""
    document, rows, points, histograms = run
    main = _main(document)
    still = stalls(rows, main) if main in document["requests"] else ()
    span = run_charts.Span(document["clock"]["stopped_s"], document["clock"]["measure_from_s"], still)
    panels = [*_of_answers(document, rows, main, span), *_of_the_server(document, points, span)]
    panels += _of_distributions(document, histograms, main)
    return fill(
        tone=TONES[document["verdict"]],
        word=document["verdict"],
        headline=_headline(document, main),
        why_html=_why(document, main) + _caution(document, main, span) + _notes(document),
        facts=_facts(document),
        tiles=_tiles(document, main),
        panels=panels,
        sections=[
            Section("Requests", run_tables.requests(document)),
            Section("Do the counts of client and server agree?", run_tables.reconciliation(document)),
            Section("Thresholds", run_tables.thresholds(document)),
            Section("Is this run reliable?", run_tables.details(document)),
        ],
        bundle_html=bundle_html,
    )


def _main(document: dict[str, Any]) -> str:
    """The request in the headline: the main request, or if there was none, the one with most answers."""
    name = str(document["main_request"])
    requests = document["requests"]
    if name in requests or not requests:
        return name
    return str(max(requests, key=lambda other: int(requests[other]["ok"])))


def _of_answers(
    document: dict[str, Any], rows: Sequence[dict[str, Any]], main: str, span: run_charts.Span
) -> Iterable[Panel]:
    row = document["requests"].get(main)
    if not rows or not row:
        return
    if times := row["response_us"]:
        since = "from the planned time" if row["planned"] is not None else "from the sending"
        words = f"time {since} of a {main} to its answer, each second's percentiles, log scale"
        figure = run_charts.latency(rows, main, span)
        yield Panel("latency", _how_long(times, span), words, figure, wide=True, timed=True)
    words = f"{main}s per second"
    if row["rate_planned"] is not None:
        words += ", planned and answered; red: planned and not answered"
    yield Panel(
        "throughput", _pace(row, main), words, run_charts.throughput(rows, main, span), wide=True, timed=True
    )


def _how_long(times: dict[str, Any], span: run_charts.Span) -> str:
    if still := _standstill(span):
        return f"{still}; the slowest took {format_us(times['max'])}"
    title = f"Half of the answers came within {format_us(times['p50'])}"
    return title if times["p99"] is None else f"{title}, 99 of 100 within {format_us(times['p99'])}"


def _of_the_server(
    document: dict[str, Any], points: Sequence[Point], span: run_charts.Span
) -> Iterable[Panel]:
    server = document["server"]
    if not server:
        return
    if server["workers_busy_max"] is not None:
        title = f"At most {_counted(server['workers_busy_max'], 'worker')} at work at once"
        words = "worker processes, busy and idle"
        yield Panel("workers", title, words, run_charts.workers(points, span), timed=True)
        queued = server["queue_depth_max"]
        title = f"At most {_counted(queued, 'connection')} waited for a worker"
        if not queued:
            title = "No connection was seen waiting for a worker"
        words = "connections in the kernel's accept queue"
        yield Panel("queue", title, words, run_charts.queue(points, span), timed=True)
    if server["processes_max"] is None:
        return  # they are on another host
    cores, cpus = server["cpu_cores"], server.get("cpus") or document["host"]["cpus"]
    title = "CPU" if cores is None else f"The server used {cores:.2f} of {cpus} cores"
    words = f"cores in use, of {cpus}: by the server, the generator, and all other programs"
    if document["settings"].get("metrics"):
        words = f"cores in use by the server, of the {cpus} of its host; the generator is on another"
    yield Panel("cpu", title, words, run_charts.cpu(points, cpus, span), timed=True)
    held = f"{format_bytes(server['pss_bytes_max'])} at most"
    title = f"Its {_counted(server['processes_max'], 'process', 'es')} held {held}"
    words = "MiB of the process tree: each process's own (USS), and what they share, counted once (PSS)"
    yield Panel("memory", title, words, run_charts.memory(points, span), timed=True)


def _of_distributions(
    document: dict[str, Any], histograms: Mapping[str, Histogram], main: str
) -> Iterable[Panel]:
    times = (document["requests"].get(main) or {}).get("response_us") or {}
    words = (
        "share of the answers (to the right: one in ten, in a hundred …) and the time within which they came"
    )
    names = {name: name for name in (main, "connect", "handshake")}
    if f"{main} service" in histograms:
        names = {"response": main, "service": f"{main} service", "lag": f"{main} lag"}
        words += "; response is from the planned time, service from the sending, lag between the two"
    known = [(label, histograms.get(name)) for label, name in names.items()]
    if distributions := [(name, histogram) for name, histogram in known if histogram and histogram.count]:
        yield Panel(
            "distribution", _rarities(times), words, run_charts.distribution(distributions), wide=True
        )
    by_worker = (document["server"] or {}).get("connections_by_worker") or []
    if len(by_worker) > 1 and max(by_worker) > 1:
        words = "connections served by each worker, most first"
        yield Panel("fairness", _evenness(by_worker), words, run_charts.fairness(by_worker), wide=True)


def _standstill(span: run_charts.Span) -> str:
    if not span.stalls:
        return ""
    start, end = span.stalls[0]
    first = f"from {start:.0f} s to {end:.0f} s"
    if len(span.stalls) == 1:
        return f"Answers fell by more than half {first}"
    return f"Answers fell by more than half {len(span.stalls)} times, first {first}"


def _pace(row: dict[str, Any], main: str) -> str:
    title = f"{format_count(row['rate_achieved'])} {main}s were answered per second"
    if row["rate_planned"] is None:
        return title
    title += f", of {format_count(row['rate_planned'])} planned"
    unsent = [f"{format_count(row[what])} were {what}" for what in ("late", "dropped") if row.get(what)]
    return "; ".join([title, *unsent])


def _evenness(by_worker: Sequence[int]) -> str:
    mean, most = sum(by_worker) / len(by_worker), max(by_worker)
    if most < UNFAIR * mean:
        return "The workers shared the connections evenly"
    return f"The busiest worker served {most / mean:.1f} times the mean"


def _rarities(times: dict[str, Any]) -> str:
    steps = (("10", "p90"), ("100", "p99"), ("1000", "p99_9"))
    known = [
        f"in {rarity} over {format_us(times[key])}" for rarity, key in steps if times.get(key) is not None
    ]
    return f"One answer {', '.join(known)}" if known else "How long the answers took"


def _headline(document: dict[str, Any], main: str) -> str:
    """The first failure, else the speed."""
    if document["verdict"] == "invalid":
        return "These numbers are not reliable"
    return sentence(document["reasons"][0])[:-1] if document["reasons"] else _speed(document, main)


def _speed(document: dict[str, Any], main: str) -> str:
    row = document["requests"].get(main)
    times = (row or {}).get("response_us")
    if not row or not times:
        return f"{document['connections']['asked']} connections, and nothing was measured"
    key = "p99" if times["p99"] is not None else "p50"
    share = "99 of 100 answers" if key == "p99" else "half of the answers"
    return (
        f"{share} within {format_us(times[key])}, at {format_count(row['rate_achieved'])} {main}s per second"
    )


def _why(document: dict[str, Any], main: str) -> str:
    """Below the headline: the other reasons, and the speed."""
    if document["verdict"] == "pass":
        counts = ", and the counts of client and server agree" if document["reconciled"] else ""
        return paragraph(f"Every threshold held{counts}.", "why")
    rest = document["reasons"][document["verdict"] == "fail" :]
    speed = paragraph(sentence(_speed(document, main)), "why") if document["verdict"] == "fail" else ""
    return listed(rest) + speed


def _caution(document: dict[str, Any], main: str, span: run_charts.Span) -> str:
    """In a closed loop a stalled service gets fewer requests, and its percentiles look better than it is."""
    row = document["requests"].get(main)
    if not span.stalls or row is None or row["planned"] is not None:
        return ""
    why = "Waiting users sent no requests meanwhile, so the percentiles have few of the late answers"
    return paragraph(f"{_standstill(span)}. {why}. Use --rate.", "why")


def _notes(document: dict[str, Any]) -> str:
    """The notes, which do not affect the verdict."""
    return "".join(paragraph(f"Note: {note}.", "why") for note in document.get("notes", ()))


def _facts(document: dict[str, Any]) -> Iterable[str]:
    settings = document["settings"]
    pacing = (
        f"one request per {format_duration(settings['pacing_s'])} each" if settings["pacing_s"] else "unpaced"
    )
    if settings.get("rate") is not None:
        scenario = settings.get("scenario", "steady")
        moved = f"{scenario} up to " if SCENARIOS[scenario].shaped else ""
        pacing = f"{moved}{format_count(settings['rate'])} arrivals per second, {settings['arrivals']}"
    yield f"{settings['connections']} connections to {settings['host'].removeprefix('tcp://')}"
    if settings["framing"] != "raw":
        yield f"{settings['framing']} framing"
    yield pacing
    yield (
        f"{format_duration(document['duration_s'])} measured after "
        f"{format_duration(settings['warmup_s'])} of warm-up"
    )
    yield from moment(document["started"], document["commit"])


def _tiles(document: dict[str, Any], main: str) -> Iterable[Tile]:
    row = document["requests"].get(main) or {"response_us": None, "rate_achieved": None}
    times = row["response_us"] or {}
    requests = [row for name, row in document["requests"].items() if judged(name)]
    failed, censored = sum(r["failed"] for r in requests), sum(r["censored"] for r in requests)
    server, reconciled = document["server"] or {}, document["reconciled"]
    agree = "not compared" if reconciled is None else "equal" if reconciled["exact"] else "agree"
    if reconciled is not None and not reconciled["ok"]:
        agree = "DIFFER"
    made = document["connections"]["made"]
    yield Tile("99 of 100 within", format_us(times.get("p99")), f"half within {format_us(times.get('p50'))}")
    yield Tile(f"{main}s per second", format_count(row["rate_achieved"]), _counted(made, "connection"))
    yield Tile("failed", format_count(failed), f"{format_count(censored)} censored at the end")
    yield Tile("server CPU", or_dash(server.get("cpu_cores"), "{:.2f} cores"), _per_message(server))
    processes = server.get("processes_max")
    words = "not followed" if processes is None else _counted(processes, "process", "es")
    yield Tile("server memory", format_bytes(server.get("pss_bytes_max")), words)
    yield Tile("client and server counts", agree, _tally(reconciled))


def _per_message(server: dict[str, Any]) -> str:
    cost = server.get("cpu_us_per_message")
    return "not followed" if cost is None else f"{format_us(cost)} per message"


def _tally(reconciled: dict[str, Any] | None) -> str:
    if reconciled is None:
        return "no control socket"
    server = reconciled["server"]
    return ", ".join(f"{format_count(count)} {what}" for what, count in server.items())


def _counted(number: int | None, noun: str, plural: str = "s") -> str:
    return f"{format_count(number)} {noun}{'' if number == 1 else plural}"
