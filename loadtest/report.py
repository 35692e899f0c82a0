"""The report: one page that needs nothing else, for screen, phone and paper. Pure but for reading its own template."""

import html
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Template
from typing import Any

import plotly.offline

from loadtest import charts
from loadtest.stored import StoredRun
from loadtest.units import format_bytes, format_count, format_duration, format_us
from loadtest.verdict import shown

__all__ = ["page"]

_UNIT = re.compile(r"(\d) (?=(?:[µm]?s|[KMG]iB|B|cores|%)\b)")

TEMPLATE = Path(__file__).with_name("report.html")
MARKS = {"pass": "✓", "fail": "✗", "invalid": "?"}
WAITED = ("no connection was seen waiting for one", "one connection waited")


def page(run: StoredRun) -> str:
    """The page of a run, from what its folder holds."""
    document = run.document
    main = "message" if document["settings"]["user"] == "greeting" else "greeting"
    figures = _figures(run, main)
    return Template(TEMPLATE.read_text()).substitute(
        title=_text(f"{document['verdict'].upper()}: {_headline(document, main)}"),
        verdict=document["verdict"],
        mark=MARKS[document["verdict"]],
        word=document["verdict"].upper(),
        headline=_text(_headline(document, main)),
        reasons=_reasons(document, main),
        subtitle=_subtitle(document),
        tiles=_tiles(document, main),
        panels="".join(_panel(key, title, figure) for key, title, figure in figures),
        requests=_requests(document),
        books=_books(document),
        thresholds=_thresholds(document),
        details=_details(document),
        figures=json.dumps({key: figure for key, _, figure in figures}).replace("</", "<\\/"),
        plotly=plotly.offline.get_plotlyjs(),
    )


def _figures(run: StoredRun, main: str) -> list[tuple[str, str, charts.Figure]]:
    """Key, title and figure of each panel. The titles say what is seen; all but the last share one axis of time."""
    document, table, points, _ = run
    row = document["requests"].get(main)
    times = (row or {}).get("response_us") or {}
    server = document["server"]
    span = (document["clock"]["stopped_s"], document["clock"]["measure_from_s"])
    figures = []
    if table and row:
        rate = format_count(row["rate_achieved"])
        figures.append(
            ("throughput", f"{rate} {main}s were answered per second", charts.throughput(table, main, *span))
        )
        title = f"Half of the answers came within {format_us(times.get('p50'))}"
        if times.get("p99") is not None:
            title += f", 99 of 100 within {format_us(times['p99'])}"
        figures.append(("latency", title, charts.latency(table, main, *span)))
    if server:
        cores = server["cpu_cores"]
        title = "CPU" if cores is None else f"The server used {cores:.2f} of {document['host']['cpus']} cores"
        figures.append(("cpu", title, charts.cpu(points, *span)))
        title = f"Its {server['processes_max']} processes held at most {format_bytes(server['pss_bytes_max'])} together"
        figures.append(("memory", title, charts.memory(points, *span)))
        if server["workers_busy_max"] is not None:
            queued = server["queue_depth_max"]
            waited = f"as many as {queued} connections waited" if queued > 1 else WAITED[queued]
            title = f"At most {server['workers_busy_max']} workers were busy; {waited}"
            figures.append(("workers", title, charts.workers(points, *span)))
    distributions = [
        (name, run.histograms[name])
        for name in (main, "connect", "handshake")
        if name in run.histograms and run.histograms[name].count
    ]
    if distributions:
        figures.append(("distribution", _rarities(times), charts.distribution(distributions)))
    return figures


def _rarities(times: dict[str, Any]) -> str:
    steps = (("10", "p90"), ("100", "p99"), ("1000", "p99_9"))
    known = [
        f"in {rarity} over {format_us(times[key])}" for rarity, key in steps if times.get(key) is not None
    ]
    return f"One answer {', '.join(known)}" if known else "How long the answers took"


def _headline(document: dict[str, Any], main: str) -> str:
    """The point at first sight: what failed if something did, else how fast it was."""
    if document["verdict"] == "invalid":
        return "These numbers may not be believed"
    return _sentence(document["reasons"][0])[:-1] if document["reasons"] else _speed(document, main)


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


def _reasons(document: dict[str, Any], main: str) -> str:
    """Under the headline: why, if it does not say that itself; else how fast it was."""
    if document["verdict"] == "pass":
        return (
            "<p class='why'>Every threshold held, and the books of both sides leave nothing unexplained.</p>"
        )
    rest = document["reasons"][document["verdict"] == "fail" :]
    items = "".join(f"<li>{_text(reason)}</li>" for reason in rest)
    speed = (
        f"<p class='why'>{_text(_sentence(_speed(document, main)))}</p>"
        if document["verdict"] == "fail"
        else ""
    )
    return f"{f'<ul class=why>{items}</ul>' if items else ''}{speed}"


def _subtitle(document: dict[str, Any]) -> str:
    settings = document["settings"]
    pacing = (
        f"one request per {format_duration(settings['pacing_s'])} each" if settings["pacing_s"] else "unpaced"
    )
    parts = [
        f"{settings['connections']} connections to {settings['host'].removeprefix('tcp://')}",
        f"{settings['framing']} framing",
        pacing,
        f"{format_duration(document['duration_s'])} measured after {format_duration(settings['warmup_s'])} of warm-up",
        f"{document['started'][:16].replace('T', ' ')} UTC",
    ]
    if document["commit"]:
        dirty = " with changes" if document["commit"].endswith("+") else ""
        parts.append(f"commit {document['commit'][:10]}{dirty}")
    return " · ".join(f"<span>{_text(part)}</span>" for part in parts)


def _tiles(document: dict[str, Any], main: str) -> str:
    row = document["requests"].get(main) or {"response_us": None, "rate_achieved": None}
    times = row["response_us"] or {}
    requests = document["requests"].values()
    failed, cut = sum(r["failed"] for r in requests), sum(r["censored"] for r in requests)
    server, reconciled = document["server"] or {}, document["reconciled"]
    cores = server.get("cpu_cores")
    agree = "not compared" if reconciled is None else "equal" if reconciled["exact"] else "agree"
    if reconciled is not None and not reconciled["ok"]:
        agree = "DIFFER"
    tiles = [
        ("99 of 100 within", format_us(times.get("p99")), f"half within {format_us(times.get('p50'))}"),
        (
            f"{main}s per second",
            format_count(row["rate_achieved"]),
            f"{document['connections']['made']} connections",
        ),
        ("failed", format_count(failed), f"{format_count(cut)} cut off at the end"),
        ("server CPU", "-" if cores is None else f"{cores:.2f} cores", _per_message(server)),
        (
            "server memory",
            format_bytes(server.get("pss_bytes_max")),
            f"{server.get('processes_max', '-')} processes",
        ),
        ("books of both sides", agree, _tally(reconciled)),
    ]
    return "".join(
        f"<div class='tile'><h3>{_text(name)}</h3><p class='value'>{_text(value)}</p><p>{_text(note)}</p></div>"
        for name, value, note in tiles
    )


def _panel(key: str, title: str, figure: charts.Figure) -> str:
    legend = "".join(
        f"<span><i class='{dash}' style='border-color:{colour}'></i>{_text(name)}</span>"
        for name, colour, dash in figure["legend"]
    )
    heading = f"<h2>{_text(title)}</h2><p class='legend'>{legend}</p>"
    return f"<section class='panel {key}'>{heading}<div class='chart' id='{key}' role='img'></div></section>"


def _requests(document: dict[str, Any]) -> str:
    keys = (("p50", "half within"), ("p90", "90 %"), ("p99", "99 %"), ("p99_9", "99.9 %"), ("max", "slowest"))
    head = ["request", "ok", "failed", "cut off", "per second", *(label for _, label in keys)]
    rows = []
    for name, row in document["requests"].items():
        times = row["response_us"] or {}
        note = " *" if row["over"] == "run" else ""
        counts = [format_count(row[key]) for key in ("ok", "failed", "censored", "rate_achieved")]
        rows.append([name + note, *counts, *(format_us(times.get(key)) for key, _ in keys)])
    parts = [_table(head, rows)]
    errors = [(n, e, c) for n, row in document["requests"].items() for e, c in row["errors"].items()]
    if errors:
        parts.append(_table(["failure of", "what", "times"], [[n, e, format_count(c)] for n, e, c in errors]))
    if any(row["over"] == "run" for row in document["requests"].values()):
        parts.append("<p class='note'>* over the whole run: connections are made once, in the warm-up.</p>")
    return "".join(parts)


def _books(document: dict[str, Any]) -> str:
    reconciled = document["reconciled"]
    if reconciled is None:
        return "<p>Not compared: the server's control socket is not known.</p>"
    keys = ("client", "unconfirmed", "server", "difference")
    head = ["", "confirmed by us", "unconfirmed", "counted by the server", "unaccounted for"]
    rows = [[what, *(format_count(reconciled[key][what]) for key in keys)] for what in reconciled["client"]]
    return _table(head, rows)


def _thresholds(document: dict[str, Any]) -> str:
    words = {True: "✓ held", False: "✗ failed", None: "? not measured"}
    rows = [
        [row["expression"], shown(row["metric"], row["value"]), words[row["ok"]]]
        for row in document["thresholds"]
    ]
    return _table(["threshold", "measured", ""], rows)


def _details(document: dict[str, Any]) -> str:
    generator, cost, host = document["generator"], document["sampler_cost"], document["host"]
    lag, others = generator["lag_us"] or {}, host["others_cores"]
    busiest = "-" if generator["cores_max"] is None else f"{generator['cores_max']:.0%} of a core"
    facts = [
        ("generator processes", f"{generator['processes']} at work, the busiest at {busiest}"),
        (
            "its timers fired late by",
            f"{format_us(lag.get('p50'))} (half), {format_us(lag.get('p99'))} (99 %)",
        ),
        (
            "watching the server cost",
            f"{cost['core_share']:.1%} of a core" if cost else "nothing: it was not followed",
        ),
        ("all other programs used", "-" if others is None else f"{others:.2f} of {host['cpus']} cores"),
        ("host", f"{host['cpus']} CPUs, {host['machine']}, Linux {host['kernel']}"),
        ("versions", f"Python {host['python']}, Locust {host['locust']}"),
    ]
    if server := document["server"]:
        overflows, retransmits = server["listen_overflows"], server["retransmits"]
        facts.append(("kernel, whole host", f"{overflows} accept-queue overflows, {retransmits} retransmits"))
        facts.append(
            ("server", f"{format_count(server['fds_max'])} descriptors at most, {server['cpu_s']} CPU s")
        )
    return _table(["", ""], [[name, value] for name, value in facts])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    cells = "".join(f"<th>{_text(cell)}</th>" for cell in head)
    above = f"<thead><tr>{cells}</tr></thead>" if any(head) else ""
    body = "".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<div class='scroll'><table>{above}<tbody>{body}</tbody></table></div>"


def _per_message(server: dict[str, Any]) -> str:
    cost = server.get("cpu_us_per_message")
    return "not followed" if cost is None else f"{format_us(cost)} per message"


def _tally(reconciled: dict[str, Any] | None) -> str:
    if reconciled is None:
        return "no control socket"
    server = reconciled["server"]
    return f"{format_count(server['connections'])} connections, {format_count(server['messages'])} messages"


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def _text(value: object) -> str:
    """Escaped, with numbers kept on one line with their units."""
    return _UNIT.sub("\\1\u00a0", html.escape(str(value)))
