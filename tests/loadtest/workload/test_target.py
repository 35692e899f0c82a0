"""Endpoints: a host and a port."""

import pytest

from loadtest.workload.target import parse_endpoint
from procserver.errors import ConfigError


@pytest.mark.parametrize("text", ["foo", "a:0", "unix:/x", "fd://3", "a:70000", ""])
def test_an_endpoint_is_a_host_and_a_port(text: str) -> None:
    """Nothing else can be found from another host."""
    with pytest.raises(ConfigError, match=r"^MASTER .*allowed are HOST:PORT"):
        parse_endpoint("MASTER", text)
    assert str(parse_endpoint("MASTER", "[::1]:80")) == "[::1]:80"
