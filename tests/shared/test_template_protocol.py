"""The protocol between supervisor and template: its packets as a table, what is refused, and what is out of order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procserver.shared.template_protocol import (
    ERRNO_MAX,
    FAILED,
    FAILURE_TEXT_MAX,
    LISTENERS_MAX,
    LOADING,
    MESSAGE_BYTES_MAX,
    PID_MAX,
    READY,
    SLOTS_MAX,
    ReportReader,
    encode,
    parse_order,
    parse_report,
)

# The packets must not change: a supervisor that was upgraded talks to templates of the program before it.
REPORTS = {
    b"ready 1": ("ready", 1),
    b"failed ImportError: no\nmodule": ("failed", "ImportError: no\nmodule"),
    b"failed ": ("failed", ""),
    b"spawned 3:4321": ("spawned", {3: 4321}),
    b"spawned 0:7 12:8": ("spawned", {0: 7, 12: 8}),
    b"unforked 11 0 5": ("unforked", (11, (0, 5))),
}
ORDERS = {
    b"listeners ours lent": ("listeners", (True, False)),
    b"fork 2": ("fork", (2,)),
    b"fork 0 1 63": ("fork", (0, 1, 63)),
    b"dismiss": ("dismiss", None),
}
NO_REPORTS = [
    *(b"", b" ", b"ready", b"ready ", b"ready x", b"ready -1", b"ready +1", b"ready 1_0", b"ready 1 2", b"ready  1"),
    *(b"ready \xd9\xa3", b"ready %d" % (PID_MAX + 1), b"ready " + b"9" * 5000, b"READY 1", b"readyx 1", b"hello"),
    *(b"spawned", b"spawned ", b"spawned 1", b"spawned 1:", b"spawned :5", b"spawned 1:5:6", b"spawned 1:0"),
    *(b"spawned 1:5 1:6", b"spawned 1:5 2:5", b"spawned 1:-5", b"spawned %d:5" % SLOTS_MAX, b"spawned 1:5 "),
    b"spawned 1:%d" % (PID_MAX + 1),
    *(b"unforked", b"unforked 11", b"unforked x 1", b"unforked %d 1" % (ERRNO_MAX + 1), b"unforked 11 1 1"),
    *(b"fork 1", b"dismiss", b"listeners ours", b"failed " + b"x" * MESSAGE_BYTES_MAX),
]  # fmt: skip
NO_ORDERS = [
    *(b"", b"fork", b"fork ", b"fork x", b"fork 1 1", b"fork 64", b"fork -1", b"fork 1,2", b"fork 1 "),
    *(
        b"listeners",
        b"listeners mine",
        b"listeners ours  lent",
        b"listeners" + b" ours" * (LISTENERS_MAX + 1),
    ),
    *(b"dismiss now", b"dismissed", b"ready 1", b"fork " + b" ".join(b"%d" % i for i in range(20_000))),
]

slots = st.integers(0, SLOTS_MAX - 1)
slot_lists = st.lists(slots, min_size=1, max_size=8, unique=True).map(tuple)
pids = st.integers(1, PID_MAX)
encodable = st.text(st.characters(exclude_categories=["Cs"]), max_size=FAILURE_TEXT_MAX)
reports = st.one_of(
    st.tuples(st.just("ready"), st.integers(0, PID_MAX)),
    st.tuples(st.just("failed"), encodable),
    st.tuples(
        st.just("spawned"),
        st.lists(st.tuples(slots, pids), min_size=1, unique_by=(lambda p: p[0], lambda p: p[1])).map(dict),
    ),
    st.tuples(st.just("unforked"), st.tuples(st.integers(0, ERRNO_MAX), slot_lists)),
)
orders = st.one_of(
    st.tuples(st.just("listeners"), st.lists(st.booleans(), min_size=1, max_size=LISTENERS_MAX).map(tuple)),
    st.tuples(st.just("fork"), slot_lists),
    st.just(("dismiss", None)),
)
verbs = st.sampled_from(
    [b"", b"ready ", b"failed ", b"spawned ", b"unforked ", b"listeners ", b"fork ", b"dismiss"]
)
numbers = st.lists(st.sampled_from([b"0", b"1", b"9" * 30, b":", b" ", b"1:1", b"-", b"ours", b"\xff"]))
packets = st.one_of(
    st.binary(max_size=200), st.tuples(verbs, numbers).map(lambda made: made[0] + b"".join(made[1]))
)


@pytest.mark.parametrize(("packet", "report"), REPORTS.items())
def test_each_report_has_its_packet(packet: bytes, report: object) -> None:
    assert parse_report(packet) == report
    assert encode(report) == packet  # type: ignore[arg-type]


@pytest.mark.parametrize(("packet", "order"), ORDERS.items())
def test_each_order_has_its_packet(packet: bytes, order: object) -> None:
    assert parse_order(packet, 64) == order
    assert encode(order) == packet  # type: ignore[arg-type]


@pytest.mark.parametrize("packet", NO_REPORTS)
def test_what_is_no_report_is_refused(packet: bytes) -> None:
    assert parse_report(packet) is None


@pytest.mark.parametrize("packet", NO_ORDERS)
def test_what_is_no_order_is_refused(packet: bytes) -> None:
    assert parse_order(packet, 64) is None


@given(reports)
def test_reports_come_back_as_they_were_sent(report: object) -> None:
    assert parse_report(encode(report)) == report  # type: ignore[arg-type]


@given(orders)
def test_orders_come_back_as_they_were_sent(order: object) -> None:
    assert parse_order(encode(order)) == order  # type: ignore[arg-type]


@given(packets)
def test_any_bytes_are_a_message_or_refused(packet: bytes) -> None:
    for message in (parse_report(packet), parse_order(packet)):
        assert message is None or encode(message).split()[0] == packet.split()[0]


def test_the_text_of_a_failure_is_cut_to_its_bound_and_always_encodable() -> None:
    assert parse_report(encode(("failed", "x" * 5000))) == ("failed", "x" * FAILURE_TEXT_MAX)
    assert parse_report(encode(("failed", "\udcff"))) == ("failed", "\\udcff")
    assert parse_report(b"failed \xff") == ("failed", "\N{REPLACEMENT CHARACTER}")


# What is out of order. Each step is an order of slots (a tuple), or a packet with what becomes of it.


@pytest.mark.parametrize(
    "steps",
    [
        [(b"ready 1", True), (b"ready 1", False)],
        [(b"failed x", True), (b"ready 1", False), (b"failed x", False)],
        [(b"ready 1", True), (b"failed x", False)],
        [(1,), (b"spawned 1:5", False)],
        [(b"failed x", True), (1,), (b"unforked 11 1", False)],
        [(b"ready 1", True), (b"spawned 1:5", False)],
        [(b"ready 1", True), (1, 2), (b"spawned 1:5 2:6", True), (b"spawned 1:7", False)],
        [(b"ready 1", True), (1, 2), (b"spawned 1:5 3:6", False), (b"spawned 1:5", True)],
        [(b"ready 1", True), (1,), (b"spawned 1:5", True), (b"unforked 11 1", False)],
        [(b"ready 1", True), (1,), (b"unforked 11 1", True), (b"spawned 1:5", False)],
        [(b"ready 1", True), (1,), (b"spawned 1:5", True), (1,), (b"spawned 1:6", True)],
        [(b"ready 1", True), (1,), (b"nonsense", False), (b"spawned 1:5", True)],
    ],
)
def test_what_is_out_of_order_is_refused_and_changes_nothing(steps: list[tuple[object, ...]]) -> None:
    reader = ReportReader()
    for step in steps:
        if isinstance(step[0], int):
            reader.ordered([slot for slot in step if isinstance(slot, int)])
            continue
        packet, accepted = step
        assert isinstance(packet, bytes)
        assert (reader.read(packet) is not None) == accepted, packet


def test_the_phases_follow_the_reports() -> None:
    reader = ReportReader()
    assert reader.phase == LOADING
    reader.read(b"ready 1")
    assert reader.phase == READY
    reader = ReportReader()
    reader.read(b"failed x")
    assert reader.phase == FAILED


def test_a_repetition_is_left_out() -> None:
    """After its middle process was killed, a template reports the batch again, whatever the middle has reported."""
    reader = ReportReader(READY)
    reader.ordered((1, 2, 3, 4))
    assert reader.read(b"spawned 1:5 2:6") == ("spawned", {1: 5, 2: 6})
    assert reader.read(b"unforked 11 3") == ("unforked", (11, (3,)))
    assert reader.read(b"spawned 1:5 2:6") == ("spawned", {})
    assert reader.read(b"unforked 4 3 4") == ("unforked", (4, (4,)))
    assert reader.read(b"unforked 4 2") is None, "it was forked"


@given(st.lists(st.one_of(packets, st.sampled_from([*REPORTS]), slot_lists), max_size=30))
def test_no_slot_is_answered_more_often_than_it_was_ordered(steps: list[bytes | tuple[int, ...]]) -> None:
    """Whatever comes in whatever order."""
    reader, ordered, answered = ReportReader(), list[int](), list[int]()
    for step in steps:
        if isinstance(step, tuple):
            reader.ordered(step)
            ordered += step
            continue
        match reader.read(step):
            case ("spawned", spawned):
                answered += spawned
            case ("unforked", (_, unforked)):
                answered += unforked
    for slot in answered:
        assert answered.count(slot) <= ordered.count(slot)
