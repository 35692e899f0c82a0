"""The time that is left for the trials of an answer."""

import io

from loadtest.answers.trials import OVERHEAD_S, Stopwatch, Trials


def test_the_time_left_is_that_of_all_runs_to_come() -> None:
    """By what a run took beyond its load so far; before the first, by a guess."""
    trials = Trials(io.StringIO())
    trials.left, trials.beyond, trials.load_s = 3, 7, 10.0
    assert OVERHEAD_S == 4
    assert trials.time_left() == "about 2m 20s left in all"
    trials.made, trials.spent_s, trials.loaded_s = 2, 24.0, 20.0
    assert trials.time_left() == "about 2m left in all"


def test_a_line_that_stays_has_the_time_only_where_none_is_shown_live() -> None:
    """Without a terminal there is no status line; at the end nothing is left."""
    stream = io.StringIO()
    trials = Trials(stream)
    trials.report("the last")
    trials.left, trials.load_s = 1, 2.0
    trials.report("one more")
    assert stream.getvalue() == "the last\none more (about 6s left in all)\n"


def test_a_stopwatch_has_the_fields_of_an_answer() -> None:
    times = Stopwatch().times()
    assert set(times) == {"started", "took_s"}
    assert times["started"].endswith("+00:00")
    assert 0 <= times["took_s"] < 60
