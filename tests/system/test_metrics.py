"""The metrics endpoint of a running service: what it shows, and what becomes of it when something changes or dies."""

import os
import signal
import socket
from collections.abc import Iterator

import psutil
import pytest

from procserver.addresses import parse_address
from tests.support.changing import ChangingServer
from tests.support.scraping import ask, scrape
from tests.support.server import RunningServer, run_to_end
from tests.support.wait import wait_until

METRICS = ("--metrics", "127.0.0.1:0")


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with RunningServer(*METRICS, "--workers", "2") as server:
        yield server


def endpoint_of(server: RunningServer) -> str:
    (address,) = server.status()["metrics"]
    assert isinstance(address, str)
    return address


def sockets_of(pid: int) -> set[int]:
    """The TCP ports that this process holds listening sockets for."""
    return {c.laddr.port for c in psutil.Process(pid).net_connections("tcp") if c.status == "LISTEN"}


def test_it_shows_what_status_tells(server: RunningServer) -> None:
    talker, leaver = server.guest(), server.guest()
    talker.greet(b"Michael")
    leaver.leave()
    status = server.wait_for_status(lambda s: s["pool"]["busy"] == 1, "one has left")
    address = endpoint_of(server)
    wait_until(lambda: scrape(address)["procserver_connections_open"] == 1, "it is shown")
    found = {name.removeprefix("procserver_"): value for name, value in scrape(address).items()}
    totals, pool = status["totals"], status["pool"]
    assert found["connections_total"] == totals["connections"] == 2
    assert (found["messages_total"], found["received_bytes_total"]) == (
        totals["messages"],
        totals["bytes_in"],
    )
    assert found["sent_bytes_total"] == totals["bytes_out"]
    for outcome, count in totals["outcomes"].items():
        assert found[f"connections_ended_total.{outcome}"] == count
    assert (found["workers"], found["workers_busy"], found["workers_idle"]) == (2, pool["busy"], pool["idle"])
    assert found["queue_limit"] == status["queue"]["limit"]
    assert found[f"build_info.{status['supervisor']['version']}"] == 1
    assert found["start_time_seconds"] == status["supervisor"]["started"]
    assert (found["state.serving"], found["state.draining"]) == (1, 0)
    assert found["generation"] == 1
    assert found["processes"] == 5
    assert found["cpu_seconds_total"] > 0
    assert 0 < found["uss_bytes"] <= found["pss_bytes"]
    assert found["open_fds"] > found["processes"] * 3
    assert "last_reload_success" not in found
    talker.leave()


def test_a_scraper_may_ask_for_openmetrics(server: RunningServer) -> None:
    accept = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"}
    assert ask(endpoint_of(server), headers=accept)[1].endswith("# EOF\n")
    nonsense = {"Accept": "text/plain;version=one"}
    assert ask(endpoint_of(server), headers=nonsense)[1].startswith("# HELP procserver_build_info")


def test_the_observer_alone_serves_it_and_has_none_of_the_service_s_sockets(server: RunningServer) -> None:
    port = parse_address(endpoint_of(server)).port
    status = server.status()
    observer = status["processes"]["observer"]
    assert sockets_of(observer) == {port}
    others = [*status["processes"]["template"], *(worker["pid"] for worker in status["workers"])]
    assert [sockets_of(pid) for pid in others] == [{server.port}] * len(others)


def test_without_the_setting_nothing_is_served() -> None:
    with RunningServer() as server:
        status = server.status()
        assert status["metrics"] == []
        assert sockets_of(status["processes"]["observer"]) == set()
        assert psutil.Process(status["processes"]["observer"]).num_threads() == 1


def test_counters_survive_deaths_of_workers_and_of_the_observer() -> None:
    """The same port again, at once: it is the supervisor's. Nobody of the service has noticed."""
    with RunningServer(*METRICS, "--workers", "2") as server:
        address = endpoint_of(server)
        victim, witness = server.guest(), server.guest()
        witness.greet(b"one")
        before = scrape(address)
        os.kill(server.worker_of(victim), signal.SIGKILL)
        victim.hear_the_end()
        server.tally.expect("killed:SIGKILL")
        server.announce("worker_died", "observer_died")
        server.wait_for_status(lambda s: s["totals"]["outcomes"]["killed"] == 1, "it is counted")
        server.wait_for_event("worker_died")
        wait_until(server.records, "its record is written")  # what an observer has read dies with it
        first = server.status()["processes"]["observer"]
        os.kill(first, signal.SIGKILL)
        after = scrape(address)  # it waits in the socket that the next observer finds open
        assert server.status()["processes"]["observer"] not in (first, None)
        assert after["procserver_connections_ended_total.killed"] == 1
        falling = [name for name in before if name.endswith("_total") and after[name] < before[name]]
        assert set(falling) <= {"procserver_scrape_cpu_seconds_total"}  # which is the observer's own
        witness.greet(b"two")
        witness.leave()


def test_a_reload_keeps_it_and_may_not_change_it() -> None:
    with ChangingServer(*METRICS, settings="workers = 2") as server:
        address = endpoint_of(server)
        assert server.order("reload").returncode == 0
        found = scrape(address)
        assert (found["procserver_generation"], found["procserver_last_reload_success"]) == (2, 1)
        server.set("workers = 0")
        assert server.order("reload").returncode == 1
        wait_until(lambda: scrape(address)["procserver_last_reload_success"] == 0, "it is shown")
        assert ask(address, "/readyz") == (200, "ready: serving\n")


def test_another_address_needs_a_restart() -> None:
    with ChangingServer(settings='workers = 2\nmetrics = "127.0.0.1:0"') as server:
        address = endpoint_of(server)
        server.set('workers = 2\nmetrics = "localhost:0"')
        done = server.order("reload")
        assert (done.returncode, "metrics: cannot change without a restart" in done.stderr) == (1, True)
        assert scrape(address)["procserver_last_reload_success"] == 0


def test_an_upgrade_keeps_it() -> None:
    with RunningServer(*METRICS, "--workers", "2") as server:
        address = endpoint_of(server)
        guest = server.guest()
        before = scrape(address)
        done = run_to_end("upgrade", "--control", str(server.control))
        assert (done.stderr, done.returncode) == ("", 0)
        after = scrape(address)
        assert endpoint_of(server) == address
        assert after["procserver_generation"] == 2
        for name in ("connections_total", "start_time_seconds"):
            assert after[f"procserver_{name}"] == before[f"procserver_{name}"]
        guest.leave()
        wait_until(server.records, "its record is written")
        observer = server.status()["processes"]["observer"]
        os.kill(observer, signal.SIGKILL)  # the new program can start another
        server.announce("observer_died")
        assert scrape(address)["procserver_connections_total"] == 1


def test_a_stop_is_shown_until_it_is_done() -> None:
    """Not ready, but alive and readable, as long as somebody is served."""
    with RunningServer(*METRICS, "--drain-delay", "1m") as server:
        address = endpoint_of(server)
        assert ask(address, "/readyz")[0] == 200
        server.process.terminate()
        wait_until(lambda: ask(address, "/readyz")[0] == 503, "it is draining")
        assert ask(address, "/readyz")[1] == "not ready: draining\n"
        assert ask(address, "/healthz")[0] == 200
        assert scrape(address)["procserver_state.draining"] == 1
        os.kill(server.pid, signal.SIGINT)
        server.announce("stop_hastened")
        assert server.process.wait(20) == 0


def test_the_port_is_free_when_the_supervisor_is_gone() -> None:
    """However long the last conversation goes on, for a successor on the same port."""
    with RunningServer(*METRICS, "--delay", "2", "--workers", "1") as server:
        place = parse_address(endpoint_of(server))
        guest = server.guest()
        guest.say(b"late")
        server.wait_for_stage("handler")
        server.kill_supervisor()

        def bound() -> bool:
            with socket.socket() as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    sock.bind((place.host, place.port))
                    sock.listen()
                except OSError:
                    return False
                return True

        wait_until(bound, "the port can be had")
        guest.hear(b"Hello,late")
        guest.hear_the_end()


def test_a_port_in_use_is_told_and_nothing_is_started() -> None:
    with socket.create_server(("127.0.0.1", 0)) as theirs:
        address = f"127.0.0.1:{theirs.getsockname()[1]}"
        done = run_to_end("serve", "--bind", "127.0.0.1:0", "--control", "none", "--metrics", address)
    assert done.returncode == 1
    assert f"cannot listen on {address}: the address is in use" in done.stderr


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("9100", "it has no port; allowed: HOST:PORT or [V6]:PORT"),
        (":9100", "it has no host (every IPv4 address of the machine is 0.0.0.0); allowed: HOST:PORT"),
        ("127.0.0.1:99999", "its port '99999' is not a number from 0 to 65535; allowed: HOST:PORT"),
        ("unix:/tmp/metrics", "it is served over TCP alone; allowed: HOST:PORT"),
    ],
)
def test_what_is_no_address_is_refused(value: str, says: str) -> None:
    done = run_to_end("check", "--metrics", value)
    assert done.returncode == 2
    assert f"metrics={value!r}: {says}" in done.stderr
