"""The progress line of a run, and its summary for a terminal."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

from loadtest.base.units import format_bytes, format_count, format_duration, format_us, or_dash
from loadtest.runs.settings import RunSettings
from loadtest.runs.status_line import StatusLine

TIMES = ("p50", "p90", "p99", "max")
OTHERS_SHARE_NOTED = 0.15  # of the host's CPUs: enough to affect a 99th percentile


class Progress:
    """A status line, rewritten each second; without a terminal only the stages are printed."""

    def __init__(self, stream: TextIO, settings: RunSettings) -> None:
        self.status = StatusLine(stream)
        self.main = settings.workload.main
        self.total_s = max(settings.warmup_s, settings.connecting_s) + settings.duration_s
        self.started_s: float | None = None

    def show(self, event: dict[str, Any]) -> None:
        if "stage" in event:
            self.status.print(event["stage"])
        elif self.status.live:
            self.status.rewrite(self.line(event))

    def line(self, event: dict[str, Any]) -> str:
        if self.started_s is None:
            self.started_s = time.monotonic() - 1
        left_s = max(0.0, self.total_s - (time.monotonic() - self.started_s))
        row = event["requests"].get(self.main) or {"ok": 0, "p50_us": None, "p99_us": None}
        counts = {what: event[what] for what in ("late", "dropped")}
        counts["FAILED"] = sum(r["failed"] for r in event["requests"].values())
        word = "measuring" if event["phase"] == "measure" else "warming up"
        planned = "" if event["planned"] is None else f" of {format_count(round(event['planned']))} planned"
        return (
            f"{word}, {format_duration(round(left_s))} left: {event['users']} users, "
            f"{format_count(row['ok'])}{planned} {self.main}s/s, "
            f"p50 {format_us(row['p50_us'])}, p99 {format_us(row['p99_us'])}"
            + "".join(f", {format_count(count)} {what}" for what, count in counts.items() if count)
        )

    def close(self) -> None:
        self.status.clear()


def summary(document: dict[str, Any], folder: Path) -> str:
    """The verdict with its reasons, the requests, the server, and whether the counts of both sides agree."""
    settings = document["settings"]
    framing = "" if settings["framing"] == "raw" else f", {settings['framing']} framing"
    load = f"{settings['connections']} connections to {settings['host']}{framing}"
    lines = [f"{document['verdict'].upper()}  {load}, {format_duration(document['duration_s'])} measured"]
    lines += [f"  because {reason}" for reason in document["reasons"]]
    lines += [f"  note: {note}" for note in document["notes"]]
    width = max([10, *map(len, document["requests"])])
    lines += ["", _row("request", ("ok", "failed", "censored", "per s", *TIMES), width)]
    for name, row in document["requests"].items():
        counts = [format_count(row[key]) for key in ("ok", "failed", "censored", "rate_achieved")]
        lines.append(_row(name, (*counts, *_times(row["response_us"])), width))
        if row["planned"] is not None:
            lines += _of_the_plan(row, width)
        lines += [f"    {format_count(count)} x {error}" for error, count in row["errors"].items()]
    lines += ["", *(f"  {line}" for line in [*_server(document), *_agreement(document)]), ""]
    lines.append(f"  report: {folder / 'report.html'}")
    return "\n".join(lines)


def _row(name: str, cells: Iterable[str], width: int) -> str:
    return f"  {name:<{width}} " + "".join(f"{cell:>10}" for cell in cells)


def _of_the_plan(row: dict[str, Any], width: int) -> list[str]:
    """The parts of the response, and the counts of the plan."""
    lines = [
        _row(f"  {part}", ("", "", "", "", *_times(row[f"{part}_us"])), width) for part in ("service", "lag")
    ]
    counts = [f"{format_count(row[what])} {what}" for what in ("late", "dropped") if row[what]]
    planned = f"{format_count(row['planned'])} planned, {format_count(row['rate_planned'])} per s"
    return [*lines, f"    {', '.join([planned, *counts])}"]


def _times(times: dict[str, Any] | None) -> Iterable[str]:
    return (format_us((times or {}).get(key)) for key in TIMES)


def _server(document: dict[str, Any]) -> list[str]:
    server = document["server"]
    if server is None:
        return ["server: not followed (no --control, --metrics or --pid)"]
    cores = or_dash(server["cpu_cores"], "{:.2f} cores")
    line = (
        f"server: {cores}, {format_bytes(server['pss_bytes_max'])} PSS in {server['processes_max']} processes, "
        f"{format_count(server['fds_max'])} descriptors"
        if server["processes_max"] is not None
        else "server: on another host"
    )
    if server["workers_busy_max"] is not None:
        line += f"; at most {server['workers_busy_max']} workers busy, {server['queue_depth_max']} connections queued"
    cost, others = document["sampler_cost"], document["host"]["others_cores"] or 0.0
    lines = [line]
    if cost and cost["core_share"]:
        there = cost.get("server_core_share")
        beside = "" if there is None else f" here, and {there:.1%} there, included in the server's CPU"
        lines.append(f"sampling cost {cost['core_share']:.1%} of a core{beside}")
    if others > OTHERS_SHARE_NOTED * document["host"]["cpus"]:
        lines.append(f"other programs used {others:.1f} of {document['host']['cpus']} cores meanwhile")
    return lines


def _agreement(document: dict[str, Any]) -> list[str]:
    reconciled = document["reconciled"]
    if reconciled is None:
        return ["counts: not compared (neither the server's control socket nor its metrics are known)"]
    client, server = reconciled["client"], reconciled["server"]
    if reconciled["exact"]:
        both = " and ".join(f"{format_count(client[k])} {k}" for k in client)
        lines = [f"counts: equal on client and server, {both}"]
    else:
        bounds = "; ".join(
            f"{format_count(client[k])} {k} confirmed, {format_count(server[k])} counted by the server, "
            f"{format_count(client[k] + reconciled['unconfirmed'][k])} sent"
            for k in client
        )
        lines = [f"counts: {'agree' if reconciled['ok'] else 'DIFFER'}: {bounds}"]
    return lines + [
        f"counts: {what} are not compared: {why}" for what, why in reconciled["not_compared"].items()
    ]
