"""A stage is ended early only where it would not have held: held against stages that are carried out to their end."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.answers.capacity.early_stop import EarlyStop
from loadtest.answers.capacity.stages import ACHIEVED_MIN, CLEARLY_SHORT, is_clear, stage_of
from loadtest.results.thresholds import parse_threshold
from loadtest.runs.settings import RunSettings
from loadtest.statistics.search import Outcome, Probe, Purpose, Search
from loadtest.stats.recorder import Interval, RequestCounter, RequestTotals
from loadtest.stats.run_stats import RunStats
from tests.support.capacity_documents import document

WARMUP_S, STAGE_S = 2, 10
REQUESTS = ("handshake", "connect", "message")


def watch_of(rate: float, *thresholds: str, **changes: Any) -> EarlyStop:
    run = RunSettings(serve=[], rate=rate, warmup_s=WARMUP_S, duration_s=STAGE_S, **changes)
    return EarlyStop(run, [parse_threshold(text, REQUESTS) for text in thresholds])


class Arrival(NamedTuple):
    """Seconds from the start of the plan; `ended` is when it was answered."""

    due: float
    ended: float


def served(rate: float, capacity: float, stalls: Sequence[tuple[float, float]] = ()) -> list[Arrival]:
    """One queue in order, `capacity` a second, evenly spaced arrivals; it stands still in each of `stalls`."""
    arrivals, free = [], 0.0
    for k in range(round(rate * (WARMUP_S + STAGE_S))):
        begun = max(k / rate, free)
        for since, until in stalls:
            if since <= begun < until:
                begun = until
        free = begun + 1 / capacity
        arrivals.append(Arrival(k / rate, free))
    return arrivals


def seconds(rate: float, arrivals: Sequence[Arrival], over_us: Sequence[int]) -> Iterator[dict[str, Any]]:
    """The lines of progress, made by the statistics themselves."""
    stats = RunStats()
    in_second: dict[int, list[Arrival]] = {}
    for arrival in arrivals:
        in_second.setdefault(int(arrival.ended), []).append(arrival)
    for second in range(WARMUP_S + STAGE_S):
        ended = in_second.get(second, [])
        period = "measure" if second >= WARMUP_S else "warmup"
        for phase in ("warmup", "measure"):
            counter = RequestCounter()
            for arrival in ended:
                if (arrival.due >= WARMUP_S) == (phase == "measure"):
                    counter.planned += 1
                    us = round((arrival.ended - arrival.due) * 1e6)
                    counter.complete_planned(us, us, 0)
            stats.add(
                Interval(
                    second, phase, {"message": RequestTotals.of(counter)} if counter.used else {}, period
                )
            )
        line: dict[str, Any] = {"requests": {"message": {"ok": len(ended)}}, "planned": rate}
        if second >= WARMUP_S:
            line |= {"measured_s": second + 1.0 - WARMUP_S, "so_far": stats.measured_so_far(over_us)}
        yield line


def outcome(
    rate: float, arrivals: Sequence[Arrival], limit_us: float, until_s: float
) -> tuple[Outcome, float]:
    """As `stages` judges it, measured until then; and the rate that was achieved."""
    end = WARMUP_S + until_s
    times = sorted((a.ended - a.due) * 1e6 for a in arrivals if WARMUP_S <= a.due < end)
    answered = sum(WARMUP_S <= a.ended < end for a in arrivals) / until_s
    p99 = times[max(0, -(-len(times) * 99 // 100) - 1)]
    holds = p99 < limit_us and answered >= min(ACHIEVED_MIN * rate, rate - 2 / until_s)
    return (Outcome.HOLDS if holds else Outcome.BREAKS), answered


def watched(watch: EarlyStop, lines: Iterator[dict[str, Any]]) -> tuple[float, str] | None:
    """When it was ended, in measured seconds, and why; None: it was not."""
    for line in lines:
        if why := watch.check(line):
            return line["measured_s"], why
    return None


stalls = st.lists(st.tuples(st.floats(0, 12), st.floats(0.05, 9)), max_size=3)


@given(
    rate=st.integers(20, 150),
    load=st.floats(0.3, 3),
    limit_ms=st.integers(5, 3000),
    stalled=stalls,
)
def test_what_is_ended_early_would_not_have_held(
    rate: int, load: float, limit_ms: int, stalled: list[tuple[float, float]]
) -> None:
    """Whatever the load, the threshold, and whenever the service stands still in between."""
    arrivals = served(rate, rate / load, [(since, since + length) for since, length in stalled])
    for thresholds in ((f"message.p99<{limit_ms}ms", "errors=0"), ("errors=0",)):
        watch = watch_of(rate, *thresholds)
        limit_us = limit_ms * 1e3 if len(thresholds) > 1 else float("inf")
        if watched(watch, seconds(rate, arrivals, watch.over_us)) is not None:
            assert outcome(rate, arrivals, limit_us, STAGE_S)[0] is Outcome.BREAKS


@given(capacity=st.floats(25, 120), limit_ms=st.integers(20, 500))
@settings(max_examples=30)
def test_a_search_that_ends_stages_early_finds_the_same(capacity: float, limit_ms: int) -> None:
    """The same loads are asked, and the same is found."""
    found = []
    for early in (False, True):
        search, asked = Search(20, 150, 40, 0.05), []
        while search.probe is not None:
            rate = search.probe.load
            arrivals = served(rate, capacity)
            watch = watch_of(rate, f"message.p99<{limit_ms}ms", "errors=0")
            ended = watched(watch, seconds(rate, arrivals, watch.over_us)) if early else None
            until_s, why = ended or (STAGE_S, "")
            said, answered = outcome(rate, arrivals, limit_ms * 1e3, until_s)
            row = {"rate_achieved": answered}
            run = document(rate=rate, row=row, ended_early=why, verdict="fail" if why else "pass")
            stage = stage_of(1, "", search.probe, run, "rate", watch.at_best)
            asked.append(search.probe)
            search.record(said, clear=is_clear(stage))
        found.append((search.found, search.broke_at, [p.load for p in asked if not p.repeat]))
    assert found[0] == found[1]


def test_twice_too_much_is_seen_in_two_seconds_and_needs_no_repeat() -> None:
    """What it reaches at its best pace is so little that no noise explains it."""
    arrivals = served(200, 100)
    watch = watch_of(200, "message.p99<100ms")
    ended = watched(watch, seconds(200, arrivals, watch.over_us))
    assert ended is not None
    assert ended[0] <= 3
    assert ended[1].startswith("ended after 2s of 10s: ")
    assert watch.at_best is not None
    assert watch.at_best < CLEARLY_SHORT * 200
    run = document(rate=200.0, row={"rate_achieved": 100.0}, ended_early=ended[1], verdict="fail")
    stage = stage_of(1, "", Probe(200, Purpose.RANGE), run, "rate", watch.at_best)
    assert (stage.outcome, stage.why[0], is_clear(stage)) == ("breaks", ended[1], True)


def test_without_a_percentile_what_piles_up_is_seen() -> None:
    """Three times as much as it can: no pace that it showed, not even twice as fast, reaches the plan."""
    arrivals = served(300, 100)
    watch = watch_of(300, "errors=0")
    ended = watched(watch, seconds(300, arrivals, watch.over_us))
    assert ended is not None
    assert "never more than 10" in ended[1]
    watch = watch_of(150, "errors=0")  # twice as fast from now on, it could still do it: for a while
    ended = watched(watch, seconds(150, served(150, 100), watch.over_us))
    assert ended is not None
    assert ended[0] > STAGE_S / 2


def line(measured_s: float, **counts: Any) -> dict[str, Any]:
    row = {"answered": 0, "failed": 0, "dropped": 0, "late": 0, "censored": 0, "over": [0]} | counts
    brief = {"message": {"ok": 100}}
    return {"requests": brief, "planned": 100.0, "measured_s": measured_s, "so_far": {"message": row}}


@pytest.mark.parametrize(
    ("threshold", "counts", "why"),
    [
        ("errors=0", {"failed": 1}, "errors=0: 1 have failed already"),
        ("message.errors<=0", {"failed": 2}, "message.errors<=0: 2 have failed already"),
        ("errors<1%", {"failed": 1}, None),
        ("errors=0", {"dropped": 3}, "3 arrivals were dropped"),
        ("late<5", {"late": 4}, None),
        ("late<5", {"late": 5}, "late<5: 5 are late already"),
        ("late>5", {"late": 9}, None),
        ("message.max<1ms", {"over": [1]}, "message.max<1ms: 1 were slower, at most 0 may"),
        ("message.p99<1ms", {"over": [10]}, None),  # of at most 1001: ten may
        ("message.p99<1ms", {"over": [11]}, "message.p99<1ms: 11 were slower, at most 10 may"),
        ("message.p50<=1ms", {"over": [11]}, None),
        ("message.p99>1ms", {"over": [11]}, None),
        ("message.p99_9<1ms", {"over": [11]}, None),  # there are too few for one in the end
    ],
)
def test_what_can_still_be_kept_is_not_given_up(
    threshold: str, counts: dict[str, int], why: str | None
) -> None:
    """One more or less decides; and nothing is ended before there is evidence, or when it is all but over."""
    for measured_s, ends in ((1.0, False), (3.0, True), (9.0, False)):
        watch = watch_of(100, threshold)
        said = watch.check(line(measured_s, **counts))
        expected = why and ends and f"ended after {measured_s:.0f}s of 10s: {why}"
        assert said == (expected or None)


def test_held_connections_are_given_up_for_what_is_certain_alone() -> None:
    """Of twenty with a heartbeat a second there are 220 at most: the third that takes too long is one too many."""
    held = RunSettings(serve=[], connections=20, pacing_s=1.0, warmup_s=2, duration_s=10)
    for over, ends in ((2, False), (3, True)):
        watch = EarlyStop(held, [parse_threshold("message.p99<=1ms", REQUESTS)])
        assert watch.over_us == [1001]
        event = line(4.0, over=[over]) | {"planned": None}
        assert bool(watch.check(event)) == ends
        assert watch.at_best is None


def test_chance_may_plan_more_than_the_mean() -> None:
    """Of Poisson arrivals there may be some more, so that some more may take too long."""
    even = watch_of(100, "message.p99<1ms")
    chance = watch_of(100, "message.p99<1ms", arrivals="poisson")
    assert even.check(line(3.0, over=[11])) is not None
    assert chance.check(line(3.0, over=[11])) is None
    assert chance.check(line(3.0, over=[14])) is not None
