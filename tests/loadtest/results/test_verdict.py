"""Verdicts: what a run may claim."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.results.thresholds import parse_threshold
from loadtest.results.verdict import EXIT_CODES, judge
from loadtest.workload.workload import WORKLOADS

REQUESTS = WORKLOADS["greeting"].requests


def request(ok: int = 1000, failed: int = 0, p99: int | None = 900) -> dict[str, Any]:
    """A request of a closed loop."""
    times = {"p50": 100, "p99": p99 if ok >= 100 else None, "max": 2000, "mean": 120.0} if ok else None
    return {
        "planned": None,
        "ok": ok,
        "failed": failed,
        "censored": 0,
        "dropped": 0,
        "late": 0,
        "rate_planned": None,
        "rate_achieved": ok / 10,
        "response_us": times,
        "service_us": times,
        "lag_us": None,
        "errors": {"reset by the server": failed} if failed else {},
    }


def planned(ok: int, p99: int = 900, **others: int) -> dict[str, Any]:
    """1 000 arrivals of an open loop, as the plan of 10 s has them; `others` says what became of the rest."""
    row = request(ok, p99=p99) | {
        "planned": 1000,
        "rate_planned": 100.0,
        "lag_us": {"p50": 50, "p99": 80, "max": 900},
    }
    return row | others


def run(**changes: Any) -> dict[str, Any]:
    """A run in which all went well, but for `changes`."""
    document = {
        "interrupted": False,
        "main_request": "message",
        "requests": {"connect": request(50), "message": request()},
        "connections": {"asked": 50, "made": 50},
        "server": {"cpu_cores": 0.5, "pss_bytes_max": 50 << 20, "queue_depth_max": 0, "ended": None},
        "generator": {
            "processes_lost": [],
            "exceptions": [],
            "cores_max": 0.3,
            "lag_us": {"p99": 1200, "max": 9000},
        },
        "reconciled": {"ok": True, "difference": {"connections": 0, "messages": 0}},
    }
    return document | changes


def verdict(document: dict[str, Any], *expressions: str) -> tuple[str, list[str]]:
    judged = judge(document, [parse_threshold(text, REQUESTS) for text in expressions])
    return judged.verdict, judged.reasons


def test_adversaries_make_no_errors_of_the_honest() -> None:
    """A name with a full stop in it is told, and may have a threshold of its own."""
    document = run()
    document["requests"]["hostile.mute"] = request(ok=10, failed=10)
    document["requests"]["hostile.mute"] |= {"censored": 7, "dropped": 3}
    assert verdict(document, "errors=0", "censored=0", "dropped=0") == ("pass", [])
    names = (*REQUESTS, "hostile.mute")
    judged = judge(document, [parse_threshold("hostile.mute.errors<10%", names)])
    assert (judged.verdict, judged.reasons) == (
        "fail",
        ["hostile.mute.errors was 50.000%, the threshold is <10%"],
    )


UNRECONCILED = {
    "ok": False,
    "client": {"connections": 50, "messages": 1000},
    "server": {"connections": 50, "messages": 1003},
    "difference": {"connections": 0, "messages": 3},
}


GENERATOR = run()["generator"]


LATE = GENERATOR | {"lag_us": {"p99": 2500, "max": 9000}}


UNEVEN = run()["server"] | {
    "connections_by_worker": [50, 10, 10, 10],
    "switches": {"voluntary": 100, "involuntary": 12},
}


@pytest.mark.parametrize(
    ("changes", "expressions", "expected", "reason"),
    [
        ({}, ["errors=0", "message.p99<1ms"], "pass", ""),
        ({}, ["message.p99<0.5ms"], "fail", "message.p99 was 900 µs, the threshold is <0.5ms"),
        ({}, ["server.pss.max<10MiB"], "fail", "server.pss.max was 50.0 MiB"),
        ({"requests": {"message": request(990, 10)}}, ["errors<0.1%"], "fail", "errors was 1.000%"),
        ({"connections": {"asked": 50, "made": 12}}, [], "fail", "38 of 50 connections were never greeted"),
        ({"requests": {"message": request(0)}}, ["errors=0"], "invalid", "nothing to judge"),
        ({"requests": {}}, [], "invalid", "nothing to judge"),
        ({"interrupted": True}, [], "invalid", "interrupted"),
        ({"server": None}, ["server.pss.max<10MiB"], "invalid", "was not measured"),
        ({"requests": {"message": request(50)}}, ["message.p99<1s"], "invalid", "too few samples"),
        (
            {"reconciled": UNRECONCILED},
            [],
            "invalid",
            "the server counted 1003 messages, the generator 1000: +3",
        ),
        ({"generator": GENERATOR | {"cores_max": 0.97}}, [], "invalid", "the generator was saturated (97%"),
        ({"generator": GENERATOR | {"processes_lost": ["w1"]}}, [], "invalid", "lost a process: w1"),
        ({"generator": GENERATOR | {"exceptions": ["1 x oops"]}}, [], "invalid", "1 x oops"),
        ({"generator": GENERATOR | {"processes": 2, "workers": [{}] * 2}}, [], "pass", ""),
        (
            {"generator": GENERATOR | {"processes": 2, "workers": [{}] * 4}},
            [],
            "invalid",
            "others had joined",
        ),
        ({"server": run()["server"] | {"ended": "process 7 is gone"}}, [], "invalid", "process 7 is gone"),
        (
            {"generator": LATE, "requests": {"message": planned(1000)}},
            [],
            "invalid",
            "the generator itself was late (p99 2.50 ms",
        ),
        ({"generator": LATE, "requests": {"message": planned(1000, p99=26_000)}}, [], "pass", ""),
        ({"generator": LATE}, [], "pass", ""),
        ({"requests": {"message": planned(1000)}}, ["achieved>=99%", "message.lag.p99<1ms"], "pass", ""),
        (
            {"requests": {"message": planned(900, dropped=100, late=500)}},
            ["dropped=0"],
            "fail",
            "dropped was 100",
        ),
        (
            {"requests": {"message": planned(900, dropped=100, late=500)}},
            ["achieved>=99%"],
            "fail",
            "90 of 100 planned per second were achieved; 500 arrivals found no connection free",
        ),
        ({"requests": {"message": planned(900, dropped=100, late=500)}}, ["dropped<200"], "pass", ""),
        (
            {"requests": {"message": planned(900, censored=100)}},
            [],
            "invalid",
            "100 arrivals were not answered although a connection was free",
        ),
        (
            {"requests": {"message": planned(990)}},
            [],
            "invalid",
            "1000 arrivals were planned, but 990 ended",
        ),
        ({"server": UNEVEN}, ["workers.connections.max_over_mean<1.5"], "fail", "max_over_mean was 2.5"),
        (
            {"server": UNEVEN},
            ["server.switches.involuntary<10"],
            "fail",
            "involuntary was 12, the threshold is <10",
        ),
    ],
)
def test_verdicts(changes: dict[str, Any], expressions: list[str], expected: str, reason: str) -> None:
    """Each way to fail and to be invalid has its verdict and says why."""
    found, reasons = verdict(run(**changes), *expressions)
    assert (expected, bool(reason)) == (found, bool(reasons))
    assert reason in "; ".join(reasons)


@given(
    st.sampled_from([{"interrupted": True}, {"requests": {}}, {"reconciled": UNRECONCILED}]),
    st.lists(st.sampled_from(["errors=0", "message.p99<1us", "server.cpu<9", "dropped=0"])),
)
def test_what_may_not_be_believed_neither_passes_nor_fails(
    changes: dict[str, Any], expressions: list[str]
) -> None:
    """Invalid is stronger than any threshold, held or not."""
    assert verdict(run(**changes), *expressions)[0] == "invalid"


def test_what_to_keep_in_mind_is_told_and_changes_nothing() -> None:
    """A percentile that a handful of samples decide, a rate that was missed, a warm-up that was too short."""
    document = run(
        requests={"message": planned(900, dropped=100, late=500)},
        connections={"asked": 50, "made": 50, "measuring_late_s": 3.2},
    )
    assert judge(run(generator=LATE), []).notes == [
        "the generator's timers were late (p99 2.50 ms): requests began later than paced"
    ]
    judged = judge(document, [parse_threshold("message.p99<1ms", REQUESTS)])
    assert judged.verdict == "pass"
    few, slow, behind = judged.notes
    assert few.startswith("message.p99 has only 9 samples beyond it")
    assert slow.startswith("connecting took longer than the warm-up: measuring began 3.2s later")
    assert behind.startswith("90 of 100 planned per second were achieved")


def test_exhausted_ports_are_the_generators_fault() -> None:
    """The server is not blamed for what it never saw."""
    row = request(900, 100) | {"errors": {"OSError 99: Cannot assign requested address": 100}}
    found, reasons = verdict(run(requests={"message": request(), "connect": row}), "errors=0")
    assert found == "invalid"
    assert "local ports ran out" in reasons[0]


def test_each_verdict_has_its_exit_code() -> None:
    """They are a contract: scripts branch on them."""
    assert EXIT_CODES == {"pass": 0, "fail": 3, "invalid": 4}
