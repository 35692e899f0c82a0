"""Connecting: what is tried, what is refused, and the error that names the peer."""

import pytest

from procserver.addresses import Address
from procserver.clients.connect import dial
from procserver.errors import (
    ConfigError,
    DeadlineExceeded,
    PeerClosed,
)
from tests.support.scripted_server import (
    port_nobody_answers_on,
    port_nobody_listens_on,
)


def test_nobody_there() -> None:
    """A refused connection, and one that is never answered, are told apart."""
    with port_nobody_listens_on() as port, pytest.raises(PeerClosed, match="Connection refused"):
        dial(Address("tcp", host="127.0.0.1", port=port), 5)
    with port_nobody_answers_on() as port, pytest.raises(DeadlineExceeded, match=r"within 0\.2 s"):
        dial(Address("tcp", host="127.0.0.1", port=port), 0.2)
    with pytest.raises(PeerClosed, match="No such file"):
        dial(Address("unix", path="/nonexistent/socket"), 5)


@pytest.mark.parametrize(
    "address",
    [Address("fd", fd=3), Address("tcp", host="localhost", port=0), Address("tcp", host="ü" * 70, port=1)],
)
def test_refuses_an_address_that_no_client_can_connect_to(address: Address) -> None:
    """Server-side addresses and impossible host names are the operator's error."""
    with pytest.raises(ConfigError, match="address"):
        dial(address, 5)
