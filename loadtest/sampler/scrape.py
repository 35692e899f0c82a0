"""A procserver's metrics endpoint, read as its `status` would be: for a server whose processes are on another host."""

from typing import Any, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from procserver.clients.fetch import open_url
from procserver.clients.http_request import Url, parse_url
from procserver.errors import ConfigError, ProcserverError

__all__ = ["Endpoint", "ScrapeError", "Scraped", "metrics_url", "scrape"]

ANSWER_BYTES_MAX = 1 << 20
PREFIX = "procserver_"

Samples = dict[
    tuple[str, str], float
]  # by name without our prefix, and the value of its label, if it has one


class ScrapeError(ProcserverError):
    """The endpoint could not be read, or is none of procserver's."""


class Scraped(NamedTuple):
    """`status` has the parts of `procserver status` that are told; the others are named as in `procserver.resources`.

    `measured_at` is the Unix time, by the server's clock, at which `detail` was read; counters of `host` only grow.
    """

    status: dict[str, dict[str, Any]]
    usage: dict[str, Any]
    detail: dict[str, int]
    measured_at: float
    host: dict[str, int]


def metrics_url(text: str) -> Url:
    """ConfigError: it is no URL that could be read without a secret, which would be in the results."""
    url = parse_url(text)
    if url.credentials:
        raise ConfigError(f"URL {str(url)!r}: a user and a password would stand in the results; give none")
    return url


class Endpoint:
    """One server's: behind an address there may be several, whose counts have nothing to do with each other."""

    def __init__(self, url: Url) -> None:
        self.url = url
        self.started: float | None = None

    def read(self, timeout_s: float) -> Scraped:
        """As `scrape`; ScrapeError also if it is not the server that answered first."""
        found = scrape(self.url, timeout_s)
        started = found.status["supervisor"]["started"]
        if self.started not in (None, started):
            raise ScrapeError(f"{self.url}: another server answers than at first: several, or one restarted")
        self.started = started
        return found


def scrape(url: Url, timeout_s: float) -> Scraped:
    """What it shows now; ScrapeError names the URL and the reason, at the latest after `timeout_s`."""
    try:
        with open_url(
            url, max_bytes=ANSWER_BYTES_MAX, timeout_s=timeout_s, total_timeout_s=timeout_s
        ) as answer:
            body = b"".join(answer)
        if answer.status != 200:
            said = body[:200].decode("utf-8", "replace").partition("\n")[0]
            raise ScrapeError(f"{url}: status {answer.status}: {said}")
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
    """Text format in. KeyError: a metric is missing; ValueError and its kin: it is not that format."""
    found: Samples = {
        (sample.name.removeprefix(PREFIX), next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith(PREFIX)
    }

    def count(name: str, label: str = "") -> int:
        return int(found[name, label])

    def labels(name: str) -> list[str]:
        return [label for known, label in found if known == name]

    ended = labels("connections_ended_total")
    return Scraped(
        status={
            "supervisor": {
                "version": next(iter(labels("build_info")), None),
                "state": next((state for state in labels("state") if found["state", state]), None),
                "generation": count("generation"),
                "started": found["start_time_seconds", ""],
            },
            "pool": {
                "workers": count("workers"),
                "idle": count("workers_idle"),
                "busy": count("workers_busy"),
                "max_workers": count("workers_max"),
            },
            "queue": {
                "depth": count("queue_depth"),
                "limit": count("queue_limit"),
                "depth_max": count("queue_depth_max"),
            },
            "totals": {
                "connections": count("connections_total"),
                "messages": count("messages_total"),
                "bytes_in": count("received_bytes_total"),
                "bytes_out": count("sent_bytes_total"),
                "records_dropped": count("records_dropped_total"),
                "outcomes": {outcome: count("connections_ended_total", outcome) for outcome in ended},
            },
        },
        usage={
            "processes": count("processes"),
            "cpu_s": found["cpu_seconds_total", ""],
            "scrape_cpu_s": found["scrape_cpu_seconds_total", ""],
        },
        detail={
            "pss_bytes": count("pss_bytes"),
            "uss_bytes": count("uss_bytes"),
            "fds": count("open_fds"),
            "threads": count("threads"),
        },
        measured_at=found["memory_time_seconds", ""],
        host={
            "cpus": count("host_cpus"),
            "listen_overflows": count("host_listen_overflows_total"),
            "retransmits": count("host_tcp_retransmits_total"),
        },
    )
