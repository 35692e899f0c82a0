"""How a service ends, step by step: requests grow stronger only, and each bound is kept to the tenth of a second."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procserver.policy import messages as m
from procserver.policy.shutdown import CUT_AGAIN_S, QUICK_S, REFUSE_S, RETIRE_AGAIN_S, STORM_S, Stopping
from procserver.policy.worker_table import Crew, Life
from procserver.shared.layout import BUSY, IDLE, SEEN_RETIRE, SEEN_STOP

GRACEFUL, QUICK, NOW = m.Stop.GRACEFUL, m.Stop.QUICK, m.Stop.NOW
T0 = 100.0


def request(mode: m.Stop = GRACEFUL, code: int = 0) -> m.StopRequested:
    return m.StopRequested(mode, "asked", code)


def stopping(
    mode: m.Stop = GRACEFUL, *, delay: float = 0.0, graceful: float = 30.0, code: int = 0
) -> Stopping:
    return Stopping(request(mode, code), T0, drain_delay_s=delay, graceful_s=graceful)


def crew_of(size: int, room: int = 0) -> Crew:
    crew = Crew(room or size)
    for slot in crew.ask(size, 1, T0 - 10, lambda: 0):
        entry = crew.get(slot)
        assert entry is not None
        entry.life = Life.STARTING
    crew.learn({slot: m.Sight(IDLE, slot) for slot in range(size)}, T0 - 5)
    return crew


def drive(stop: Stopping, crew: Crew, now: float, queue_depth: int = 0) -> list[m.Command]:
    def fork_one(_at: float) -> list[m.Command]:
        return [m.Fork(1, crew.ask(1, 1, now, lambda: 0))]

    return stop.drive(crew, queue_depth, now, fork_one)


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
    assert drive(stop, crew, T0) == [m.Freeze(), m.Retire(0), m.Retire(1)]
    assert drive(stop, crew, T0 + RETIRE_AGAIN_S / 2) == []
    assert drive(stop, crew, T0 + RETIRE_AGAIN_S * 1.01) == [m.Retire(0), m.Retire(1)]
    crew.learn({0: m.Sight(BUSY, 0, stop_seen=SEEN_STOP), 1: m.Sight(BUSY, 1, stop_seen=SEEN_RETIRE)}, T0)
    assert drive(stop, crew, T0 + RETIRE_AGAIN_S * 2.02) == [m.Retire(1)], (
        "one thought that it alone was to go"
    )


def test_who_is_left_at_the_end_is_killed_and_killed_again() -> None:
    """SIGKILL cannot be lost, but the order to send it can come before the child is ours."""
    stop, crew = stopping(graceful=1.0), crew_of(1)
    drive(stop, crew, T0)
    assert not [c for c in drive(stop, crew, T0 + 0.99) if isinstance(c, m.Kill)]
    assert drive(stop, crew, T0 + 1.0) == [m.Kill(0, "stop")]
    assert drive(stop, crew, T0 + 1.0 + CUT_AGAIN_S / 2) == []
    assert drive(stop, crew, T0 + 1.0 + CUT_AGAIN_S) == [m.Kill(0, "stop")]


def test_who_waits_in_the_queue_when_time_is_up_is_told_why_not() -> None:
    """By a worker made for it, which is not killed with the others, but has an end of its own."""
    stop, crew = stopping(graceful=1.0), crew_of(2, room=3)
    drive(stop, crew, T0)
    commands = drive(stop, crew, T0 + 1.0, queue_depth=3)
    assert commands == [m.Refuse(), m.Fork(1, (2,)), m.Kill(0, "stop"), m.Kill(1, "stop")]
    refuser = crew.get(2)
    assert refuser is not None
    refuser.life = Life.STARTING
    assert m.Kill(2, "stop") not in drive(stop, crew, T0 + 1.1, queue_depth=3)
    assert m.Kill(2, "stop") in drive(stop, crew, T0 + 1.0 + REFUSE_S, queue_depth=3)


def test_a_quick_stop_refuses_at_once() -> None:
    assert drive(stopping(QUICK), crew_of(1), T0)[:2] == [m.Freeze(), m.Refuse()]


@pytest.mark.parametrize(
    ("code", "cut", "expected", "said"),
    [
        (0, 0, 0, "asked"),
        (0, 2, 3, "asked; conversations cut: 2"),
        (1, 0, 1, "asked"),
        (2, 1, 2, "asked; conversations cut: 1"),
    ],
)
def test_the_exit_code(code: int, cut: int, expected: int, said: str) -> None:
    """0 asked for and clean, 3 when a conversation was cut, else what the failure that ended it calls for."""
    stop = stopping(code=code)
    stop.cut = cut
    commands = drive(stop, Crew(1), T0)
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
