"""The facts of `status` under Prometheus' names: values in, text out. Pure.

No other module of the server imports prometheus-client.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from procserver.observer.collector import Snapshot

    Kind = type[GaugeMetricFamily | CounterMetricFamily]

STATES = ("starting", "serving", "degraded", "draining")
G, C = GaugeMetricFamily, CounterMetricFamily
HOST = "on this host or network namespace, since its boot"
# Kind, metric, where a `Snapshot` has its value (in its facts, or as an attribute), help text.
PLAIN = (
    (G, "start_time_seconds", "supervisor.started", "When the service was started, as Unix time."),
    (G, "uptime_seconds", "supervisor.uptime_s", "Since then; an upgrade does not interrupt it."),
    (G, "generation", "supervisor.generation", "Of the workers: one more with each reload."),
    (G, "workers", "pool.workers", "Workers alive, including those that start or drain."),
    (G, "workers_idle", "pool.idle", "Workers that wait for a connection."),
    (G, "workers_busy", "pool.busy", "Workers that serve a connection."),
    (G, "workers_starting", "pool.starting", "Workers that are being forked."),
    (G, "workers_draining", "pool.draining", "Workers that exit after their connection."),
    (G, "workers_max", "pool.max_workers", "The most workers that may run, hence connections at a time."),
    (G, "workers_busy_max", "pool.busy_max", "The most workers that have been busy at a time."),
    (C, "saturated_seconds", "pool.saturated_s", "Time in which the most workers ran, all of them busy."),
    (G, "queue_depth", "queue.depth", "Connections that wait in the kernel, over all listeners."),
    (G, "queue_limit", "queue.limit", "The most connections that may wait there."),
    (G, "queue_depth_max", "queue.depth_max", "The most that have been seen there."),
    (C, "connections", "totals.connections", "Connections accepted."),
    (C, "messages", "totals.messages", "Messages received."),
    (C, "received_bytes", "totals.bytes_in", "Bytes received."),
    (C, "sent_bytes", "totals.bytes_out", "Bytes sent."),
    (
        C,
        "records_dropped",
        "totals.records_dropped",
        "Records that the pipe to the observer had no room for.",
    ),
    (C, "cpu_seconds", "usage.cpu_s", "CPU of all processes of the service, exited ones included."),
    (
        C,
        "scrape_cpu_seconds",
        "own_cpu_s",
        "CPU of that which this endpoint has used, since its observer's start.",
    ),
    (G, "processes", "usage.processes", "Processes of the service."),
    (G, "pss_bytes", "detail.pss_bytes", "Their memory, shared pages counted once."),
    (G, "uss_bytes", "detail.uss_bytes", "Their memory that no other process shares."),
    (G, "open_fds", "detail.fds", "Their descriptors."),
    (G, "threads", "detail.threads", "Their threads."),
    (
        G,
        "memory_time_seconds",
        "measured_at",
        "When memory, descriptors and threads were read, as Unix time.",
    ),
    (G, "host_cpus", "host.cpus", "CPUs of the host."),
    (C, "host_listen_overflows", "host.listen_overflows", f"Connections that found a queue full, {HOST}."),
    (C, "host_tcp_retransmits", "host.retransmits", f"Segments sent again, {HOST}."),
)


def exposition(snapshot: Snapshot, accept: str) -> tuple[str, bytes]:
    """Content type and text, in the format that a scraper's `Accept` header asks for."""
    try:
        encode, content_type = choose_encoder(accept)
    except (TypeError, ValueError):  # `version=` is no number
        encode, content_type = choose_encoder("")
    return content_type, encode(_Once(families(snapshot)))


def families(snapshot: Snapshot) -> Iterator[Metric]:
    """Every metric with its value. Counters only grow, across deaths of workers, reloads and upgrades."""
    facts = snapshot.facts
    service, last_reload, totals = facts["supervisor"], facts["last_reload"], facts["totals"]
    states = {state: int(state == service["state"]) for state in STATES}
    yield _labelled(G, "build_info", "The running program.", "version", {service["version"]: 1})
    yield _labelled(G, "state", "1 for the state that the service is in.", "state", states)
    for kind, name, place, text in PLAIN:
        group, _, key = place.partition(".")
        value = facts[group][key] if group in facts else operator.attrgetter(place)(snapshot)
        yield kind(f"procserver_{name}", text, value)
    if last_reload is not None:
        text = "1 if the last reload took effect."
        yield G("procserver_last_reload_success", text, int(last_reload["ok"]))
        yield G("procserver_last_reload_time_seconds", "When that ended, as Unix time.", last_reload["at"])
    ended = totals["outcomes"]
    open_now = totals["connections"] - sum(ended.values())
    yield G("procserver_connections_open", "Accepted and not ended.", open_now)
    yield _labelled(C, "connections_ended", "Connections by what ended them.", "outcome", ended)


class _Once(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self.metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self.metrics


def _labelled(kind: Kind, name: str, text: str, label: str, values: dict[str, int]) -> Metric:
    family = kind(f"procserver_{name}", text, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family
