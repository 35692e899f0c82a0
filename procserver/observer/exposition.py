"""The facts of `status` under Prometheus' names: values in, text out. Pure.

No other module of the server imports prometheus-client.
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
# By metric: the key of the fact, and the help text.
POOL = {
    "workers": ("workers", "Workers alive, including those that start or drain."),
    "workers_idle": ("idle", "Workers that wait for a connection."),
    "workers_busy": ("busy", "Workers that serve a connection."),
    "workers_starting": ("starting", "Workers that are being forked."),
    "workers_draining": ("draining", "Workers that exit after their connection."),
    "workers_max": ("max_workers", "The most workers that may run, hence connections at a time."),
    "workers_busy_max": ("busy_max", "The most workers that have been busy at a time."),
}
QUEUE = {
    "queue_depth": ("depth", "Connections that wait in the kernel, over all listeners."),
    "queue_limit": ("limit", "The most connections that may wait there."),
    "queue_depth_max": ("depth_max", "The most that have been seen there."),
}
TOTALS = {
    "connections": ("connections", "Connections accepted."),
    "messages": ("messages", "Messages received."),
    "received_bytes": ("bytes_in", "Bytes received."),
    "sent_bytes": ("bytes_out", "Bytes sent."),
    "records_dropped": ("records_dropped", "Records that found no room on their way to the observer."),
}
DETAIL = {
    "pss_bytes": ("pss_bytes", "Their memory, shared pages counted once."),
    "uss_bytes": ("uss_bytes", "Their memory that no other process shares."),
    "open_fds": ("fds", "Their descriptors."),
    "threads": ("threads", "Their threads."),
}


def exposition(snapshot: Snapshot, accept: str) -> tuple[str, bytes]:
    """Content type and text, in the format that a scraper's `Accept` header asks for."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once(families(snapshot)))
    try:
        encode, content_type = choose_encoder(accept)
    except (TypeError, ValueError):  # `version=` is no number
        encode, content_type = choose_encoder("")
    return content_type, encode(registry)


def families(snapshot: Snapshot) -> Iterator[Metric]:
    """Every metric with its value. Counters only grow, across deaths of workers, reloads and upgrades."""
    facts = snapshot.facts
    yield from _of_service(facts["supervisor"], facts["last_reload"])
    yield from _gauges(POOL, facts["pool"])
    text = "Time in which the most workers were running, all of them busy."
    yield _counter("saturated_seconds", text, facts["pool"]["saturated_s"])
    yield from _gauges(QUEUE, facts["queue"])
    yield from _of_connections(facts["totals"])
    yield from _of_processes(snapshot)


def _of_service(service: dict[str, Any], last_reload: dict[str, Any] | None) -> Iterator[Metric]:
    yield _labelled(
        GaugeMetricFamily, "build_info", "The running program.", "version", {service["version"]: 1}
    )
    states = {state: int(state == service["state"]) for state in STATES}
    yield _labelled(GaugeMetricFamily, "state", "1 for the state that the service is in.", "state", states)
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
    yield _labelled(
        CounterMetricFamily, "connections_ended", "Connections by what ended them.", "outcome", ended
    )


def _of_processes(snapshot: Snapshot) -> Iterator[Metric]:
    usage, host = snapshot.usage, snapshot.host
    yield _counter("cpu_seconds", "CPU of all processes of the service, exited ones included.", usage.cpu_s)
    text = "CPU of that which this endpoint has used, since its observer's start."
    yield _counter("scrape_cpu_seconds", text, snapshot.own_cpu_s)
    yield _gauge("processes", "Processes of the service.", usage.processes)
    yield from _gauges(DETAIL, {key: getattr(snapshot.detail, key) for key, _ in DETAIL.values()})
    text = "When memory, descriptors and threads were read, as Unix time."
    yield _gauge("memory_time_seconds", text, snapshot.measured_at)
    yield _gauge("host_cpus", "CPUs of the host.", host.cpus)
    text = "Connections that found a queue full, on this host or network namespace, since its boot."
    yield _counter("host_listen_overflows", text, host.listen_overflows)
    text = "Segments sent again by this host or network namespace."
    yield _counter("host_tcp_retransmits", text, host.retransmits)


class _Once(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self.metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self.metrics


def _gauges(table: dict[str, tuple[str, str]], facts: dict[str, Any]) -> Iterator[Metric]:
    return (_gauge(name, text, facts[key]) for name, (key, text) in table.items())


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"procserver_{name}", text, value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"procserver_{name}", text, value)


def _labelled(
    kind: type[GaugeMetricFamily | CounterMetricFamily],
    name: str,
    text: str,
    label: str,
    values: dict[str, int],
) -> Metric:
    family = kind(f"procserver_{name}", text, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family
