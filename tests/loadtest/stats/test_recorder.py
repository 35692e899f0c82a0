"""The recorder: exact counts, however often they are sent on, in memory that does not grow with time."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from loadtest.stats.recorder import ERRORS_MAX, Interval, Recorder
from loadtest.stats.run_stats import RunStats

times_us = st.integers(0, 120_000_000)


@given(st.lists(st.tuples(st.sampled_from("ab"), times_us, st.booleans()), max_size=100), st.integers(1, 5))
def test_however_often_intervals_are_taken_nothing_is_lost(
    written: list[tuple[str, int, bool]], every: int
) -> None:
    """Intervals cut anywhere, sent as messages and added in any process add up to the same totals."""
    once, often = RunStats(), RunStats()
    for stats, step in ((once, len(written) + 1), (often, every)):
        recorder = Recorder()
        for i, (name, us, ok) in enumerate(written):
            counter = recorder.counter(name)
            if ok:
                counter.complete(us)
            else:
                counter.fail("reset", reached=True)
                counter.censor()
            if i % step == 0:
                take(stats, recorder, i)
        take(stats, recorder, len(written))
    assert {n: once.total(n) for n in "ab"} == {n: often.total(n) for n in "ab"}
    assert once.total("a").sent + once.total("b").sent == sum(1 if ok else 2 for _, _, ok in written)


def take(stats: RunStats, recorder: Recorder, second: int) -> None:
    for interval in recorder.take(second):
        stats.add(msgspec.convert(msgspec.to_builtins(interval), Interval))  # as it travels to the master


def test_a_counter_outlives_the_taking_of_an_interval() -> None:
    """Users keep their counter: what they count after it is in the next interval."""
    recorder = Recorder()
    counter = recorder.counter("message")
    counter.complete(5)
    assert recorder.take(0)
    counter.complete(7)
    (interval,) = recorder.take(1)
    assert interval.entries["message"].ok.counts == {7: 1}
    assert not recorder.take(2)


def test_a_request_belongs_to_its_phase_and_is_answered_in_a_period() -> None:
    """Begun or planned in the warm-up it is the warm-up's, however late it ends; throughput is of the moment."""
    recorder, stats = Recorder(), RunStats()
    recorder.enter("warmup")
    begun_early = recorder.counter("message")
    take(stats, recorder, 0)
    recorder.enter("measure")
    begun_early.complete(1)
    recorder.counter("message").complete(2)
    recorder.counter_in("warmup", "message").complete_planned(3, 30, 27)
    take(stats, recorder, 1)
    recorder.enter("drain")
    recorder.counter_in("measure", "message").complete_planned(4, 40, 36)
    take(stats, recorder, 2)
    assert stats.total("message", ["warmup"]).ok.counts == {1: 1, 3: 1}
    assert stats.total("message", ["measure"]).ok.counts == {2: 1, 4: 1}
    assert stats.answered == {"measure": {"message": 3}, "drain": {"message": 1}}


@given(st.lists(st.sampled_from(["answer", "fail", "censor", "drop", "leave", "overdue"]), max_size=60))
def test_each_arrival_ends_in_one_way_and_what_was_given_up_is_in_the_response(ends: list[str]) -> None:
    """Planned = ok + failed + censored + dropped; a wait in vain counts with its age, not as if it had not been."""
    recorder = Recorder()
    counter = recorder.counter_in("measure", "message")
    for end in ends:
        counter.planned += 1
        match end:
            case "answer":
                counter.complete_planned(10, 15, 5)
            case "fail":
                counter.fail("reset", reached=True)
                counter.add_lag(5)
            case "overdue":
                counter.fail("timed out", reached=True)
                counter.add_lag(5)
                counter.add_wait(1000)
            case "censor":
                counter.censor()
                counter.add_lag(5)
                counter.add_wait(1000)
            case "drop":
                counter.drop(1000)
            case "leave":
                counter.censor_unsent(1000)
    stats = RunStats()
    take(stats, recorder, 0)
    entry = stats.total("message")
    assert entry.planned == len(ends) == entry.ok.count + entry.failed + entry.censored + entry.dropped
    assert entry.sent == entry.lag.count == sum(end not in {"drop", "leave"} for end in ends)
    assert entry.response.counts.get(1000, 0) == sum(end not in {"answer", "fail"} for end in ends)
    assert entry.response.counts.get(15, 0) == entry.ok.count == ends.count("answer")


def test_what_only_bounds_the_servers_count_is_not_forgotten() -> None:
    """Bytes that a server may have seen count before the request that sends them has ended."""
    recorder, stats = Recorder(), RunStats()
    recorder.counter("slow").unconfirmed += 7
    take(stats, recorder, 0)
    recorder.counter("slow").complete(5)
    take(stats, recorder, 1)
    assert stats.total("slow").unconfirmed == 7


def test_kinds_of_failure_are_bounded() -> None:
    """A server that finds a new word for each failure fills a counter, not the memory."""
    recorder = Recorder()
    counter = recorder.counter("message")
    for i in range(3 * ERRORS_MAX):
        counter.fail(f"kind {i}", reached=False)
    (interval,) = recorder.take(0)
    entry = interval.entries["message"]
    assert entry.failed == 3 * ERRORS_MAX
    assert len(entry.errors) <= ERRORS_MAX + 1
    assert entry.unconfirmed == 0


def test_what_the_server_may_have_seen_is_not_lost_before_it_ends() -> None:
    """A request that sends for a long time bounds what is counted meanwhile, interval by interval."""
    recorder, stats = Recorder(), RunStats()
    counter = recorder.counter("slow.deaf")
    for second in range(3):
        counter.unconfirmed += 5
        for interval in recorder.take(second):
            stats.add(interval)
    counter.censor(reached=False)
    for interval in recorder.take(3):
        stats.add(interval)
    assert stats.total("slow.deaf").unconfirmed == 15
