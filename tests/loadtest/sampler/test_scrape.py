"""What a metrics endpoint shows, read back: the server's words and the load test's ears agree, and nonsense is told."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.sampler.scrape import Endpoint, ScrapeError, metrics_url, scrape, scraped
from procserver.errors import ConfigError
from procserver.observer.collector import Snapshot
from procserver.observer.exposition import exposition
from procserver.resources import HostUsage, TreeDetail, TreeUsage
from procserver.shared.layout import OUTCOME_NAMES

COUNTS = st.integers(0, 2**50)  # beyond, a scraper's floats are not exact
CPU_S = st.floats(0, 1e9)


@st.composite
def readings(draw: st.DrawFn) -> Snapshot:
    def some(*names: str) -> dict[str, Any]:
        return {name: draw(COUNTS) for name in names}

    pool = ("workers", "idle", "busy", "starting", "draining", "max_workers", "busy_max", "saturated_s")
    totals = some("connections", "messages", "bytes_in", "bytes_out", "records_dropped")
    facts = {
        "supervisor": {
            "version": "1.2.3",
            "state": draw(st.sampled_from(["starting", "serving", "degraded", "draining"])),
            "started": draw(CPU_S),
            **some("uptime_s", "generation"),
        },
        "last_reload": None,
        "pool": some(*pool),
        "queue": some("depth", "limit", "depth_max"),
        "totals": totals | {"outcomes": some(*OUTCOME_NAMES)},
    }
    detail = TreeDetail(**some("pss_bytes", "uss_bytes", "fds", "threads"), **SWITCHES)
    host = HostUsage(busy_s=1.0, listen_drops=0, **some("cpus", "listen_overflows", "retransmits"))
    return Snapshot(facts, TreeUsage(draw(COUNTS), draw(CPU_S), {}), detail, draw(CPU_S), host, draw(CPU_S))


SWITCHES: dict[str, Any] = {"voluntary_switches": 0, "involuntary_switches": 0, "processes": []}


@given(readings(), st.sampled_from(["", "application/openmetrics-text;version=1.0.0"]))
def test_what_is_shown_is_what_is_read(reading: Snapshot, accept: str) -> None:
    """In both formats, to the last byte counted."""
    found = scraped(exposition(reading, accept)[1].decode())
    facts = reading.facts
    assert found.status["totals"] == facts["totals"]
    assert found.status["queue"] == facts["queue"]
    assert found.status["pool"].items() <= facts["pool"].items()
    told = {key: facts["supervisor"][key] for key in ("version", "state", "generation", "started")}
    assert found.status["supervisor"] == told
    assert found.usage == {
        "processes": reading.usage.processes,
        "cpu_s": reading.usage.cpu_s,
        "scrape_cpu_s": reading.own_cpu_s,
    }
    assert found.detail == {key: getattr(reading.detail, key) for key in found.detail}
    assert found.host == {key: getattr(reading.host, key) for key in found.host}
    assert found.measured_at == reading.measured_at


class Web:
    """Answers one request after another with these bytes, and with nothing more."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = answers
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = metrics_url(f"http://127.0.0.1:{self.listener.getsockname()[1]}/metrics")
        self.thread = threading.Thread(target=self.serve)

    def serve(self) -> None:
        for answer in self.answers:
            sock, _ = self.listener.accept()
            with sock:
                sock.recv(65536)
                sock.sendall(answer)
                sock.shutdown(socket.SHUT_WR)
                sock.recv(65536)


@pytest.fixture
def web(request: pytest.FixtureRequest) -> Iterator[Web]:
    web = Web(*request.param)
    web.thread.start()
    yield web
    web.thread.join()
    web.listener.close()


def page(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


@pytest.mark.parametrize(
    ("web", "says"),
    [
        ((page(b"up 1\n"),), "no metrics of procserver's: it has no procserver_"),
        ((page(b"<html>hello</html>"),), "no metrics in Prometheus' text format"),
        ((page(b"procserver_generation NaN\n"),), "no metrics"),
        ((page(b"\xff\xfe"),), "no metrics in Prometheus' text format"),
        ((page(b"not ready: draining\n", b"503 Service Unavailable"),), "status 503: not ready: draining"),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n",), "more than are allowed"),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab",), "the stream ends before the answer does"),
        ((b"220 ready\r\n\r\n",), "not sound"),
    ],
    indirect=["web"],
)
def test_what_is_no_endpoint_of_ours_is_told_so(web: Web, says: str) -> None:
    with pytest.raises(ScrapeError) as found:
        scrape(web.url, 10.0)
    assert says in str(found.value)
    assert str(web.url) in str(found.value)


def of_a_server(started: float) -> bytes:
    numbers = dict.fromkeys(("workers", "idle", "busy", "starting", "draining", "max_workers", "busy_max"), 1)
    totals = dict.fromkeys(("connections", "messages", "bytes_in", "bytes_out", "records_dropped"), 1)
    facts = {
        "supervisor": {
            "version": "1",
            "state": "serving",
            "started": started,
            "uptime_s": 1,
            "generation": 1,
        },
        "last_reload": None,
        "pool": {**numbers, "saturated_s": 0},
        "queue": {"depth": 0, "limit": 1, "depth_max": 0},
        "totals": {**totals, "outcomes": {"closed": 1}},
    }
    detail = TreeDetail(pss_bytes=1, uss_bytes=1, fds=1, threads=1, **SWITCHES)
    host = HostUsage(cpus=1, busy_s=1.0, listen_overflows=0, listen_drops=0, retransmits=0)
    return page(exposition(Snapshot(facts, TreeUsage(1, 1.0, {}), detail, 1.0, host, 0.1), "")[1])


@pytest.mark.parametrize("web", [(of_a_server(1.0), of_a_server(1.0), of_a_server(2.0))], indirect=True)
def test_counts_of_another_server_are_no_account_of_the_first(web: Web) -> None:
    """Behind a balancer, or after a restart: their difference would be a number, and wrong."""
    endpoint = Endpoint(web.url)
    assert endpoint.read(10.0) == endpoint.read(10.0)
    with pytest.raises(ScrapeError, match="another server answers than at first"):
        endpoint.read(10.0)


def test_who_does_not_answer_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = metrics_url(f"http://127.0.0.1:{silent.getsockname()[1]}/metrics")
        with pytest.raises(ScrapeError, match=r"127\.0\.0\.1"):
            scrape(url, 0.05)
    with pytest.raises(ScrapeError, match="refused"):
        scrape(url, 10.0)


def test_no_secret_gets_into_the_results() -> None:
    with pytest.raises(ConfigError, match="a user and a password would stand in the results") as found:
        metrics_url("http://me:secret@127.0.0.1/metrics")
    assert "secret@" not in str(found.value)
