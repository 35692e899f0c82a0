"""The time of another host is known within half of what asking for it took."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.engine.clock_offset import Exchange, offset_of

DELAYS = st.lists(
    st.tuples(st.floats(1e-6, 0.5), st.floats(1e-6, 0.5)), min_size=1, max_size=8
)  # there, and back


@given(skew=st.floats(-1e6, 1e6), delays=DELAYS)
def test_the_true_difference_is_within_the_error(skew: float, delays: list[tuple[float, float]]) -> None:
    """However the way there and the way back share the time."""
    exchanges = []
    now = 1000.0
    for there, back in delays:
        exchanges.append(Exchange(now, now + there + skew, now + there + back))
        now += 1.0
    found = offset_of(exchanges)
    slack = 1e-9 + abs(skew) * 1e-12  # of floating point
    assert abs(found.offset_s - skew) <= found.error_s * 2 + slack
    if found.offset_s:
        assert abs(found.offset_s - skew) <= found.error_s + slack
    assert found.error_s <= min(there + back for there, back in delays) / 2 + 1e-9


def test_clocks_that_cannot_be_told_apart_are_one() -> None:
    """Workers of one host must not be shifted against each other by the noise of asking."""
    assert offset_of([Exchange(1.0, 1.0003, 1.0004)]).offset_s == 0.0
    assert offset_of([Exchange(1.0, 6.0002, 1.0004)]).offset_s == pytest.approx(5.0)


def test_without_an_answer_nothing_is_known() -> None:
    with pytest.raises(ValueError, match="no exchange"):
        offset_of([])
