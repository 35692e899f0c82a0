"""How near the server's resources came to their limits: from made-up samples."""

from typing import Any

import pytest

from loadtest.results.saturation import saturation

EPOCH = 1_000_000.0


def line(t: float, cpu_s: dict[int, float], depth: int, busy: int, **more: Any) -> dict[str, Any]:
    """A sample, with the status of a pool of four."""
    return {
        "t": t,
        "server": {"cpu_s": sum(cpu_s.values()), "cpu_s_by_pid": cpu_s},
        "host": {"cpus": 2, "busy_s": 1.5 * t, "listen_overflows": 7 if t > 3 else 5},
        "status": {"pool": {"busy": busy, "max_workers": 4}, "queue": {"depth": depth, "limit": 128}},
        **more,
    }


SAMPLES: list[dict[str, Any]] = [
    {
        "t": 0.0,
        "epoch": EPOCH,
        "kind": "start",
        "allowance": {"cpus": 8, "cpu_quota": 1.5, "fds": 1000, "memory_bytes": 1 << 30},
    },
    line(1.0, {1: 10.0, 2: 0.0}, 90, 0),  # before the measured time
    line(2.0, {1: 10.0, 2: 0.5}, 0, 3, memory_available_bytes=1 << 29),
    line(3.0, {1: 10.1, 2: 1.4, 3: 5.0}, 12, 4, detail={"processes": [{"fds": 10}, {"fds": 990}]}),
    line(4.0, {1: 10.2, 2: 2.3, 3: 6.0}, 30, 4, memory_available_bytes=1 << 28),
    line(5.0, {1: 99.0, 2: 99.0}, 128, 4),  # after it
]


def test_what_happened_while_it_was_measured_counts_and_nothing_else() -> None:
    """Between the second and the fourth second, by the clock of the samples."""
    log = b"accept: Too many open files\n" * 3 + b"fork: Cannot allocate memory\n"
    found = saturation(SAMPLES, EPOCH + 1.5, EPOCH + 4.5, log)
    assert found is not None
    assert found.cores == pytest.approx((18.5 - 10.5) / 2)
    assert found.process_cores_max == pytest.approx(0.9)  # a process that came in between is not known whole
    assert (found.cores_allowed, found.host_cores, found.host_cpus) == (1.5, 1.5, 2)
    assert (found.workers, found.workers_busy, found.workers_busy_share) == (4, 3.6667, 0.9167)
    assert (found.queue_share, found.queue_depth_max, found.queue_limit) == (0.6667, 30, 128)
    assert (found.listen_overflows, found.fds_share_max, found.memory_available_share_min) == (2, 0.99, 0.25)
    assert found.log_errors == {"fds": 3, "memory": 1}


def test_what_was_not_sampled_is_not_known() -> None:
    """A server without a control socket, of another user: no number is made up."""
    bare = [
        {key: value for key, value in sample.items() if key not in ("status", "allowance", "detail")}
        for sample in SAMPLES
    ]
    found = saturation(bare, EPOCH + 1.5, EPOCH + 4.5)
    assert found is not None
    unknown = (
        found.workers,
        found.workers_busy,
        found.queue_share,
        found.queue_depth_max,
        found.cores_allowed,
    )
    assert set(unknown) == {None}
    assert (found.fds_share_max, found.memory_available_share_min) == (None, None)


def test_an_answer_of_the_server_that_failed_is_no_status() -> None:
    """The tracker notes an error in its place."""
    samples = [
        sample | {"status": {"error": "timed out"}} if "server" in sample else sample for sample in SAMPLES
    ]
    found = saturation(samples, EPOCH + 1.5, EPOCH + 4.5)
    assert found is not None
    assert found.workers_busy is None


@pytest.mark.parametrize(("started", "ended"), [(EPOCH + 10, EPOCH + 20), (EPOCH + 2.5, EPOCH + 3.5)])
def test_too_few_samples_tell_nothing(started: float, ended: float) -> None:
    """One moment has no rate."""
    assert saturation(SAMPLES, started, ended) is None
