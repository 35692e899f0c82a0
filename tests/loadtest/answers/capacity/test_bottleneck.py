"""The limiter is named by what was measured: a table of every rule, and of what must not set it off."""

from typing import Any

import pytest

from loadtest.answers.capacity.answer import BOTTLENECKS
from loadtest.answers.capacity.bottleneck import bottleneck_of, host_taken
from tests.support.capacity_documents import document

FULL_CPU = {"cores": 3.8}
ALL_BUSY = {"workers_busy": 7.9, "workers_busy_share": 0.99, "queue_share": 0.9, "queue_depth_max": 42}


@pytest.mark.parametrize(
    ("strain", "row", "name", "said"),
    [
        (FULL_CPU, {}, "server_cpu", "3.80 of the 4 cores"),
        ({"cores": 1.4, "cores_allowed": 1.5}, {}, "server_cpu", "1.40 of the 1.5 cores"),
        ({"cores": 2.5, "host_cores": 3.9}, {}, "server_cpu", "all 4 CPUs of the host"),
        ({"process_cores_max": 0.97}, {}, "server_cpu", "one process of the server used 97%"),
        (
            {"memory_available_share_min": 0.01},
            {},
            "memory",
            "only 1.0% of the memory was left; the server had 50.0 MiB",
        ),
        ({"log_errors": {"memory": 2}}, {}, "memory", "refused it memory (2 times)"),
        ({"fds_share_max": 0.99}, {}, "fds", "held 99% of the descriptors"),
        ({"log_errors": {"fds": 12}}, {}, "fds", "too many open files (12 times)"),
        ({"log_errors": {"processes": 1}}, {}, "fds", "refused it processes"),
        (ALL_BUSY, {}, "workers", "all 8 workers were busy (99% of the time) while up to 42"),
        ({"listen_overflows": 3}, {}, "backlog", "overflowed 3 times"),
        ({"queue_depth_max": 128}, {}, "backlog", "128 of 128 waited"),
        ({}, {"late": 400}, "connections", "40% of the arrivals found none of the 50 connections free"),
        ({}, {}, "thresholds", "no cause was measured"),
        # What is no cause of its own:
        ({**ALL_BUSY, "queue_share": 0.2}, {}, "thresholds", ""),  # all are busy, but nobody waits
        (
            {**ALL_BUSY, "workers_busy_share": 0.7},
            {},
            "thresholds",
            "",
        ),  # somebody waits, but not for a worker
        ({}, {"late": 20}, "thresholds", ""),  # a few arrivals met by chance
        # Of several, the cause comes first.
        ({**FULL_CPU, **ALL_BUSY, "listen_overflows": 9}, {"late": 900}, "server_cpu", "cores"),
        ({**ALL_BUSY, "listen_overflows": 9}, {"late": 900}, "workers", "all 8 workers"),
        ({**ALL_BUSY, "log_errors": {"fds": 4}}, {}, "fds", "too many open files"),
    ],
)
def test_the_limiter_is_named_with_its_evidence(
    strain: dict[str, Any], row: dict[str, Any], name: str, said: str
) -> None:
    """Its name is one that people know, and the first reason is its own."""
    bottleneck = bottleneck_of(document(strain=strain, row=row))
    assert bottleneck.name == name
    assert name in BOTTLENECKS
    assert said in bottleneck.reasons[0]


def test_what_else_was_seen_is_told_beside_it() -> None:
    """Every rule that found something has a reason."""
    bottleneck = bottleneck_of(document(strain={**FULL_CPU, **ALL_BUSY, "listen_overflows": 9}))
    assert len(bottleneck.reasons) == 3


@pytest.mark.parametrize(
    ("server", "said"),
    [(None, "not followed"), ({"saturation": None}, "too short")],
)
def test_without_the_servers_side_no_cause_is_made_up(server: dict[str, Any] | None, said: str) -> None:
    """The thresholds alone are known to have broken."""
    bottleneck = bottleneck_of(document(server=server))
    assert bottleneck.name == "thresholds"
    assert said in bottleneck.reasons[0]


@pytest.mark.parametrize(
    ("strain", "workers", "said"),
    [
        (
            {"cores": 0.5, "host_cores": 3.9},
            [],
            "the server used 0.50 cores, the generator 0.30, others 3.10",
        ),
        ({"cores": 0.5, "host_cores": 3.9}, [1.7, 1.6], "the generator 3.30, others 0.10"),
        ({"cores": 2.5, "host_cores": 3.9}, [1.7, 1.6], ""),  # they cannot all have been here
        ({"cores": 0.2, "host_cores": 3.9}, [], ""),  # it did not want any: it sleeps
        ({"cores": 2.0, "host_cores": 3.9}, [0.5, 0.5], ""),  # it is the largest user: that is its limit
        ({"cores": 0.5, "host_cores": 3.0}, [], ""),  # there was room
        (
            {"cores": 1.0, "host_cores": 3.9, "process_cores_max": 0.95},
            [],
            "",
        ),  # one process had all it can use
        ({"cores": 0.95, "host_cores": 3.9, "cores_allowed": 1}, [], ""),  # all that it is allowed
        ({"cores": None, "host_cores": 3.9}, [], ""),
    ],
)
def test_a_host_that_is_full_of_others_proves_nothing_of_the_server(
    strain: dict[str, Any], workers: list[float], said: str
) -> None:
    """Unless the server had all that it may use."""
    generator = {"workers": [{"cores": cores} for cores in workers]}
    taken = host_taken(document(strain=strain, generator=generator))
    assert bool(taken) == bool(said)
    assert said in "".join(taken)
