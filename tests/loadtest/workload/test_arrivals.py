"""The plan: whole whatever the number of processes, the same for the same seed, at the rate that was asked."""

import math
from itertools import islice, pairwise, takewhile
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.workload.arrivals import Profile, Timetable, Turns, plan, profile_of
from loadtest.workload.scenarios import SCENARIOS

kinds = st.sampled_from(["constant", "poisson"])


seeds = st.integers(0, 2**63 - 1)


rates = st.floats(0.5, 5000)


shapes = st.sampled_from([scenario.shape for scenario in SCENARIOS.values()])


knots = st.lists(
    st.tuples(st.floats(0, 60), st.one_of(st.just(0.0), st.floats(0.01, 1000))), min_size=1, max_size=6
).map(lambda found: sorted(found, key=lambda knot: knot[0]))


def due(profile: Profile, kind: str, seed: int, until_s: float, share: int = 0, of: int = 1) -> list[float]:
    arrivals = plan(profile, kind, Random(seed), share=share, of=of)
    return list(takewhile(lambda t: t < until_s, islice(arrivals, 20_000)))


@given(rates, kinds, seeds, shapes, st.integers(1, 7))
def test_the_shares_are_disjoint_and_together_the_whole(
    rate: float, kind: str, seed: int, shape: tuple[tuple[float, float], ...], processes: int
) -> None:
    """Arrival k is process k mod n's, to the last bit: any number of processes plan the same arrivals."""
    profile = profile_of(rate, shape, 0.5, 2.0)
    whole = list(islice(plan(profile, kind, Random(seed)), 500))
    for share in range(processes):
        own = islice(
            plan(profile, kind, Random(seed), share=share, of=processes), len(whole[share::processes])
        )
        assert list(own) == whole[share::processes]


@given(rates, kinds, seeds, shapes)
def test_the_same_seed_is_the_same_plan_and_time_runs_forward(
    rate: float, kind: str, seed: int, shape: tuple[tuple[float, float], ...]
) -> None:
    """A run can be made again, and another seed is another Poisson plan."""
    profile = profile_of(rate, shape, 0.5, 2.0)
    first = due(profile, kind, seed, 2.5)
    assert first == due(profile, kind, seed, 2.5)
    assert all(earlier <= later for earlier, later in pairwise(first))
    assert all(t >= 0 for t in first)
    if kind == "poisson" and first:
        assert first != due(profile, kind, seed ^ 1, 2.5)


@given(knots, st.floats(0, 80))
def test_evenly_spaced_arrivals_are_as_many_as_the_area_under_the_rate(
    found: list[tuple[float, float]], until_s: float
) -> None:
    """Arrival k comes when k have been due: never one too many, never one too few."""
    profile = Profile(found)
    planned = profile.cumulative(until_s)
    if planned < 15_000:
        assert abs(len(due(profile, "constant", 1, until_s)) - planned) <= 1 + 1e-6 * planned


@given(knots, st.lists(st.floats(0, 100_000), min_size=1, max_size=20).map(sorted))
def test_moments_invert_the_cumulative_rate(found: list[tuple[float, float]], numbers: list[float]) -> None:
    """Where the rate is, `cumulative(moment(n)) == n`; they end only where it stays at zero."""
    profile = Profile(found)
    moments = list(profile.moments(numbers))
    for n, t in zip(numbers, moments, strict=False):
        assert profile.cumulative(t) == pytest.approx(n, rel=1e-6, abs=1e-4)
    if len(moments) < len(numbers):
        assert found[-1][1] == 0
        assert profile.cumulative(math.nextafter(found[-1][0], math.inf)) <= numbers[len(moments)] + 1e-9


@given(seeds)
def test_poisson_arrivals_have_the_rate_and_the_spread_of_their_kind(seed: int) -> None:
    """Count within five standard deviations of the area; gaps as scattered as their mean."""
    found = due(Profile([(0.0, 400.0)]), "poisson", seed, 10.0)
    assert abs(len(found) - 4000) < 5 * math.sqrt(4000)
    gaps = [later - earlier for earlier, later in pairwise(found)]
    mean = sum(gaps) / len(gaps)
    spread = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps))
    assert 0.85 < spread / mean < 1.15


def test_a_test_without_an_end_has_a_plan_without_an_end() -> None:
    """By hand, Locust is not told how long: the rate stays."""
    profile = profile_of(10.0, SCENARIOS["steady"].shape, 0.0, None)
    assert list(islice(plan(profile, "constant", Random(1)), 3)) == pytest.approx([0.0, 0.1, 0.2])
    assert profile.cumulative(1e6) == pytest.approx(1e7)


@pytest.mark.parametrize(
    "bad", [[], [(1.0, 1.0), (0.0, 1.0)], [(0.0, -1.0)], [(0.0, math.nan)], [(0.0, math.inf)]]
)
def test_what_is_no_profile_is_refused(bad: list[tuple[float, float]]) -> None:
    """Before it becomes a plan."""
    with pytest.raises(ValueError, match=r"knots need times|a rate is a number"):
        Profile(bad)


@given(st.floats(0.1, 1000), st.integers(1, 8), st.integers(1, 40))
def test_turns_of_all_processes_are_evenly_spaced(per_s: float, processes: int, users: int) -> None:
    """Users that exist from the start connect `1 / per_s` apart, whoever's they are."""
    turns = [Turns(per_s, 100.0, share=i, of=processes) for i in range(processes)]
    moments = sorted(t.take(100.0) for t in turns for _ in range(users))
    assert moments == pytest.approx([100.0 + k / per_s for k in range(processes * users)])


def test_users_that_come_late_do_not_come_in_a_crowd() -> None:
    """Turns that nobody took are gone."""
    turns = Turns(10.0, 0.0)
    assert [turns.take(5.0) for _ in range(3)] == pytest.approx([5.0, 5.1, 5.2])


def test_what_is_measured_begins_when_every_connection_was_asked_for() -> None:
    """Whichever is later: the end of the warm-up, or the last turn to connect."""
    quick = Timetable(started=1000.0, connections=50, connects_per_s=500.0, warmup_s=2.0, measure_s=20.0)
    assert quick.plan_from == pytest.approx(1000.355)
    assert (quick.measure_from, quick.measure_to) == pytest.approx((1002.0, 1022.0))
    slow = quick._replace(connections=5000)
    assert slow.measure_from == slow.plan_from == pytest.approx(1010.75)
    assert slow._replace(measure_s=None).measure_to is None
