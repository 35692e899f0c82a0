"""The server's side of a test that goes on, read from a tracker: rows while it lives, a word when it is gone."""

import os
import subprocess
import time

from loadtest.stats.recorder import Ledger
from loadtest.web.live import Followed, Live
from tests.support.wait import wait_until


def test_a_server_that_goes_is_told_and_nothing_is_left() -> None:
    """Its CPU and memory in each row; then why there is nothing more; then no tracker and no folder."""
    live = Live(time.time(), reports_after_s=0.0)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as server:
        live.follow(Followed(server.pid, None))
        tracker, folder = live.process, live.folder
        assert tracker is not None
        assert folder is not None
        wait_until(lambda: gauge(live, "pss_bytes"), "its memory is seen")
        assert gauge(live, "processes") == 1
        assert gauge(live, "workers_busy") is None
        assert not live.complaint
    wait_until(lambda: gauge(live, "pss_bytes") is not None and live.complaint, "its end is seen")
    assert live.complaint.startswith("the server's processes are not followed any more: ")
    assert str(server.pid) in live.complaint
    live.end()
    assert tracker.returncode == 0
    assert not os.path.exists(folder)


def test_a_tracker_that_cannot_begin_says_why() -> None:
    """A number that no process has."""
    live = Live(time.time(), reports_after_s=0.0)
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    live.follow(Followed(gone.pid, None))
    wait_until(lambda: gauge(live, "pss_bytes") or live.complaint, "it is told")
    assert str(gone.pid) in live.complaint
    live.end()


def gauge(live: Live, name: str) -> float | None:
    """Of the latest row."""
    live.advance(time.time(), Ledger(), None)
    value: float | None = live.rows[-1][name] if live.rows else None
    return value


def test_what_the_server_accepted_is_a_rate_between_two_times_of_asking() -> None:
    """Never before it was made; nothing while the server is silent, or where its count began anew."""
    live = Live(1000.0, reports_after_s=0.0)
    live.begun = [{"t": 0.0, "epoch": 1000.0}]
    for t, count in ((0.5, 10), (1.75, 20), (2.5, 50), (5.0, 50), (6.0, 1), (7.0, 4)):
        live.samples.append(
            {"t": t, "sampler": {"took_s": 0.0}, "status": {"totals": {"connections": count}}}
        )
    told = [live.accepted_per_s(1000.0 + second) for second in range(1, 8)]
    assert told == [None, 8, 40, None, 0, None, 3]
