"""A storm of one event becomes a few lines and a count, and holds back no other."""

import pytest

from procserver.observer.rate_limit import RateLimit


@pytest.mark.parametrize(("event", "shown"), [("worker_died", 5), ("accept_failed", 1)])
def test_a_storm_is_told_of_in_a_few_lines_a_second_and_counted(event: str, shown: int) -> None:
    limit = RateLimit()
    passed = [limit.passes({"event": event}, 100.0 + i / 100) for i in range(50)]
    assert passed == [True] * shown + [False] * (50 - shown)
    assert limit.passes({"event": "something_else"}, 100.9)
    later = {"event": event}
    assert limit.passes(later, 101.0)
    assert later == {"event": event, "suppressed": 50 - shown}
