"""What a run is told, refused by option, value, reason and what is allowed."""

from typing import Any

import pytest

from loadtest.runs.settings import RunSettings
from procserver.errors import ConfigError


@pytest.mark.parametrize(
    ("told", "says"),
    [
        (
            {"host": "tcp://127.0.0.1"},
            "--host 'tcp://127.0.0.1': '127.0.0.1': it has no port; allowed are tcp",
        ),
        (
            {"host": "tcp://[::1:80"},
            "--host 'tcp://[::1:80': '[::1:80': an IPv6 address in brackets is followed",
        ),
        ({"host": "tcp://fd://3"}, "--host 'tcp://fd://3': another kind of address; allowed are tcp"),
        ({"host": "unix://"}, "--host 'unix://': 'unix:': its path has 0 bytes"),
        ({"host": "tcp://a:1", "pid": 0}, "--pid 0: a process id is 1 or more"),
        ({"host": "tcp://a:1", "pid": -3}, "--pid -3: a process id is 1 or more"),
        ({"serve": [], "seed": -1}, f"--seed -1: allowed are 0 to {2**63 - 1}"),
        (
            {"serve": [], "expect_workers": 1, "master_bind": "here"},
            "--master-bind 'here': it has no port; allowed are HOST:PORT, [V6]:PORT",
        ),
    ],
)
def test_what_is_wrong_is_named_as_it_was_given(told: dict[str, Any], says: str) -> None:
    """Not as the part of it that could not be read."""
    with pytest.raises(ConfigError) as caught:
        RunSettings(**told).check()
    assert str(caught.value).startswith(says)
