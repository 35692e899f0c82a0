"""How a service ends, step by step: requests grow stronger only, and each bound is kept to the tenth of a second."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procserver import messages as m
from procserver.crew import Crew, Life
from procserver.layout import BUSY, IDLE
from procserver.stopping import CUT_AGAIN_S, QUICK_S, RETIRE_AGAIN_S, STORM_S, Stopping

GRACEFUL, QUICK, NOW = m.Stop.GRACEFUL, m.Stop.QUICK, m.Stop.NOW
T0 = 100.0


def request(mode: m.Stop = GRACEFUL, code: int = 0) -> m.StopRequested:
    return m.StopRequested(mode, "asked", code)


def stopping(
    mode: m.Stop = GRACEFUL, *, delay: float = 0.0, graceful: float = 30.0, code: int = 0
) -> Stopping:
    return Stopping(request(mode, code), T0, drain_delay_s=delay, graceful_s=graceful)


def crew_of(size: int) -> Crew:
    crew = Crew(size)
    for slot in crew.ask(size, 1, T0 - 10):
        entry = crew.get(slot)
        assert entry is not None
        entry.life = Life.STARTING
    crew.learn({slot: m.Sight(IDLE, slot) for slot in range(size)}, T0 - 5)
    return crew


@pytest.mark.parametrize(
    ("mode", "begins", "ends"),
    [(GRACEFUL, 7.0, 37.0), (QUICK, 0.0, QUICK_S), (NOW, 0.0, 0.0)],
)
def test_when_it_stops_accepting_and_when_it_cuts(mode: m.Stop, begins: float, ends: float) -> None:
    stop = stopping(mode, delay=7.0)
    assert stop.begins == T0 + begins
    assert stop.ends == T0 + ends
    assert stop.accepting(T0 + begins - 0.01)
    assert not stop.accepting(T0 + begins)


@pytest.mark.parametrize(
    ("first", "second", "after_s", "mode", "told"),
    [
        (GRACEFUL, GRACEFUL, STORM_S / 2, GRACEFUL, False),  # a storm is one request
        (GRACEFUL, GRACEFUL, STORM_S, QUICK, True),  # the same again: faster
        (GRACEFUL, QUICK, 0.0, QUICK, True),  # a stronger one counts at once
        (QUICK, GRACEFUL, 0.0, QUICK, False),  # never weaker
        (QUICK, GRACEFUL, STORM_S, NOW, True),
        (NOW, NOW, 10.0, NOW, False),
        (NOW, GRACEFUL, 10.0, NOW, False),
    ],
)
def test_a_second_request(first: m.Stop, second: m.Stop, after_s: float, mode: m.Stop, told: bool) -> None:
    stop = stopping(first)
    assert bool(stop.request(request(second), T0 + after_s)) == told
    assert stop.mode == mode


def test_a_second_request_does_not_wait_for_the_first_one_s_delay() -> None:
    stop = stopping(delay=60.0)
    assert stop.accepting(T0 + 2.0)
    stop.request(request(), T0 + 2.0)
    assert not stop.accepting(T0 + 2.0)
    assert stop.ends == T0 + 2.0 + QUICK_S


@given(st.lists(st.tuples(st.sampled_from(m.Stop), st.floats(0, 3)), max_size=8), st.floats(0, 5))
def test_a_stop_never_grows_weaker_or_later(requests: list[tuple[m.Stop, float]], delay: float) -> None:
    stop, now = stopping(delay=delay), T0
    for mode, pause_s in requests:
        now += pause_s
        before = stop.mode, -stop.begins, -stop.ends
        stop.request(request(mode), now)
        assert all(a >= b for a, b in zip((stop.mode, -stop.begins, -stop.ends), before, strict=True))


def test_first_it_freezes_then_all_are_told_to_leave() -> None:
    stop, crew = stopping(), crew_of(2)
    assert stop.drive(crew, T0) == [m.Freeze(), m.Retire(0), m.Retire(1)]
    assert stop.drive(crew, T0 + RETIRE_AGAIN_S / 2) == []
    assert stop.drive(crew, T0 + RETIRE_AGAIN_S * 1.01) == [m.Retire(0), m.Retire(1)]
    crew.learn({0: m.Sight(BUSY, 0, stop_seen=True)}, T0)
    assert stop.drive(crew, T0 + RETIRE_AGAIN_S * 2.02) == [m.Retire(1)]


def test_who_is_left_at_the_end_is_killed_and_killed_again() -> None:
    """SIGKILL cannot be lost, but the order to send it can come before the child is ours."""
    stop, crew = stopping(graceful=1.0), crew_of(1)
    stop.drive(crew, T0)
    assert not [c for c in stop.drive(crew, T0 + 0.99) if isinstance(c, m.Kill)]
    assert stop.drive(crew, T0 + 1.0) == [m.Kill(0, "stop")]
    assert stop.drive(crew, T0 + 1.0 + CUT_AGAIN_S / 2) == []
    assert stop.drive(crew, T0 + 1.0 + CUT_AGAIN_S) == [m.Kill(0, "stop")]


@pytest.mark.parametrize(
    ("code", "cut", "expected", "said"),
    [
        (0, 0, 0, "asked"),
        (0, 2, 3, "asked; 2 conversations were cut"),
        (1, 0, 1, "asked"),
        (2, 1, 2, "asked; 1"),
    ],
)
def test_the_exit_code(code: int, cut: int, expected: int, said: str) -> None:
    """0 asked for and clean, 3 when a conversation was cut, else what the failure that ended it calls for."""
    stop = stopping(code=code)
    stop.cut = cut
    commands = stop.drive(Crew(1), T0)
    assert commands[:2] == [m.Freeze(), m.Release()]
    assert isinstance(commands[2], m.Leave)
    assert commands[2].code == expected
    assert commands[2].reason.startswith(said)


@given(st.floats(0, 100), st.sampled_from(m.Stop), st.floats(0, 5))
def test_it_is_always_looked_at_again_soon_and_never_in_a_spin(
    after_s: float, mode: m.Stop, delay: float
) -> None:
    stop = stopping(mode, delay=delay)
    now = T0 + after_s
    assert now < stop.wake_at(now) <= max(stop.begins, now + RETIRE_AGAIN_S)
