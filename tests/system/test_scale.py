"""Another size for a running pool: at once, over reloads, and never at the cost of a conversation."""

import pytest

from procserver.clients import control
from procserver.clients.control import ControlError
from tests.support.changing import ChangingServer
from tests.support.server import RunningServer, run_to_end


def scale(server: RunningServer, workers: object) -> None:
    control.request(server.control, {"command": "scale", "workers": workers})


def test_a_static_pool_grows_and_shrinks() -> None:
    with RunningServer("--workers", "2") as server:
        done = run_to_end("scale", "5", "--control", str(server.control))
        assert (done.stdout, done.returncode) == ("at most 5 workers\n", 0)
        found = server.wait_for_status(lambda s: s["pool"]["idle"] == 5, "five workers")
        assert (found["pool"]["scaled"], found["pool"]["max_workers"]) == (5, 5)
        guests = [server.guest() for _ in range(3)]
        scale(server, 1)
        server.wait_for_status(lambda s: s["pool"]["workers"] == 3, "the idle ones leave")
        for guest in guests:
            guest.greet(b"nobody busy is sent away")
            guest.leave()
        server.wait_for_status(lambda s: s["pool"]["workers"] == 1, "when they are free, all but one")
        scale(server, None)
        found = server.wait_for_status(lambda s: s["pool"]["workers"] == 2, "as configured")
        assert found["pool"]["scaled"] is None


def test_the_bound_of_an_elastic_pool_is_moved() -> None:
    """Who waits in the queue is served as soon as there may be more workers."""
    with RunningServer("--min-spare", "2", "--max-spare", "4", "--max-workers", "8") as server:
        server.announce("saturated")
        scale(server, 3)
        guests = [server.guest() for _ in range(3)]
        late = server.connect()
        server.wait_for_event("saturated")
        assert server.status()["pool"]["workers"] == 3
        scale(server, 6)
        late.welcome()
        for guest in [*guests, late]:
            guest.leave()


def test_what_was_scaled_survives_a_reload_and_an_upgrade() -> None:
    with ChangingServer(settings="workers = 2") as server:
        scale(server, 4)
        server.set("workers = 3")
        assert server.order("reload").returncode == 0
        found = server.wait_for_status(
            lambda s: s["pool"]["idle"] == 4 and not s["pool"]["draining"], "four of the new"
        )
        assert (found["pool"]["scaled"], found["supervisor"]["generation"]) == (4, 2)
        upgraded = server.order("upgrade")
        assert (upgraded.stderr, upgraded.returncode) == ("", 0)
        found = server.wait_for_status(lambda s: s["pool"]["idle"] == 4, "and over an upgrade")
        assert (found["pool"]["scaled"], found["supervisor"]["generation"]) == (4, 3)
        assert server.order("scale", "none").stdout == "as configured\n"
        assert server.status()["pool"]["max_workers"] == 3, "as the new settings have it"


@pytest.mark.parametrize("workers", [0, -1, 257, 10**9, "3", 2.0, True, [1]])
def test_a_size_out_of_range_is_refused(workers: object) -> None:
    with RunningServer("--workers", "2") as server:
        with pytest.raises(ControlError, match=r"workers=.*: out of range; allowed: 1 to 256"):
            scale(server, workers)
        assert server.status()["pool"]["scaled"] is None


@pytest.mark.parametrize("word", ["many", "1.5", "-3", ""])
def test_a_size_that_is_no_number_is_a_wrong_command(word: str) -> None:
    done = run_to_end("scale", "--control", "nowhere", "--", word)
    assert done.returncode == 2
    assert "neither a whole number nor none" in done.stderr
