"""Slots: the time of two runs does not overlap, none of it is lost to a plan, and a pace stays the pace."""

from itertools import accumulate, islice, pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from loadtest.workload.arrivals import Timetable, plan, planned_of
from loadtest.workload.scenarios import SCENARIOS
from loadtest.workload.time_slots import SLOT_MAX_S, SLOT_MIN_S, Slots

slots = st.builds(Slots, st.floats(SLOT_MIN_S, SLOT_MAX_S), st.sampled_from([0, 1]))
times = st.floats(0, 3600)
NEAR_S = 1e-6


def slot_of(slot_s: float, elapsed_s: float) -> int:
    return int(elapsed_s // slot_s) % 2


@given(slots, times)
def test_what_is_begun_is_begun_in_the_runs_own_slots(own: Slots, own_s: float) -> None:
    """Each moment of own time is one of the clock, in a slot of the run's own, and leads back to itself."""
    elapsed_s = own.elapsed(own_s)
    assert slot_of(own.slot_s, elapsed_s + NEAR_S) == own.number
    assert own.wait_s(elapsed_s + NEAR_S) == 0
    assert abs(own.own(elapsed_s) - own_s) < NEAR_S


@given(slots, times)
def test_who_waits_begins_when_the_own_time_goes_on(own: Slots, elapsed_s: float) -> None:
    """Between its slots a run's time stands still, and the wait leads to where it goes on."""
    wait_s = own.wait_s(elapsed_s)
    assert 0 <= wait_s < 2 * own.slot_s
    assert abs(own.own(elapsed_s + wait_s) - own.own(elapsed_s)) < NEAR_S
    if wait_s:
        assert own.own(elapsed_s + wait_s + own.slot_s / 4) > own.own(elapsed_s) + own.slot_s / 8


@given(st.floats(SLOT_MIN_S, SLOT_MAX_S), times)
def test_two_runs_never_begin_anything_at_the_same_time(slot_s: float, elapsed_s: float) -> None:
    """And each has the same share of the time."""
    one, two = Slots(slot_s, 0), Slots(slot_s, 1)
    assert one.wait_s(elapsed_s) or two.wait_s(elapsed_s)
    assert abs(one.own(elapsed_s) - two.own(elapsed_s)) <= slot_s
    assert abs(one.own(2000 * slot_s) / (2000 * slot_s) - one.own_share) < NEAR_S


@given(times)
def test_a_run_alone_has_all_the_time(elapsed_s: float) -> None:
    """Its own time is the clock's, and nothing waits."""
    alone = Slots()
    assert alone.own(elapsed_s) == alone.elapsed(elapsed_s) == elapsed_s
    assert alone.wait_s(elapsed_s) == 0
    assert alone.paced(elapsed_s, 0.25, 0.9) == elapsed_s + 0.25


@given(slots, st.floats(0.001, 0.5), st.integers(0, 2**32))
def test_a_users_pace_is_kept_in_own_time(own: Slots, pacing_s: float, seed: int) -> None:
    """On average, whether a slot holds hundreds of turns or one in ten slots has one; time runs forward."""
    rng, turns = Random(seed), 3000
    moments = list(accumulate(range(turns), lambda last, _: own.paced(last, pacing_s, rng.random())))
    assert all(later > earlier for earlier, later in pairwise(moments))
    if pacing_s < 0.1 * own.slot_s:  # else chance has its say in so few turns
        assert 0.9 < moments[-1] / (turns * pacing_s) < 1.1


@given(slots, st.sampled_from(["constant", "poisson"]), st.floats(50, 2000), st.integers(0, 2**32))
def test_a_plan_is_whole_and_lies_in_own_slots(own: Slots, kind: str, rate: float, seed: int) -> None:
    """As many arrivals as the rate makes of own time, each in an own slot."""
    table = Timetable(1000.0, 10, 500.0, 1.0, 20 * own.slot_s, *own)
    planned = planned_of(rate, SCENARIOS["steady"].shape, table)
    assert table.measure_to is not None
    lead = planned.between(table.plan_from, table.measure_from)
    expected = planned.between(table.measure_from, table.measure_to)
    assert abs(expected - rate * 20 * own.slot_s * own.own_share) < 1e-6 * rate + 1e-3
    due_ns = planned.moments_ns(plan(planned.profile, kind, Random(seed)), 0)
    arrivals = [at_ns / 1e9 for at_ns in islice(due_ns, round(lead + expected))]
    assert all(slot_of(own.slot_s, at_s + NEAR_S) == own.number for at_s in arrivals)
    if kind == "constant":
        measured = [at_s for at_s in arrivals if at_s + 1000.0 >= table.measure_from - NEAR_S]
        assert abs(len(measured) - expected) <= 2
