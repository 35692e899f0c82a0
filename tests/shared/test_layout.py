"""The layout of the scoreboard: no word has two meanings."""

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
