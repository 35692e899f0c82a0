"""The waits after failures: doubled, capped, jittered, and one step for a batch."""

from hypothesis import given
from hypothesis import strategies as st

from procserver.policy.backoff import Backoff


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=50))
def test_backoff_doubles_up_to_its_cap_and_no_more_than_a_quarter_beyond(chances: list[float]) -> None:
    backoff, now = Backoff(first_s=0.5, cap_s=20.0), 100.0
    for i, chance in enumerate(chances):
        wait_s = backoff.failed(now, chance)
        plain = min(20.0, 0.5 * 2**i)
        assert plain <= wait_s <= plain * 1.25
        assert backoff.holds(now + wait_s * 0.99)
        now = backoff.until
        assert not backoff.holds(now)
    backoff.failed(now, 0.0)
    backoff.succeeded()
    assert not backoff.holds(now)
    assert backoff.failed(now, 0.0) == 0.5


def test_a_batch_that_fails_together_is_one_step_of_the_backoff() -> None:
    backoff = Backoff(first_s=0.5, cap_s=20.0)
    backoff.failed(100.0, 0.0)
    assert [backoff.failed(100.25, 0.9) for _ in range(64)] == [0.25] * 64
    assert not backoff.holds(100.5)
    assert backoff.failed(100.5, 0.0) == 1.0
