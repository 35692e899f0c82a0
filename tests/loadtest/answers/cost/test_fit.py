"""The price of a connection from a ladder's readings: whose memory it is, and when there is no such price."""

from collections.abc import Callable

import pytest

from loadtest.answers.cost.answer import CostAnswer, Spares, Step
from loadtest.answers.cost.fit import fit_all, verdict_of
from loadtest.answers.cost.text import headline

KIB = 1024


WORKER, CONNECTION = 380 * KIB, 90 * KIB


LADDER = [10, 20, 30, 40, 50, 60]


def step(
    connections: int,
    memory: int,
    *,
    processes: int = 3,
    spares: Spares | None = None,
    turns_cost_s: float = 50e-6,
) -> Step:
    """A step of a server in which idling costs 2 ms/s and 3 µs/s for each connection."""
    idle_cpu_s = 2 * (0.002 + 3e-6 * connections)
    return Step(
        connections=connections,
        kept=connections > LADDER[0],
        settled=True,
        settle_s=0.3,
        data_bytes=memory,
        pss_bytes=memory,
        uss_bytes=memory,
        page_tables_bytes=72 * KIB * processes,
        socket_memory_bytes=None,
        fds=40 + processes,
        processes=processes,
        spares=spares,
        made=10,
        made_cpu_s=10 * 700e-6,
        idle_s=2.0,
        idle_cpu_s=idle_cpu_s,
        talk_s=2.0,
        talk_cpu_s=idle_cpu_s + turns_cost_s * 8 * connections,
        turns=8 * connections,
    )


def static() -> list[Step]:
    """Workers that were there before."""
    return [step(n, 50_000 * KIB + n * CONNECTION, processes=103) for n in LADDER]


def elastic() -> list[Step]:
    """A worker comes with each connection; the number of spares is another at each step."""
    found = []
    for n, spare in zip(LADDER, (4, 16, 7, 11, 4, 15), strict=True):
        spares = Spares(spare, spare * WORKER, spare * 72 * KIB, spare)
        memory = 30_000 * KIB + n * (WORKER + CONNECTION) + spares.uss_bytes
        found.append(step(n, memory, processes=3 + n + spare, spares=spares))
    return found


@pytest.mark.parametrize("pool", [static, elastic])
def test_worker_and_connection_are_told_apart(pool: Callable[[], list[Step]]) -> None:
    """Whether the slope has the worker in it or not: both parts come out, however the spares come and go."""
    _, lines, parts = fit_all(pool(), [WORKER, WORKER])
    assert parts is not None
    assert parts.pool == pool.__name__
    assert parts.worker_bytes == WORKER
    assert parts.connection_bytes == pytest.approx(CONNECTION, rel=1e-6)
    assert parts.both_bytes == pytest.approx(WORKER + CONNECTION, rel=1e-6)
    assert parts.connection_low == pytest.approx(CONNECTION, rel=1e-6)
    assert lines["processes"].slope == pytest.approx(1 if pool is elastic else 0)
    assert verdict_of(pool(), lines, parts, []) == ("answered", [], [])


def test_cpu_is_told_apart_for_connecting_idling_and_turns() -> None:
    """By what the same connections cost while they say nothing."""
    _, lines, _ = fit_all(static(), [WORKER])
    assert lines["cpu_connect"].slope == pytest.approx(700)
    assert lines["cpu_idle"].slope == pytest.approx(3)
    assert lines["cpu_turn"].slope == pytest.approx(50)
    assert "socket_memory" not in lines


def test_what_is_no_line_has_no_price() -> None:
    """Memory that grows with the square: the answer is that there is none."""
    steps = [step(n, 50_000 * KIB + n * n * KIB * 10, processes=103) for n in LADDER]
    _, lines, parts = fit_all(steps, [])
    verdict, reasons, notes = verdict_of(steps, lines, parts, [])
    assert verdict == "not linear"
    assert "bends away from the line" in reasons[0]
    assert any("the memory of a fresh one is not known" in note for note in notes)


def test_trouble_is_stronger_than_any_number() -> None:
    """A connection that was lost while it was held: nothing is claimed."""
    steps = static()
    _, lines, parts = fit_all(steps, [WORKER])
    verdict, reasons, _ = verdict_of(steps, lines, parts, ["a connection was lost"])
    assert (verdict, reasons) == ("invalid", ["a connection was lost"])
    answer = CostAnswer(
        verdict=verdict,
        reasons=reasons,
        notes=[],
        started="",
        took_s=1.0,
        settings={},
        host={},
        steps=steps,
        points={},
        lines=lines,
        parts=parts,
    )
    assert headline(answer) == "these readings are not reliable"


def test_too_few_steps_have_no_slope() -> None:
    """A ladder that broke off: no line, and it says so."""
    steps = static()[:4]
    points, lines, parts = fit_all(steps, [])
    assert (points, lines, parts) == ({}, {}, None)
    assert verdict_of(steps, lines, parts, [])[0] == "invalid"


def test_unsettled_steps_and_mixed_pools_are_told() -> None:
    """What a reader must know stands beside the answer."""
    steps = static()
    steps[3].settled = False
    for i, one in enumerate(steps):
        one.processes += 3 * i
    _, lines, parts = fit_all(steps, [WORKER])
    notes = verdict_of(steps, lines, parts, [])[2]
    assert any("at 40 connections memory was not steady" in note for note in notes)
    assert any("the slope is a mixture" in note for note in notes)
