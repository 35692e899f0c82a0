"""Two builds from their runs: one word that the runs bear out, and set-ups that may not be compared."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.answers.compare.answer import Compared, Measured
from loadtest.answers.compare.verdict import GATES, compared, overall, unlike, values_of
from tests.support.compare_documents import document

TIMES = 60


def runs(
    ratio: float, noise: float, rng: random.Random, pairs: int = 8, drift: float = 0.0
) -> list[Measured]:
    """Pairs of runs in which B takes `ratio` times the CPU and the time of A."""
    found = []
    for pair in range(1, pairs + 1):
        for side, factor in (("a", 1.0), ("b", ratio)):
            mood = 1 + drift * pair
            values = {
                "server.cpu_per_message": 30 * factor * mood * rng.lognormvariate(0, noise),
                "p50": 90 * factor * mood * rng.lognormvariate(0, noise),
                "p99": 900 * rng.lognormvariate(0, 0.6),
                "rate": 9000 / factor * rng.lognormvariate(0, noise),
            }
            found.append(Measured(side, pair, "", "pass", used=True, why_not="", values=values))
    return found


def metrics(found: list[Measured], *, paired: bool = True, tolerance: float = 0.05) -> list[Compared]:
    return compared(found, gates=GATES, tolerance=tolerance, confidence=0.95, paired=paired, seed=1)


def verdict(found: list[Measured], *, paired: bool = True, tolerance: float = 0.05) -> str:
    return overall(metrics(found, paired=paired, tolerance=tolerance)).verdict


def test_a_build_is_hardly_ever_slower_than_itself() -> None:
    """60 comparisons of a build with itself, at 5 % of noise: at most 2 are called different, and many equal."""
    rng = random.Random(1)
    said = [verdict(runs(1.0, 0.05, rng)) for _ in range(TIMES)]
    assert said.count("slower") + said.count("faster") <= 2
    quiet = [verdict(runs(1.0, 0.01, rng)) for _ in range(TIMES)]
    assert quiet.count("no difference") >= 0.95 * TIMES


def test_a_fifth_more_is_found() -> None:
    """At 5 % of noise, in either direction, also while the host itself drifts to double its time."""
    rng = random.Random(2)
    assert [verdict(runs(1.2, 0.05, rng)) for _ in range(TIMES)].count("slower") >= 0.9 * TIMES
    assert [verdict(runs(1 / 1.2, 0.05, rng)) for _ in range(TIMES)].count("faster") >= 0.9 * TIMES
    drifting = [verdict(runs(1.2, 0.05, rng, drift=0.12)) for _ in range(TIMES)]
    assert drifting.count("slower") >= 0.9 * TIMES


def test_what_the_runs_do_not_show_is_not_claimed() -> None:
    """Noise of half the value: it cannot be told. 4 % slower at 5 % tolerance is not slower."""
    rng = random.Random(3)
    said = [verdict(runs(rng.choice((0.95, 1.0, 1.05)), 0.5, rng)) for _ in range(TIMES)]
    assert said.count("cannot tell") >= 0.9 * TIMES
    assert verdict(runs(1.04, 0.001, rng)) == "no difference"
    assert verdict(runs(1.04, 0.001, rng), tolerance=0.02) == "slower"


@given(st.floats(0.3, 3), st.floats(0.001, 0.3), st.integers(0, 9))
def test_sides_can_be_exchanged(ratio: float, noise: float, seed: int) -> None:
    """What makes B slower than A makes A faster than B."""
    found = runs(ratio, noise, random.Random(seed), pairs=5)
    turned = [Measured("ab"[r.side == "a"], r.pair, "", "pass", True, "", r.values) for r in found]
    opposite = {"slower": "faster", "faster": "slower"}
    for one, other in zip(metrics(found), metrics(turned), strict=True):
        if one.ratio is None or other.ratio is None:
            continue
        assert one.ratio.value * other.ratio.value == pytest.approx(1)
        edges = (*(one.ratio.low, one.ratio.value, one.ratio.high), other.ratio.low, other.ratio.high)
        # The bootstrap draws other runs: an interval that ends at a limit may fall to either side.
        if all(abs(abs(edge / limit) - 1) > 0.02 for edge in edges for limit in (1.05, 1.0, 1 / 1.05)):
            assert opposite.get(one.answer, one.answer) == other.answer


def test_less_is_worse_where_it_is() -> None:
    """A rate that falls makes slower."""
    found = {metric.name: metric for metric in metrics(runs(1.3, 0.01, random.Random(4)))}
    assert found["rate"].worse == "down"
    assert found["rate"].ratio is not None
    assert found["rate"].ratio.high < 1
    assert found["rate"].answer == "slower"
    assert not found["rate"].gates


def test_only_whole_pairs_count() -> None:
    """A pair of which one run is not used, or lacks the metric, is left out on both sides."""
    found = runs(1.0, 0.01, random.Random(5))
    found[0].used = False
    del found[3].values["p50"]
    table = {metric.name: metric for metric in metrics(found)}
    assert len(table["server.cpu_per_message"].a) == len(table["server.cpu_per_message"].b) == 7
    assert len(table["p50"].a) == len(table["p50"].b) == 6
    assert table["p50"].a[0] == found[4].values["p50"]


def test_single_runs_cannot_tell() -> None:
    """One run of each side: medians, no interval, and the reason."""
    found = metrics(runs(2.0, 0.01, random.Random(6), pairs=1), paired=False)
    judged = overall(found)
    assert judged.verdict == "cannot tell"
    assert "only 1 runs of A and 1 of B have a value: an interval needs 5 of each" in judged.reasons[0]
    assert found[0].ratio is None
    assert found[0].a_median is not None


def test_runs_of_another_load_or_host_are_unlike() -> None:
    """Each difference is named; what the server was told, and where it listens, is what is compared."""
    other = document(
        settings={"connections": 6, "rate": None, "serve": ["--workers", "4"], "host": "tcp://127.0.0.1:2"},
        host={"cpus": 4, "kernel": "6", "others_cores": 0.0},
    )
    assert unlike(document(), document(settings=document()["settings"] | {"host": "x"})) == []
    assert unlike(document(), other) == ["connections: 5 and 6", "cpus: 2 and 4"]
    assert unlike(document(), document(main_request="round")) == ["main_request: message and round"]


def test_only_what_is_known_and_above_nothing_has_a_ratio() -> None:
    """No percentile of too few, no memory that shrank, no CPU of what was not followed."""
    assert values_of(document()) == {"server.cpu_per_message": 30.0, "p50": 80.0, "rate": 90.0}
    assert values_of(document(server=None)) == {"p50": 80.0, "rate": 90.0}


def test_cpu_is_told_per_turn_where_no_messages_can_be_counted() -> None:
    """A dialogue that the server counts in its own way: warm-up and measured turns together cost what was used."""
    request = document()["requests"]["message"] | {"ok": 300, "warmup": {"ok": 100}}
    server = {"cpu_s": 0.02, "cpu_us_per_message": None, "pss_per_connection_bytes": None}
    found = values_of(document(requests={"message": request}, server=server))
    assert found["server.cpu_per_message"] == pytest.approx(50)
