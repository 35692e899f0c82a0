"""The facts of `status` under Prometheus' names: values in, text out. Pure.

The only room of the server that imports prometheus-client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from procserver.observer.collector import Snapshot

STATES = ("starting", "serving", "degraded", "draining")
POOL = {
    "workers": ("workers", "Workers alive, those that start or leave included."),
    "workers_idle": ("idle", "Workers that wait for a connection."),
    "workers_busy": ("busy", "Workers that have one."),
    "workers_starting": ("starting", "Workers that are being forked."),
    "workers_draining": ("draining", "Workers that have been told to leave."),
    "workers_max": ("max_workers", "As many workers as there may be, hence connections at a time."),
    "workers_busy_max": ("busy_max", "The most workers that have been busy at a time."),
}
QUEUE = {
    "queue_depth": ("depth", "Connections that wait in the kernel, over all listeners."),
    "queue_limit": ("limit", "As many as may wait there."),
    "queue_depth_max": ("depth_max", "The most that have been seen there."),
}
TOTALS = {
    "connections": ("connections", "Connections accepted."),
    "messages": ("messages", "Messages received."),
    "received_bytes": ("bytes_in", "Bytes received."),
    "sent_bytes": ("bytes_out", "Bytes sent."),
    "records_dropped": ("records_dropped", "Records that found no room on their way to the observer."),
}


def exposition(reading: Snapshot, accept: str) -> tuple[str, bytes]:
    """Content type and text, in the format that a scraper's `Accept` asks for."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once(families(reading)))
    try:
        encode, content_type = choose_encoder(accept)
    except (TypeError, ValueError):  # a version that is none
        encode, content_type = choose_encoder("")
    return content_type, encode(registry)


def families(reading: Snapshot) -> Iterator[Metric]:
    """Every metric, with its value. Counters are sums that only grow, whoever dies, is reloaded or upgraded."""
    facts = reading.facts
    yield from _of_service(facts["supervisor"], facts["last_reload"])
    for name, (key, text) in POOL.items():
        yield _gauge(name, text, facts["pool"][key])
    yield _counter(
        "saturated_seconds", "Time in which every worker that may be was busy.", facts["pool"]["saturated_s"]
    )
    for name, (key, text) in QUEUE.items():
        yield _gauge(name, text, facts["queue"][key])
    yield from _of_connections(facts["totals"])
    yield from _of_processes(reading)


def _of_service(service: dict[str, Any], last_reload: dict[str, Any] | None) -> Iterator[Metric]:
    yield _labelled("build_info", "The running program.", "version", [(service["version"], 1)])
    states = [(state, int(state == service["state"])) for state in STATES]
    yield _labelled("state", "1 for the state that the service is in.", "state", states)
    yield _gauge("start_time_seconds", "When the service was started, as Unix time.", service["started"])
    yield _gauge("uptime_seconds", "Since then; an upgrade does not interrupt it.", service["uptime_s"])
    yield _gauge("generation", "Of the workers: one more with each reload.", service["generation"])
    if last_reload is not None:
        yield _gauge("last_reload_success", "1 if the last reload took effect.", int(last_reload["ok"]))
        yield _gauge("last_reload_time_seconds", "When that ended, as Unix time.", last_reload["at"])


def _of_connections(totals: dict[str, Any]) -> Iterator[Metric]:
    for name, (key, text) in TOTALS.items():
        yield _counter(name, text, totals[key])
    ended = totals["outcomes"]
    yield _gauge("connections_open", "Accepted and not ended.", totals["connections"] - sum(ended.values()))
    family = CounterMetricFamily(
        "procserver_connections_ended", "Connections by what ended them.", labels=["outcome"]
    )
    for outcome, count in ended.items():
        family.add_metric([outcome], count)
    yield family


def _of_processes(reading: Snapshot) -> Iterator[Metric]:
    usage, detail, host = reading.usage, reading.detail, reading.host
    yield _counter("cpu_seconds", "CPU of all processes of the service, the dead included.", usage.cpu_s)
    yield _counter(
        "scrape_cpu_seconds",
        "What of it this endpoint itself has used, in its observer's life.",
        reading.own_cpu_s,
    )
    yield _gauge("processes", "Processes of the service.", usage.processes)
    yield _gauge("pss_bytes", "Their memory, what they share counted once.", detail.pss_bytes)
    yield _gauge("uss_bytes", "Their memory that nothing shares.", detail.uss_bytes)
    yield _gauge("open_fds", "Their descriptors.", detail.fds)
    yield _gauge("threads", "Their threads.", detail.threads)
    yield _gauge(
        "memory_time_seconds",
        "When memory, descriptors and threads were read, as Unix time.",
        reading.measured_at,
    )
    yield _gauge("host_cpus", "CPUs of the host.", host.cpus)
    yield _counter(
        "host_listen_overflows",
        "Connections that found a queue full, on this host or network namespace, since its boot.",
        host.listen_overflows,
    )
    yield _counter(
        "host_tcp_retransmits", "Segments sent again by this host or network namespace.", host.retransmits
    )


class _Once(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self.metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self.metrics


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"procserver_{name}", text, value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"procserver_{name}", text, value)


def _labelled(name: str, text: str, label: str, values: list[tuple[str, int]]) -> Metric:
    family = GaugeMetricFamily(f"procserver_{name}", text, labels=[label])
    for value, number in values:
        family.add_metric([value], number)
    return family
