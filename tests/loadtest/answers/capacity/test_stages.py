"""A stage is borne, breaks, was limited by the generator, or cannot be judged; a search is concluded in words."""

from pathlib import Path
from typing import Any

import pytest

from loadtest.answers.capacity.answer import CapacityAnswer, Stage
from loadtest.answers.capacity.conclusion import conclude
from loadtest.answers.capacity.stages import is_clear, stage_of
from loadtest.answers.capacity.text import summary
from loadtest.results.verdict import generator_limits
from loadtest.statistics.search import Outcome, Probe, Purpose, Search
from tests.support.capacity_documents import document

BROKEN = {"expression": "message.p99<1ms", "metric": "message.p99", "value": 2500.0, "ok": False}
KEPT = BROKEN | {"value": 900.0, "ok": True}
SHORT = {"rate_achieved": 98.0}
ALL_BUSY = {"workers_busy_share": 1.0, "queue_share": 1.0, "queue_depth_max": 42}
UNRECONCILED = {
    "ok": False,
    "client": {"messages": 1000},
    "server": {"messages": 1003},
    "difference": {"messages": 3},
}
SATURATED = {"cores_max": 0.99}
LIMITS = generator_limits(document(generator=SATURATED))


def staged(asked: float = 100.0, of: str = "rate", number: int = 1, **changes: Any) -> Stage:
    return stage_of(number, "01", Probe(asked, Purpose.RANGE), document(**changes), of)


@pytest.mark.parametrize(
    ("changes", "outcome", "why"),
    [
        ({"thresholds": [KEPT]}, "holds", ""),
        ({"thresholds": [BROKEN]}, "breaks", "message.p99 was 2.50 ms, asked was <1ms"),
        ({"row": SHORT}, "breaks", "98/s of 100/s were answered"),
        ({"row": {"dropped": 3}}, "breaks", "3 arrivals were dropped"),
        ({"row": {"rate_achieved": None}}, "breaks", "0/s of 100/s"),
        (
            {"verdict": "fail", "reasons": ["2 of 50 connections were never greeted"]},
            "breaks",
            "never greeted",
        ),
        ({"generator": SATURATED, "row": SHORT, "verdict": "invalid"}, "limited", "99% of a core"),
        ({"generator": SATURATED, "verdict": "invalid", "reasons": LIMITS}, "holds", ""),
        (
            {"generator": SATURATED, "row": SHORT, "strain": ALL_BUSY | {"cores": 0.1}},
            "breaks",
            "98/s of 100/s",
        ),
        (
            {"generator": SATURATED, "row": SHORT, "strain": ALL_BUSY | {"cores": 0.9}},
            "limited",
            "99% of a core",
        ),
        ({"generator": SATURATED, "verdict": "invalid", "reasons": [*LIMITS, "odd"]}, "invalid", "odd"),
        ({"verdict": "invalid", "reasons": ["too few samples"]}, "invalid", "too few samples"),
        ({"verdict": "invalid", "reasons": ["too few samples"], "thresholds": [BROKEN]}, "breaks", "p99"),
        (
            {"reconciled": UNRECONCILED, "row": SHORT},
            "invalid",
            "unaccounted",
        ),
        ({"reconciled": None, "server": None}, "holds", ""),
        (
            {"row": {"rate_planned": 96.0, "rate_achieved": 95.5}},
            "holds",
            "",
        ),  # few of a Poisson plan came so soon
        ({"row": {"rate_planned": 104.0, "rate_achieved": 101.0}}, "breaks", "101/s of 104/s"),
        ({"generator": {"processes_lost": ["w1"]}, "thresholds": [BROKEN]}, "invalid", "lost a process"),
    ],
)
def test_a_stage_is_judged(changes: dict[str, Any], outcome: str, why: str) -> None:
    """What a late generator breaks proves nothing, what holds all the same does, and what is in doubt is neither."""
    stage = staged(**changes)
    assert stage.outcome == outcome
    assert why in " ".join(stage.why)
    assert (stage.limiter is None) == (outcome in ("holds", "invalid"))


def test_a_server_that_ended_proves_nothing() -> None:
    """Its stage is invalid, whatever its figures were."""
    ended = document()["server"] | {"ended": "process 7 is gone"}
    assert staged(server=ended).outcome == "invalid"


@pytest.mark.parametrize(
    ("rate", "made", "connect_us", "achieved", "outcome"),
    [
        (50.0, 50, 30_000, 50, "holds"),
        (46.0, 50, 30_000, 46, "holds"),  # a heartbeat of each may fall beyond the edge
        (40.0, 50, 30_000, 40, "breaks"),
        (50.0, 44, 30_000, 44, "breaks"),
        (49.0, 50, 9_000_000, 49, "breaks"),  # one was greeted when others left
    ],
)
def test_connections_count_as_far_as_they_are_served(
    rate: float, made: int, connect_us: float, achieved: float, outcome: str
) -> None:
    """A connection that was greeted too late, or had no answer at each heartbeat, is not held."""
    connections = {"asked": 50, "made": made}
    stage = staged(
        50, "connections", row={"rate_achieved": rate}, connections=connections, connect_us=connect_us
    )
    assert (stage.achieved, stage.outcome) == (achieved, outcome)


def test_far_too_little_needs_no_repeat_a_broken_threshold_does() -> None:
    """Noise breaks a percentile; it does not keep back every second answer."""
    assert is_clear(staged(row={"rate_achieved": 50.0}))
    assert not is_clear(staged(row=SHORT))
    assert not is_clear(staged(thresholds=[BROKEN]))
    assert not is_clear(staged())


def concluded(limit: float, **beyond: Any) -> tuple[Search, list[Stage]]:
    """A search to its end, against a service whose documents change as told beyond the limit."""
    search, stages = Search(10, 1000, 100, 0.05), list[Stage]()
    while search.probe is not None:
        load = search.probe.load
        run = document(rate=load, **(beyond if load > limit else {}))
        stage = stage_of(len(stages) + 1, f"{len(stages) + 1:02d}", search.probe, run, "rate")
        stages.append(stage)
        search.tell(Outcome(stage.outcome), clear=is_clear(stage))
    return search, stages


def test_an_answer_says_what_held_what_broke_and_why() -> None:
    """The limiter is that of the stage just above."""
    search, stages = concluded(300, thresholds=[BROKEN], strain=ALL_BUSY)
    found = conclude(search, stages, "rate", "")
    assert (found.verdict, found.at_least) == ("answered", False)
    assert found.capacity is not None
    assert 285 < found.capacity <= 300
    assert found.limiter is not None
    assert found.limiter.name == "workers"
    assert found.reasons[0].startswith(f"{found.capacity:.0f}/s held for 10s")
    assert f"{found.breaks_at:.0f}/s did not hold: message.p99 was 2.50 ms" in found.reasons[1]


def test_a_cause_seen_a_little_further_up_explains_a_limit_that_shows_none() -> None:
    """Just above the limit latency rises before anything is full; at twice of it all is plain."""
    search, stages = concluded(300, thresholds=[BROKEN])
    far = max((stage for stage in stages if stage.outcome == "breaks"), key=lambda stage: stage.asked)
    far.limiter = staged(thresholds=[BROKEN], strain=ALL_BUSY, number=far.number).limiter
    found = conclude(search, stages, "rate", "")
    assert found.limiter is not None
    assert (found.limiter.name, found.limiter.stage) == ("workers", far.number)
    assert found.limiter.reasons[-1] == f"seen at {far.asked:g}/s"


def test_the_generators_limit_makes_an_at_least() -> None:
    """Nothing above was proved of the service."""
    search, stages = concluded(300, generator=SATURATED, row=SHORT, verdict="invalid")
    found = conclude(search, stages, "rate", "")
    assert (found.verdict, found.at_least) == ("answered", True)
    assert found.limiter is not None
    assert found.limiter.name == "generator"


def test_a_proof_near_the_generators_limit_bounds_the_answer() -> None:
    """Between what held and what broke for sure the generator was late once: that is no at least."""
    search, stages = Search(10, 1000, 100, 0.2), list[Stage]()
    while search.probe is not None:
        load = search.probe.load
        late = {"generator": SATURATED, "thresholds": [BROKEN], "verdict": "invalid"} if load < 350 else {}
        broken: dict[str, Any] = {"thresholds": [BROKEN], "strain": ALL_BUSY} | late if load > 300 else {}
        stages.append(stage_of(len(stages) + 1, "", search.probe, document(rate=load, **broken), "rate"))
        search.tell(Outcome(stages[-1].outcome), clear=False)
    found = conclude(search, stages, "rate", "")
    assert search.broke_by is Outcome.LIMITED
    assert (found.at_least, found.breaks_at) == (False, 400)
    assert found.limiter is not None
    assert found.limiter.name == "workers"
    assert any(reason.startswith("400/s did not hold") for reason in found.reasons)


def test_the_range_may_be_the_limit() -> None:
    """All held: the answer is at least the greatest load that was allowed."""
    search, stages = concluded(10_000)
    found = conclude(search, stages, "rate", "")
    assert (found.capacity, found.at_least, found.breaks_at) == (1000, True, None)
    assert found.limiter is not None
    assert found.limiter.name == "range"


def test_the_lowest_load_may_break() -> None:
    """That is an answer of its own, with its limiter; where only a threshold broke, it says what to think of."""
    search, stages = concluded(1, thresholds=[BROKEN], strain=ALL_BUSY)
    found = conclude(search, stages, "rate", "")
    assert (found.verdict, found.capacity, found.breaks_at) == ("none", None, 10)
    assert found.limiter is not None
    assert found.limiter.name == "workers"
    assert "10/s did not hold" in found.reasons[0]
    search, stages = concluded(1, thresholds=[BROKEN])
    assert any("thresholds that it can meet" in note for note in conclude(search, stages, "rate", "").notes)


def test_a_search_that_was_stopped_cannot_tell() -> None:
    """What held is told, but not as an answer."""
    search = Search(10, 1000, 100, 0.05)
    stages = [staged()]
    search.tell(Outcome.HOLDS)
    found = conclude(search, stages, "rate", "it was interrupted")
    assert (found.verdict, found.capacity, found.limiter) == ("cannot tell", None, None)
    assert found.reasons[:2] == ["it was interrupted", "100/s held once, but was not confirmed"]
    assert conclude(Search(10, 1000, 100, 0.05), [], "rate", "it was interrupted").verdict == "cannot tell"


def answer_of(search: Search, stages: list[Stage], stopped: str = "") -> CapacityAnswer:
    return CapacityAnswer(
        **conclude(search, stages, "rate", stopped)._asdict(),
        of="rate",
        precision=0.05,
        main="message",
        thresholds=["message.p99<1ms"],
        stages=stages,
        started="",
        took_s=1.0,
        settings={},
        host={},
        commit=None,
    )


def test_the_summary_says_it_first_and_shows_every_stage(tmp_path: Path) -> None:
    """The answer in the first line, the limiter by its name, then a row for each stage, by load."""
    answer = answer_of(*concluded(300, thresholds=[BROKEN], strain=ALL_BUSY))
    lines = summary(answer, tmp_path).splitlines()
    assert lines[0] == f"CAPACITY  {answer.capacity:.0f} messages per second with message.p99<1ms"
    assert any(
        line.startswith("  limited by the number of workers: all 8 workers were busy") for line in lines
    )
    rows = [line for line in lines if " holds " in line or " breaks " in line]
    assert len(rows) == len(answer.stages)
    assert [" holds " in row for row in rows] == sorted((" holds " in row for row in rows), reverse=True)


@pytest.mark.parametrize(
    ("answer", "first"),
    [
        (answer_of(*concluded(10_000)), "CAPACITY  at least 1\u202f000 messages per second"),
        (answer_of(*concluded(1, thresholds=[BROKEN])), "NONE"),
        (answer_of(Search(10, 1000, 100, 0.05), [], "it was interrupted"), "CANNOT TELL"),
    ],
)
def test_the_summary_of_every_verdict(answer: CapacityAnswer, first: str, tmp_path: Path) -> None:
    """No number where none is known."""
    assert summary(answer, tmp_path).startswith(first)
