"""The layout of the scoreboard: no word has two meanings."""

import pytest

from procserver.shared import layout
from procserver.shared.layout import OUTCOME_NAMES, OUTCOMES, SLOT_WORDS


def test_no_two_facts_share_a_word() -> None:
    """The layout's own promise: each name of a slot has its place, and the peer's text overlaps none."""
    words = [
        *(layout.PID, layout.GENERATION, layout.ARMED, layout.RING_AT, layout.FORKED, layout.STATE),
        *(layout.STAGE, layout.SINCE_NS, layout.RECORD_DUE),
        *(layout.REGISTERED_NS, layout.STOP_SEEN, layout.CONNECTIONS, layout.MESSAGES, layout.BYTES_IN),
        *(layout.BYTES_OUT, layout.RECORDS_DROPPED, layout.STARTED_NS, layout.MESSAGES_BEFORE),
        *(layout.BYTES_IN_BEFORE, layout.BYTES_OUT_BEFORE, layout.LISTENER, layout.PEER_PORT),
        *range(OUTCOMES, OUTCOMES + len(OUTCOME_NAMES)),
        *range(layout.USAGE_BEFORE, layout.USAGE_BEFORE + len(layout.USAGE_NAMES)),
        *range(layout.PEER, layout.PEER + layout.PEER_BYTES // 8),
    ]
    assert len(words) == len(set(words))
    assert max(words) < SLOT_WORDS


@pytest.mark.parametrize("stage", range(layout.NO_STAGE, layout.CLOSING + 1))
def test_a_stage_and_its_deadline_share_a_word(stage: int) -> None:
    """The word can be compared with the clock: it is the deadline to within 8 ns; and it fits, whatever is meant."""
    deadline_ns = 123_456_789_012_345
    word = layout.stage_word(stage, deadline_ns)
    assert layout.stage_of(word) == stage
    assert abs(word - deadline_ns) < 8
    assert layout.stage_word(stage, (1 << 62) + deadline_ns) < 1 << 64
