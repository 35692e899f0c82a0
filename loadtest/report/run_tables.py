"""The tables of a run's page: requests, reconciliation, thresholds and details. Pure."""

from collections.abc import Iterable
from typing import Any

from loadtest.base.units import format_count, format_us, or_dash
from loadtest.report.page import paragraph, table
from loadtest.results.metrics import shown

__all__ = ["details", "reconciliation", "requests", "thresholds"]

PERCENTILES = {"p50": "half within", "p90": "90 %", "p99": "99 %", "p99_9": "99.9 %", "max": "slowest"}


def requests(document: dict[str, Any]) -> str:
    head = ["request", "ok", "failed", "censored", "late", "dropped", "per second", *PERCENTILES.values()]
    rows = []
    asked: dict[str, dict[str, Any]] = document["requests"]
    for name, row in asked.items():
        note = " *" if row["over"] == "run" else ""
        counts = [format_count(row.get(key)) for key in ("ok", "failed", "censored", "late", "dropped")]
        rate = format_count(row["rate_achieved"])
        for what, times in _timings(row):
            lead = [name + note, *counts, rate] if what in ("", "response") else ["", *[""] * 6]
            lead[0] = f"{lead[0]}  {what}" if what else lead[0]
            rows.append([*lead, *(format_us(times.get(key)) for key in PERCENTILES)])
    parts = [table(head, rows)]
    errors = [(n, e, c) for n, row in asked.items() for e, c in row["errors"].items()]
    if errors:
        parts.append(table(["failure of", "what", "times"], [[n, e, format_count(c)] for n, e, c in errors]))
    if any(row["over"] == "run" for row in asked.values()):
        parts.append(paragraph("* over the whole run: made once, in the warm-up, or as long as the run."))
    return "".join(parts)


def _timings(row: dict[str, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
    """The response; in an open loop also service and lag."""
    if row["planned"] is None:
        yield "", row["response_us"] or {}
        return
    for what in ("response", "service", "lag"):
        yield what, row[f"{what}_us"] or {}


def reconciliation(document: dict[str, Any]) -> str:
    reconciled = document["reconciled"]
    if reconciled is None:
        return paragraph("Not compared: neither the server's control socket nor its metrics are known.")
    keys = ("client", "unconfirmed", "server", "difference")
    head = ["", "confirmed", "unconfirmed", "counted by the server", "unaccounted for"]
    rows = [[what, *(format_count(reconciled[key][what]) for key in keys)] for what in reconciled["client"]]
    why = [f"{what} are not compared: {why}" for what, why in reconciled.get("not_compared", {}).items()]
    return table(head, rows) + "".join(paragraph(f"{text[0].upper()}{text[1:]}.") for text in why)


def thresholds(document: dict[str, Any]) -> str:
    words = {True: "✓ held", False: "✗ failed", None: "? not measured"}
    rows = [
        [row["expression"], shown(row["metric"], row["value"]), words[row["ok"]]]
        for row in document["thresholds"]
    ]
    return table(["threshold", "measured", ""], rows)


def details(document: dict[str, Any]) -> str:
    generator, cost, host = document["generator"], document["sampler_cost"], document["host"]
    lag, others = generator["lag_us"] or {}, host["others_cores"]
    busiest = or_dash(generator["cores_max"], "{:.0%} of a core")
    late = f"{format_us(lag.get('p50'))} (half), {format_us(lag.get('p99'))} (99 %)"
    facts = [
        ("generator processes", f"{generator['processes']} at work, the busiest at {busiest}"),
        ("lateness of the generator", late),
        ("sampling cost", _cost(cost) if cost else "nothing: the server was not followed"),
        ("other programs used", or_dash(others, f"{{:.2f}} of {host['cpus']} cores")),
        ("host", f"{host['cpus']} CPUs, {host['machine']}, Linux {host['kernel']}"),
        ("versions", f"Python {host['python']}, Locust {host['locust']}"),
    ]
    server = document["server"]
    if server is not None and server["processes_max"] is not None:
        overflows, retransmits = server["listen_overflows"], server["retransmits"]
        facts.append(("kernel, whole host", f"{overflows} accept-queue overflows, {retransmits} retransmits"))
        facts.append(
            ("server", f"{format_count(server['fds_max'])} descriptors at most, {server['cpu_s']} CPU s")
        )
    return table(["", ""], [[name, value] for name, value in facts], plain=True)


def _cost(cost: dict[str, Any]) -> str:
    there = cost.get("server_core_share")
    beside = "" if there is None else f"; its endpoint {there:.1%}, included in the server's CPU"
    return f"{cost['core_share']:.1%} of a core{beside}"
