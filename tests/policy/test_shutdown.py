"""How a service ends, step by step: requests grow stronger only, and each bound is kept to the tenth of a second."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procserver.policy.commands import Command, Exit, Fork, Freeze, Kill, KillReason, Refuse, Release, Retire
from procserver.policy.events import StopMode, StopRequested, WorkerSnapshot
from procserver.policy.shutdown import KILL_AGAIN_S, QUICK_S, REFUSE_S, STORM_S, Shutdown
from procserver.policy.worker_table import RETIRE_AGAIN_S, WorkerTable
from procserver.shared.layout import BUSY, IDLE, SEEN_RETIRE, SEEN_STOP

GRACEFUL, QUICK, NOW = StopMode.GRACEFUL, StopMode.QUICK, StopMode.NOW
T0 = 100.0


def request(mode: StopMode = GRACEFUL, code: int = 0) -> StopRequested:
    return StopRequested(mode, "asked", code)


def shutdown(
    mode: StopMode = GRACEFUL, *, delay: float = 0.0, graceful: float = 30.0, code: int = 0
) -> Shutdown:
    return Shutdown(request(mode, code), T0, drain_delay_s=delay, graceful_s=graceful)


def table_of(size: int, room: int = 0) -> WorkerTable:
    table = WorkerTable(room or size, lambda: 0)
    table.fork(size, 1, T0 - 10)
    for entry in table:
        entry.spawned(100 + entry.slot, T0 - 10)
    table.update({slot: WorkerSnapshot(IDLE, slot) for slot in range(size)}, T0 - 5)
    return table


def drive(stop: Shutdown, table: WorkerTable, now: float, queue_depth: int = 0) -> list[Command]:
    def fork_one(_at: float) -> list[Command]:
        return table.fork(1, 1, now)

    return stop.drive(table, queue_depth, now, fork_one)


@pytest.mark.parametrize(
    ("mode", "begins", "ends"),
    [(GRACEFUL, 7.0, 37.0), (QUICK, 0.0, QUICK_S), (NOW, 0.0, 0.0)],
)
def test_when_it_stops_accepting_and_when_it_cuts(mode: StopMode, begins: float, ends: float) -> None:
    stop = shutdown(mode, delay=7.0)
    assert stop.begins == T0 + begins
    assert stop.ends == T0 + ends
    assert stop.accepting(T0 + begins - 0.01)
    assert not stop.accepting(T0 + begins)


@pytest.mark.parametrize(
    ("first", "second", "after_s", "mode", "heeded"),
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
def test_a_second_request(
    first: StopMode, second: StopMode, after_s: float, mode: StopMode, heeded: bool
) -> None:
    stop = shutdown(first)
    assert bool(stop.request(request(second), T0 + after_s)) == heeded
    assert stop.mode == mode


def test_a_second_request_does_not_wait_for_the_first_one_s_delay() -> None:
    stop = shutdown(delay=60.0)
    assert stop.accepting(T0 + 2.0)
    stop.request(request(), T0 + 2.0)
    assert not stop.accepting(T0 + 2.0)
    assert stop.ends == T0 + 2.0 + QUICK_S


@given(st.lists(st.tuples(st.sampled_from(StopMode), st.floats(0, 3)), max_size=8), st.floats(0, 5))
def test_a_stop_never_grows_weaker_or_later(requests: list[tuple[StopMode, float]], delay: float) -> None:
    stop, now = shutdown(delay=delay), T0
    for mode, pause_s in requests:
        now += pause_s
        before = stop.mode, -stop.begins, -stop.ends
        stop.request(request(mode), now)
        assert all(a >= b for a, b in zip((stop.mode, -stop.begins, -stop.ends), before, strict=True))


def test_first_it_freezes_then_all_workers_retire() -> None:
    stop, table = shutdown(), table_of(2)
    assert drive(stop, table, T0) == [Freeze(), Retire(0), Retire(1)]
    assert drive(stop, table, T0 + RETIRE_AGAIN_S / 2) == []
    assert drive(stop, table, T0 + RETIRE_AGAIN_S * 1.01) == [Retire(0), Retire(1)]
    table.update(
        {0: WorkerSnapshot(BUSY, 0, stop_seen=SEEN_STOP), 1: WorkerSnapshot(BUSY, 1, stop_seen=SEEN_RETIRE)},
        T0,
    )
    assert drive(stop, table, T0 + RETIRE_AGAIN_S * 2.02) == [Retire(1)], (
        "it has understood that it retires alone"
    )


def test_a_worker_that_is_left_at_the_end_is_killed_and_killed_again() -> None:
    """SIGKILL cannot be lost, but its order can come before the supervisor knows the child."""
    stop, table = shutdown(graceful=1.0), table_of(1)
    drive(stop, table, T0)
    assert not [c for c in drive(stop, table, T0 + 0.99) if isinstance(c, Kill)]
    assert drive(stop, table, T0 + 1.0) == [Kill(0, KillReason.STOP)]
    assert drive(stop, table, T0 + 1.0 + KILL_AGAIN_S / 2) == []
    assert drive(stop, table, T0 + 1.0 + KILL_AGAIN_S) == [Kill(0, KillReason.STOP)]


def test_clients_in_the_queue_when_time_is_up_are_refused() -> None:
    """By a worker made for it, which is not killed with the others, but has an end of its own."""
    stop, table = shutdown(graceful=1.0), table_of(2, room=3)
    drive(stop, table, T0)
    commands = drive(stop, table, T0 + 1.0, queue_depth=3)
    assert commands == [Refuse(), Fork(1, (2,)), Kill(0, KillReason.STOP), Kill(1, KillReason.STOP)]
    refuser = table.get(2)
    assert refuser is not None
    refuser.spawned(102, T0 + 1.0)
    assert Kill(2, KillReason.STOP) not in drive(stop, table, T0 + 1.1, queue_depth=3)
    assert Kill(2, KillReason.STOP) in drive(stop, table, T0 + 1.0 + REFUSE_S, queue_depth=3)


def test_a_quick_stop_refuses_at_once() -> None:
    assert drive(shutdown(QUICK), table_of(1), T0)[:2] == [Freeze(), Refuse()]


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
    stop = shutdown(code=code)
    stop.cut = cut
    commands = drive(stop, WorkerTable(1, lambda: 0), T0)
    assert commands[:2] == [Freeze(), Release()]
    assert isinstance(commands[2], Exit)
    assert commands[2].code == expected
    assert commands[2].reason.startswith(said)


@given(st.floats(0, 100), st.sampled_from(StopMode), st.floats(0, 5))
def test_it_is_always_looked_at_again_soon_and_never_in_a_spin(
    after_s: float, mode: StopMode, delay: float
) -> None:
    stop = shutdown(mode, delay=delay)
    now = T0 + after_s
    assert now < stop.wake_at(now) <= max(stop.begins, now + RETIRE_AGAIN_S)
