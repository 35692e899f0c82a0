"""Addresses: every form read as meant, every other text refused in words, and back to text."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procserver.addresses import (
    FD_MAX,
    FORMS,
    UNIX_PATH_BYTES_MAX,
    Address,
    address_text,
    parse_address,
)
from procserver.errors import ConfigError

ports = st.integers(0, 65_535)
names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?(\.[a-z]{2,10})?", fullmatch=True)
paths = st.text(min_size=1, max_size=UNIX_PATH_BYTES_MAX).filter(
    lambda path: "\0" not in path and len(path.encode("utf-8", "replace")) <= UNIX_PATH_BYTES_MAX
)
addresses = st.one_of(
    st.builds(Address, st.just("tcp"), host=st.one_of(names, st.ip_addresses().map(str)), port=ports),
    st.builds(Address, st.just("unix"), path=paths.filter(lambda path: path.isprintable())),
    st.builds(Address, st.just("fd"), fd=st.integers(0, FD_MAX)),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:9999", Address("tcp", host="127.0.0.1", port=9999)),
        ("localhost:0", Address("tcp", host="localhost", port=0)),
        ("bücher.example:80", Address("tcp", host="bücher.example", port=80)),
        ("[::1]:9999", Address("tcp", host="::1", port=9999)),
        ("[::ffff:127.0.0.1]:1", Address("tcp", host="::ffff:127.0.0.1", port=1)),
        ("[fe80::1%eth0]:65535", Address("tcp", host="fe80::1%eth0", port=65535)),
        ("unix:/run/greeting.sock", Address("unix", path="/run/greeting.sock")),
        ("unix:a:b", Address("unix", path="a:b")),
        ("fd://3", Address("fd", fd=3)),
    ],
)
def test_reads_each_form(text: str, expected: Address) -> None:
    """Each form is read field by field, and written back as it was."""
    address = parse_address(text)
    assert address == expected
    assert hash(address) == hash(expected)
    assert str(address) == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no port"),
        ("9999", "no port"),
        ("localhost", "no port"),
        (":9999", "no host"),
        ("localhost:", "port ''"),
        ("localhost:65536", "0 to 65535"),
        ("localhost:-1", "0 to 65535"),
        ("localhost:+1", "0 to 65535"),
        ("localhost:1_0", "0 to 65535"),
        ("localhost: 80", "0 to 65535"),
        ("localhost:٨٠", "0 to 65535"),
        ("localhost:" + "9" * 5000, "0 to 65535"),
        ("::1:9999", "in brackets"),
        ("tcp://localhost:80", "in brackets"),
        ("[::1]", "followed by :PORT"),
        ("[::1", "followed by :PORT"),
        ("[::1]9999", "followed by :PORT"),
        ("[127.0.0.1]:80", "not an IPv6 address"),
        ("[]:80", "not an IPv6 address"),
        ("[fe80::1%]:80", "interface"),
        ("a b:80", "character"),
        ("a\n:80", "character"),
        ("user@host:80", "character"),
        ("h" * 256 + ":80", "255 at most"),
        ("unix:", "0 bytes"),
        ("unix:" + "x" * 108, "108 bytes"),
        ("unix:" + "é" * 54, "108 bytes"),
        ("unix:a\0b", "NUL"),
        ("fd://", "descriptor ''"),
        ("fd://-1", "descriptor"),
        ("fd://1048576", "1048575"),
    ],
)
def test_refuses_what_is_no_address(text: str, reason: str) -> None:
    """The refusal shows the value (shortened), the reason and the allowed forms, on one line."""
    with pytest.raises(ConfigError) as refusal:
        parse_address(text)
    message = str(refusal.value)
    assert reason in message
    assert FORMS in message
    assert "\n" not in message
    assert len(message) < 300


@given(addresses)
def test_the_canonical_form_reads_back(address: Address) -> None:
    """Writing and reading an address changes nothing."""
    again = parse_address(str(address))
    assert again == address
    assert str(again) == str(address)


@given(st.text(max_size=200))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    """No text raises anything but `ConfigError`, and what is read is within its bounds."""
    try:
        address = parse_address(text)
    except ConfigError:
        return
    assert address.kind in {"tcp", "unix", "fd"}
    assert 0 <= address.port <= 65_535
    assert parse_address(str(address)) == address


@given(st.ip_addresses(v=6), ports)
def test_reads_every_ipv6_address(ip: ipaddress.IPv6Address, port: int) -> None:
    """Both the short and the long spelling of any IPv6 address are taken."""
    for spelling in (ip.compressed, ip.exploded):
        assert parse_address(f"[{spelling}]:{port}").host == spelling


@pytest.mark.parametrize(
    "other",
    [Address("tcp", host="b", port=1), Address("tcp", host="a", port=2), Address("unix", path="a:1"), "a:1"],
)
def test_unequal_to_anything_else(other: object) -> None:
    """Equality is by every field, and never with a string."""
    assert parse_address("a:1") != other


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (("127.0.0.1", 9), "127.0.0.1:9"),
        (("::1", 9, 0, 0), "[::1]:9"),
        ("/run/x.sock", "/run/x.sock"),
        (b"\0abstract", "\0abstract"),
        (b"/run/\xff", "/run/\\xff"),
        ("", ""),
    ],
)
def test_a_socket_s_own_address_as_text(address: object, text: str) -> None:
    assert address_text(address) == text
