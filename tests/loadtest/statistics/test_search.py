"""The search for capacity: within precision of an exact limit, and bounded whatever it is told."""

import itertools
import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.statistics.search import PROBES_MAX, STEPS_DOWN_MAX, Outcome, Probe, Purpose, Search

HOLDS, BREAKS, LIMITED, INVALID = Outcome.HOLDS, Outcome.BREAKS, Outcome.LIMITED, Outcome.INVALID

precisions = st.floats(0.005, 0.5)


def driven(search: Search, oracle: Callable[[Probe], Outcome]) -> list[tuple[Probe, Outcome]]:
    """The whole search, against an oracle; it fails if it does not end in time."""
    asked: list[tuple[Probe, Outcome]] = []
    for _ in range(Search.stages_max(search.low, search.high, search.precision)):
        if search.probe is None:
            return asked
        answer = oracle(search.probe)
        asked.append((search.probe, answer))
        search.record(answer)
    assert search.probe is None, f"not at an end after {len(asked)} stages"
    return asked


def up_to(limit: float) -> Callable[[Probe], Outcome]:
    return lambda probe: HOLDS if probe.load <= limit else BREAKS


def noisy(limit: float, rng: random.Random) -> Callable[[Probe], Outcome]:
    return lambda probe: BREAKS if probe.load > limit or rng.random() < 0.05 else HOLDS


@given(
    low=st.floats(0.5, 100),
    span=st.floats(1, 1e5),
    at=st.floats(0, 1),
    limit_at=st.floats(0, 1),
    p=precisions,
)
def test_an_exact_limit_is_found_within_the_precision(
    low: float, span: float, at: float, limit_at: float, p: float
) -> None:
    """Wherever the range, the start and the limit are."""
    high = low * span
    start, limit = min(high, low * span**at), min(high, low * span**limit_at)
    search = Search(low, high, start, p)
    driven(search, up_to(limit))
    assert search.found is not None
    assert search.found <= limit
    assert search.found * (1 + p) * 1.001 >= limit  # loads are given in four digits
    assert (search.broke_at is None) == (search.found == high)


@given(low=st.integers(1, 50), span=st.integers(0, 20_000), data=st.data(), p=precisions)
def test_whole_loads_are_found_to_the_last_one_if_need_be(
    low: int, span: int, data: st.DataObject, p: float
) -> None:
    """Connections are asked in whole numbers, and the limit is missed by the precision or by none."""
    high = low + span
    start, limit = data.draw(st.integers(low, high)), data.draw(st.integers(low, high))
    search = Search(low, high, start, p, whole=True)
    asked = driven(search, up_to(limit))
    assert all(probe.load == int(probe.load) for probe, _ in asked)
    assert search.found is not None
    assert limit / (1 + p) - 1 <= search.found <= limit


@given(
    low=st.floats(0.5, 100),
    span=st.floats(1, 1e4),
    at=st.floats(0, 1),
    p=precisions,
    whole=st.booleans(),
    factor=st.floats(1.05, 2),
    rng=st.randoms(use_true_random=False),
    weights=st.lists(st.integers(0, 5), min_size=4, max_size=4).filter(any),
)
def test_whatever_it_is_told_it_stays_in_the_range_and_ends(
    low: float,
    span: float,
    at: float,
    p: float,
    whole: bool,
    factor: float,
    rng: random.Random,
    weights: list[int],
) -> None:
    """Answers that make no sense cost a bounded number of stages; nothing is found that was not confirmed."""
    if whole:
        low, span = math.ceil(low), math.ceil(span)
    high = low * span
    start = min(high, max(low, round(low * span**at) if whole else low * span**at))
    search = Search(low, high, start, p, whole=whole, factor=factor)
    asked = driven(search, lambda _: rng.choices(list(Outcome), weights)[0])
    assert all(low <= probe.load <= high for probe, _ in asked)
    last, answer = asked[-1]
    if search.found is not None:
        assert (last.purpose, last.load, answer) == (Purpose.CONFIRM, search.found, HOLDS)
    assert all(load_of == probe.load for (probe, _), load_of in zip(asked[1:], repeats(asked), strict=True))


def repeats(asked: list[tuple[Probe, Outcome]]) -> list[float]:
    """The load of each probe after the first, as it must be if it is a repeat: that of the one before."""
    pairs = itertools.pairwise(asked)
    return [before.load if probe.repeat else probe.load for (before, _), (probe, _) in pairs]


@given(limit=st.floats(20, 5000), seed=st.integers(0, 10_000))
def test_noise_that_breaks_good_loads_now_and_then_does_not_mislead(limit: float, seed: int) -> None:
    """One stage in twenty breaks for no reason; what is found held twice, once for long, and is not above the limit."""
    rng = random.Random(seed)
    search = Search(10, 10_000, 100, 0.05)
    driven(search, noisy(limit, rng))
    assert search.found is None or search.found <= limit


def test_noise_costs_repeats_not_precision() -> None:
    """Of many searches with one stray break in twenty, nearly all end within the precision."""
    rng = random.Random(7)
    near = 0
    for _ in range(300):
        search = Search(10, 10_000, 100, 0.05)
        limit = rng.uniform(20, 5000)
        driven(search, noisy(limit, rng))
        near += search.found is not None and search.found * 1.0501 >= limit
    assert near >= 285


def test_a_break_is_asked_again_and_the_second_answer_counts() -> None:
    """A stray break costs one stage."""
    search = Search(10, 1000, 100, 0.05)
    search.record(BREAKS)
    assert search.probe == Probe(100, Purpose.RANGE, repeat=True)
    search.record(HOLDS)
    assert search.probe == Probe(200, Purpose.RANGE)
    search.record(BREAKS, clear=True)
    assert search.probe == Probe(141.4, Purpose.BISECT)


@pytest.mark.parametrize("answers", [(BREAKS, INVALID), (INVALID, BREAKS)])
def test_an_invalid_answer_weighs_nothing_against_a_valid_one(answers: tuple[Outcome, Outcome]) -> None:
    """Whichever of the two comes first."""
    search = Search(10, 1000, 100, 0.05)
    for answer in answers:
        search.record(answer)
    assert (search.broke_at, search.broke_by) == (100, BREAKS)


def test_invalid_answers_end_the_search() -> None:
    """It does not go on with what it does not know."""
    search = Search(10, 1000, 100, 0.05)
    search.record(HOLDS)
    for _ in range(PROBES_MAX):
        assert search.probe is not None
        search.record(INVALID)
    assert (search.probe, search.found) == (None, None)
    assert "no valid answer" in search.unsure


def test_a_generator_that_was_held_up_once_is_asked_again() -> None:
    """Twice if need be: others may have taken its CPU; a third time it is its limit."""
    search = Search(10, 1000, 100, 0.05)
    search.record(LIMITED)
    search.record(LIMITED)
    search.record(HOLDS)
    assert search.probe == Probe(200, Purpose.RANGE)
    for _ in range(PROBES_MAX):
        search.record(LIMITED)
    assert (search.broke_at, search.broke_by, search.proved_at) == (200, LIMITED, None)


def test_the_least_load_that_was_proved_to_break_is_remembered() -> None:
    """Below it the generator may have been the limit."""
    search = Search(10, 10_000, 100, 0.05)
    driven(search, lambda p: HOLDS if p.load <= 150 else LIMITED if p.load < 190 else BREAKS)
    assert (search.broke_by, search.proved_at) == (LIMITED, 200)


def test_the_lowest_load_that_breaks_is_an_answer_but_not_if_the_generator_was_the_limit() -> None:
    """None holds: known. The generator cannot do the least: unknown."""
    search = Search(10, 1000, 20, 0.05)
    asked = driven(search, lambda _: BREAKS)
    assert [probe.load for probe, _ in asked] == [20, 20, 10, 10]
    assert (search.found, search.unsure) == (None, "")
    search = Search(10, 1000, 10, 0.05)
    driven(search, lambda _: LIMITED)
    assert (search.found, bool(search.unsure)) == (None, True)


def test_what_the_generator_cannot_do_bounds_the_search() -> None:
    """The service holds all that could be asked of it, and the answer says that more was not tried."""
    search = Search(10, 100_000, 100, 0.05)
    driven(search, lambda probe: HOLDS if probe.load <= 700 else LIMITED)
    assert search.found is not None
    assert 700 / 1.051 <= search.found <= 700
    assert search.broke_by is LIMITED


def test_a_confirmation_that_breaks_is_tried_lower_so_often_and_no_more() -> None:
    """Each step is one of the precision; then it gives up, and says so."""
    search = Search(10, 1000, 100, 0.05)
    asked = driven(search, lambda p: BREAKS if p.purpose is Purpose.CONFIRM or p.load > 100 else HOLDS)
    confirmed = [probe.load for probe, _ in asked if probe.purpose is Purpose.CONFIRM and not probe.repeat]
    assert len(confirmed) == STEPS_DOWN_MAX + 1
    assert all(later == pytest.approx(load / 1.05, rel=1e-3) for load, later in itertools.pairwise(confirmed))
    assert search.found is None
    assert "unsteady" in search.unsure


def test_a_lower_confirmation_counts() -> None:
    """The longer stage holds only at 95: that is found, and the load above it is known to break."""
    search = Search(10, 1000, 100, 0.05)
    driven(search, lambda p: HOLDS if p.load <= (95 if p.purpose is Purpose.CONFIRM else 100) else BREAKS)
    assert search.found is not None
    assert 90 < search.found <= 95
    assert search.broke_at is not None
    assert search.broke_at <= search.found * 1.0501


def test_the_stages_left_count_down_to_none() -> None:
    """The estimate never grows once both ends are known, if nothing is repeated."""
    search = Search(10, 10_000, 100, 0.05)
    lefts = []
    while (probe := search.probe) is not None:
        if search.broke_at is not None:
            lefts.append(search.left(3))
        search.record(up_to(777)(probe), clear=True)
    assert lefts == sorted(lefts, reverse=True)
    assert search.left(3) == 0


def test_a_first_step_may_be_small() -> None:
    """Near a limit that is all but known, the first steps are small and grow."""
    search = Search(1, 10_000, 100, 0.05, factor=1.2)
    asked = driven(search, up_to(500))
    assert [probe.load for probe, _ in asked[:4]] == [100, 120, 172.8, 345.6]
