"""Reads the metrics endpoint of a procserver on another host, in the form of its `status`."""

from typing import Any, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from procserver.clients.fetch import open_url
from procserver.clients.http_request import Url, parse_url
from procserver.errors import ConfigError, ProcserverError

__all__ = ["Endpoint", "ScrapeError", "Scraped", "metrics_url", "scrape"]

ANSWER_BYTES_MAX = 1 << 20
PREFIX = "procserver_"

Samples = dict[tuple[str, str], float]  # by name without PREFIX, and the value of its label, if any


class ScrapeError(ProcserverError):
    """The endpoint could not be read, or is not one of procserver."""


class Scraped(NamedTuple):
    """`status` has parts of `procserver status`; the others have the fields of `procserver.resources`.

    `measured_at` is the Unix time of `detail`, by the server's clock. Counters of `host` only grow.
    """

    status: dict[str, dict[str, Any]]
    usage: dict[str, Any]
    detail: dict[str, int]
    measured_at: float
    host: dict[str, int]


def metrics_url(text: str) -> Url:
    """The URL of an endpoint. ConfigError: it is invalid, or has credentials, which would be in the results."""
    url = parse_url(text)
    if url.credentials:
        raise ConfigError(f"URL {str(url)!r}: a user and a password would stand in the results; give none")
    return url


class Endpoint:
    """The endpoint of one server; an answer of another server behind the same address is refused."""

    def __init__(self, url: Url) -> None:
        self.url = url
        self.started: float | None = None

    def read(self, timeout_s: float) -> Scraped:
        """As `scrape`; ScrapeError also if another server answers than at first."""
        found = scrape(self.url, timeout_s)
        started = found.status["supervisor"]["started"]
        if self.started not in (None, started):
            raise ScrapeError(f"{self.url}: another server answers than at first: several, or one restarted")
        self.started = started
        return found


def scrape(url: Url, timeout_s: float) -> Scraped:
    """The current metrics. ScrapeError: after at most `timeout_s`, with the URL and the reason."""
    try:
        with open_url(
            url, max_bytes=ANSWER_BYTES_MAX, timeout_s=timeout_s, total_timeout_s=timeout_s
        ) as answer:
            body = b"".join(answer)
        if answer.status != 200:
            text = body[:200].decode("utf-8", "replace").partition("\n")[0]
            raise ScrapeError(f"{url}: status {answer.status}: {text}")
    except OSError as error:
        raise ScrapeError(f"{url}: {error.strerror or error}") from None
    except ScrapeError:
        raise
    except ProcserverError as error:
        raise ScrapeError(f"{url}: {str(error).removeprefix(f'{url}: ')}") from None
    try:
        return scraped(body.decode())
    except KeyError as error:
        raise ScrapeError(
            f"{url}: no metrics of procserver's: it has no {PREFIX}{error.args[0][0]}"
        ) from None
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as error:
        raise ScrapeError(f"{url}: no metrics in Prometheus' text format ({error})") from None


def scraped(text: str) -> Scraped:
    """Parse Prometheus' text format. KeyError: a metric is missing; ValueError, TypeError ...: another format."""
    found: Samples = {
        (sample.name.removeprefix(PREFIX), next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith(PREFIX)
    }

    def counts(**names: str) -> dict[str, Any]:
        return {key: int(found[name, ""]) for key, name in names.items()}

    def labels(name: str) -> list[str]:
        return [label for known, label in found if known == name]

    ended = labels("connections_ended_total")
    totals = counts(
        connections="connections_total",
        messages="messages_total",
        bytes_in="received_bytes_total",
        bytes_out="sent_bytes_total",
        records_dropped="records_dropped_total",
    )
    return Scraped(
        status={
            "supervisor": {
                "version": next(iter(labels("build_info")), None),
                "state": next((state for state in labels("state") if found["state", state]), None),
                "generation": int(found["generation", ""]),
                "started": found["start_time_seconds", ""],
            },
            "pool": counts(
                workers="workers", idle="workers_idle", busy="workers_busy", max_workers="workers_max"
            ),
            "queue": counts(depth="queue_depth", limit="queue_limit", depth_max="queue_depth_max"),
            "totals": totals
            | {"outcomes": {outcome: int(found["connections_ended_total", outcome]) for outcome in ended}},
        },
        usage=counts(processes="processes")
        | {
            "cpu_s": found["cpu_seconds_total", ""],
            "scrape_cpu_s": found["scrape_cpu_seconds_total", ""],
        },
        detail=counts(pss_bytes="pss_bytes", uss_bytes="uss_bytes", fds="open_fds", threads="threads"),
        measured_at=found["memory_time_seconds", ""],
        host=counts(
            cpus="host_cpus",
            listen_overflows="host_listen_overflows_total",
            retransmits="host_tcp_retransmits_total",
        ),
    )
