"""The recorder: exact counts, however often they are sent on, in memory that does not grow with time."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from loadtest.stats.recorder import (
    ERRORS_MAX,
    TIMELINE_WINDOWS_MAX,
    Books,
    Entry,
    Histogram,
    Ledger,
    Window,
)

times_us = st.integers(0, 120_000_000)


@given(st.lists(st.tuples(st.sampled_from("ab"), times_us, st.booleans()), max_size=100), st.integers(1, 5))
def test_however_often_the_books_are_closed_nothing_is_lost(
    written: list[tuple[str, int, bool]], every: int
) -> None:
    """Windows cut anywhere, sent as messages and posted in any process add up to the same totals."""
    once, often = Ledger(), Ledger()
    for ledger, step in ((once, len(written) + 1), (often, every)):
        books = Books()
        for i, (name, us, ok) in enumerate(written):
            page = books.page(name)
            if ok:
                page.done(us)
            else:
                page.fail("reset", reached=True)
                page.censor()
            if i % step == 0:
                post(ledger, books, i)
        post(ledger, books, len(written))
    assert {n: once.total(n) for n in "ab"} == {n: often.total(n) for n in "ab"}
    assert once.total("a").sent + once.total("b").sent == sum(1 if ok else 2 for _, _, ok in written)


def post(ledger: Ledger, books: Books, second: int) -> None:
    for window in books.close(second):
        ledger.post(msgspec.convert(msgspec.to_builtins(window), Window))  # as it travels to the master


def test_a_page_outlives_the_closing_of_the_books() -> None:
    """Users keep their page: what they write after a closing is in the next window."""
    books = Books()
    page = books.page("message")
    page.done(5)
    assert books.close(0)
    page.done(7)
    (window,) = books.close(1)
    assert window.entries["message"].ok.counts == {7: 1}
    assert not books.close(2)


def test_a_request_belongs_to_its_phase_and_is_answered_in_a_period() -> None:
    """Begun or planned in the warm-up it is the warm-up's, however late it ends; throughput is of the moment."""
    books, ledger = Books(), Ledger()
    books.enter("warmup")
    begun_early = books.page("message")
    post(ledger, books, 0)
    books.enter("measure")
    begun_early.done(1)
    books.page("message").done(2)
    books.page_of("warmup", "message").answer(3, 30, 27)
    post(ledger, books, 1)
    books.enter("drain")
    books.page_of("measure", "message").answer(4, 40, 36)
    post(ledger, books, 2)
    assert ledger.total("message", ["warmup"]).ok.counts == {1: 1, 3: 1}
    assert ledger.total("message", ["measure"]).ok.counts == {2: 1, 4: 1}
    assert ledger.answered == {"measure": {"message": 3}, "drain": {"message": 1}}


@given(st.lists(st.sampled_from(["answer", "fail", "censor", "drop", "leave", "overdue"]), max_size=60))
def test_each_arrival_ends_in_one_way_and_what_was_given_up_is_in_the_response(ends: list[str]) -> None:
    """Planned = ok + failed + censored + dropped; a wait in vain counts with its age, not as if it had not been."""
    books = Books()
    page = books.page_of("measure", "message")
    for end in ends:
        page.planned += 1
        match end:
            case "answer":
                page.answer(10, 15, 5)
            case "fail":
                page.fail("reset", reached=True)
                page.begin(5)
            case "overdue":
                page.fail("timed out", reached=True)
                page.begin(5)
                page.give_up(1000)
            case "censor":
                page.censor()
                page.begin(5)
                page.give_up(1000)
            case "drop":
                page.drop(1000)
            case "leave":
                page.leave(1000)
    ledger = Ledger()
    post(ledger, books, 0)
    entry = ledger.total("message")
    assert entry.planned == len(ends) == entry.ok.count + entry.failed + entry.censored + entry.dropped
    assert entry.sent == entry.lag.count == sum(end not in {"drop", "leave"} for end in ends)
    assert entry.response.counts.get(1000, 0) == sum(end not in {"answer", "fail"} for end in ends)
    assert entry.response.counts.get(15, 0) == entry.ok.count == ends.count("answer")


@given(st.lists(st.integers(0, 20_000), min_size=1, max_size=50), st.integers(0, 3))
def test_the_timeline_is_bounded_and_keeps_every_count(seconds: list[int], extra: int) -> None:
    """A long run is told in wider windows, not in more of them."""
    ledger = Ledger()
    all_seconds = [*seconds, *range(extra * TIMELINE_WINDOWS_MAX)]
    for second in all_seconds:
        ledger.post(Window(second, "measure", {"message": Entry(Histogram.of({100: 1}))}))
    assert len(ledger.timeline) <= TIMELINE_WINDOWS_MAX
    assert sum(entries["message"].ok.count for entries in ledger.timeline.values()) == len(all_seconds)
    assert all(second % ledger.window_s == 0 for second in ledger.timeline)
    assert ledger.total("message").ok.count == len(all_seconds)


def test_what_only_bounds_the_servers_count_is_not_forgotten() -> None:
    """Bytes that a server may have seen count before the request that sends them has ended."""
    books, ledger = Books(), Ledger()
    books.page("slow").unconfirmed += 7
    post(ledger, books, 0)
    books.page("slow").done(5)
    post(ledger, books, 1)
    assert ledger.total("slow").unconfirmed == 7


def test_kinds_of_failure_are_bounded() -> None:
    """A server that finds a new word for each failure fills a counter, not the memory."""
    books = Books()
    page = books.page("message")
    for i in range(3 * ERRORS_MAX):
        page.fail(f"kind {i}", reached=False)
    (window,) = books.close(0)
    entry = window.entries["message"]
    assert entry.failed == 3 * ERRORS_MAX
    assert len(entry.errors) <= ERRORS_MAX + 1
    assert entry.unconfirmed == 0


def test_what_the_server_may_have_seen_is_not_lost_before_it_ends() -> None:
    """Whoever sends for a long time bounds what is counted meanwhile, window by window."""
    books, ledger = Books(), Ledger()
    page = books.page("slow.deaf")
    for second in range(3):
        page.unconfirmed += 5
        for window in books.close(second):
            ledger.post(window)
    page.censor(reached=False)
    for window in books.close(3):
        ledger.post(window)
    assert ledger.total("slow.deaf").unconfirmed == 15
