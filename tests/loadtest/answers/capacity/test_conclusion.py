"""From the stages of a search to its answer: the capacity, what limited it, and why there may be none."""

from typing import Any

from loadtest.answers.capacity.answer import Stage
from loadtest.answers.capacity.conclusion import conclude
from loadtest.answers.capacity.stages import stage_of
from loadtest.statistics.search import Outcome, Search
from tests.support.capacity_documents import ALL_BUSY, BROKEN, SATURATED, SHORT, concluded, document, staged


def test_an_answer_says_what_held_what_broke_and_why() -> None:
    """The limiter is that of the stage just above."""
    search, stages = concluded(300, thresholds=[BROKEN], strain=ALL_BUSY)
    found = conclude(search, stages, "rate", "")
    assert (found.verdict, found.at_least) == ("answered", False)
    assert found.capacity is not None
    assert 285 < found.capacity <= 300
    assert found.bottleneck is not None
    assert found.bottleneck.name == "workers"
    assert found.reasons[0].startswith(f"{found.capacity:.0f}/s held for 10s")
    assert f"{found.breaks_at:.0f}/s did not hold: message.p99 was 2.50 ms" in found.reasons[1]


def test_a_cause_seen_a_little_further_up_explains_a_limit_that_shows_none() -> None:
    """Just above the limit latency rises before anything is full; at twice of it all is plain."""
    search, stages = concluded(300, thresholds=[BROKEN])
    far = max((stage for stage in stages if stage.outcome == "breaks"), key=lambda stage: stage.asked)
    far.bottleneck = staged(thresholds=[BROKEN], strain=ALL_BUSY, number=far.number).bottleneck
    found = conclude(search, stages, "rate", "")
    assert found.bottleneck is not None
    assert (found.bottleneck.name, found.bottleneck.stage) == ("workers", far.number)
    assert found.bottleneck.reasons[-1] == f"seen at {far.asked:g}/s"


def test_the_generators_limit_makes_an_at_least() -> None:
    """Nothing above was proved of the service."""
    search, stages = concluded(300, generator=SATURATED, row=SHORT, verdict="invalid")
    found = conclude(search, stages, "rate", "")
    assert (found.verdict, found.at_least) == ("answered", True)
    assert found.bottleneck is not None
    assert found.bottleneck.name == "generator"


def test_a_proof_near_the_generators_limit_bounds_the_answer() -> None:
    """Between what held and what broke for sure the generator was late once: that is no at least."""
    search, stages = Search(10, 1000, 100, 0.2), list[Stage]()
    while search.probe is not None:
        load = search.probe.load
        late = {"generator": SATURATED, "thresholds": [BROKEN], "verdict": "invalid"} if load < 350 else {}
        broken: dict[str, Any] = {"thresholds": [BROKEN], "strain": ALL_BUSY} | late if load > 300 else {}
        stages.append(stage_of(len(stages) + 1, "", search.probe, document(rate=load, **broken), "rate"))
        search.record(Outcome(stages[-1].outcome), clear=False)
    found = conclude(search, stages, "rate", "")
    assert search.broke_by is Outcome.LIMITED
    assert (found.at_least, found.breaks_at) == (False, 400)
    assert found.bottleneck is not None
    assert found.bottleneck.name == "workers"
    assert any(reason.startswith("400/s did not hold") for reason in found.reasons)


def test_the_range_may_be_the_limit() -> None:
    """All held: the answer is at least the greatest load that was allowed."""
    search, stages = concluded(10_000)
    found = conclude(search, stages, "rate", "")
    assert (found.capacity, found.at_least, found.breaks_at) == (1000, True, None)
    assert found.bottleneck is not None
    assert found.bottleneck.name == "range"


def test_the_lowest_load_may_break() -> None:
    """That is an answer of its own, with its limiter; where only a threshold broke, it says what to think of."""
    search, stages = concluded(1, thresholds=[BROKEN], strain=ALL_BUSY)
    found = conclude(search, stages, "rate", "")
    assert (found.verdict, found.capacity, found.breaks_at) == ("none", None, 10)
    assert found.bottleneck is not None
    assert found.bottleneck.name == "workers"
    assert "the lowest load, 10/s, did not hold" in found.reasons[0]
    search, stages = concluded(1, thresholds=[BROKEN])
    assert any("thresholds that it can meet" in note for note in conclude(search, stages, "rate", "").notes)


def test_a_search_that_was_stopped_cannot_tell() -> None:
    """What held is told, but not as an answer."""
    search = Search(10, 1000, 100, 0.05)
    stages = [staged()]
    search.record(Outcome.HOLDS)
    found = conclude(search, stages, "rate", "it was interrupted")
    assert (found.verdict, found.capacity, found.bottleneck) == ("cannot tell", None, None)
    assert found.reasons[:2] == ["it was interrupted", "100/s held once, but was not confirmed"]
    assert conclude(Search(10, 1000, 100, 0.05), [], "rate", "it was interrupted").verdict == "cannot tell"
