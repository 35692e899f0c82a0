"""The clients' count held against the server's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.results import reconciliation
from loadtest.stats.histogram import Histogram
from loadtest.stats.recorder import Interval, RequestTotals
from loadtest.stats.run_stats import RunRecord, RunStats
from loadtest.workload.scenarios import SCENARIOS
from loadtest.workload.workload import WORKLOADS, Workload, workload_of
from tests.support.dialogues import dialogue
from tests.support.run_stats import account, status, window


@given(
    ok=st.integers(0, 50),
    unconfirmed=st.integers(0, 5),
    server=st.integers(0, 60),
    before=st.integers(0, 1000),
)
def test_the_servers_count_lies_between_confirmed_and_sent(
    ok: int, unconfirmed: int, server: int, before: int
) -> None:
    """Equal where all was confirmed; else ok <= server <= ok + unconfirmed; anything else is a difference."""
    books = account(window(1001, "message", ok, unconfirmed))
    found = reconciliation.reconcile(
        books, status(0, before), status(0, before + server), WORKLOADS["greeting"]
    )
    assert found is not None
    assert found["ok"] == (ok <= server <= ok + unconfirmed)
    assert found["exact"] == (ok == server)
    if not found["ok"]:
        assert found["difference"]["messages"] == (server - ok if server < ok else server - ok - unconfirmed)


def test_without_the_servers_account_nothing_is_claimed() -> None:
    """None, and not `ok`."""
    assert reconciliation.reconcile(account(), None, None, WORKLOADS["greeting"]) is None


def reconciled(workload: Workload, server: tuple[int, int], **entries: RequestTotals) -> dict[str, object]:
    stats = RunStats()
    stats.add(Interval(1001, "measure", {name.replace("__", "."): entry for name, entry in entries.items()}))
    account = RunRecord(stats, 1000.0, None, 1001.0, 1005.0, 1005.0, 1, 1, [], [])
    none, after = (
        {"totals": {"connections": connections, "messages": messages}}
        for connections, messages in ((0, 0), server)
    )
    found = reconciliation.reconcile(account, none, after, workload)
    assert found is not None
    return found


def entry(ok: int, failed: int = 0, censored: int = 0, unconfirmed: int = 0) -> RequestTotals:
    return RequestTotals(
        ok=Histogram.of({100: ok} if ok else {}),
        errors={"timed out": failed} if failed else {},
        censored=censored,
        unconfirmed=unconfirmed,
    )


@pytest.mark.parametrize(("server", "ok"), [(4, False), (5, True), (9, True), (11, False)])
def test_without_a_banner_an_answer_is_the_proof_of_a_connection(server: int, ok: bool) -> None:
    """Of ten that the kernel has connected, five were never answered: the server may not have accepted them."""
    workload = workload_of("dialogue", "tcp", dialogue(), None)
    books = {"connect": entry(10), "login": entry(5, failed=3, censored=2, unconfirmed=5), "quit": entry(0)}
    assert reconciled(workload, (server, 5), **books)["ok"] is ok
    greeted = workload_of("dialogue", "tcp", dialogue('expect = "hi"'), None)
    assert reconciled(greeted, (10, 5), **books)["ok"]
    assert not reconciled(greeted, (9, 5), **books)["ok"]


def test_what_is_never_answered_bounds_and_does_not_confirm() -> None:
    """A goodbye without an answer may have been read, or not."""
    workload = workload_of("dialogue", "tcp", dialogue(), None)
    books = {"connect": entry(2), "login": entry(2), "ask": entry(7), "quit": entry(2)}
    assert [reconciled(workload, (2, messages), **books)["ok"] for messages in (8, 9, 11, 12)] == [
        False,
        True,
        True,
        False,
    ]


def test_adversaries_widen_the_bounds_by_what_they_sent() -> None:
    """No more: what nobody sent is a difference all the same."""
    workload = workload_of("greeting", "tcp", None, SCENARIOS["hostile"].beside)
    books = {
        "connect": entry(3),
        "message": entry(30),
        "hostile__connect": entry(4),
        "hostile__unheard": entry(2),
        "hostile__vanish": entry(4, unconfirmed=6),
    }
    for connections, messages, ok in ((7, 30, True), (9, 36, True), (10, 36, False), (9, 37, False)):
        assert reconciled(workload, (connections, messages), **books)["ok"] is ok
