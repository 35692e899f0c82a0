"""What holds for every test: no setting leaks in, no process leaks out."""

import os
import signal
from collections.abc import Generator, Iterator

import hypothesis
import pytest

from tests.support.alone import among_others, folder_of_run
from tests.support.leftovers import end_leftovers, mark_this_run, processes_of_this_run

mark_this_run()
for name in [name for name in os.environ if name.startswith("PROCSERVER_")]:
    del os.environ[name]  # the developer's own, for a server of theirs

# A shell starts what goes to the background with SIGINT ignored, `nohup` with SIGHUP, and every server and command here
# would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# A slow machine is no failure; what CI finds, it finds again.
hypothesis.settings.register_profile("procserver", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("procserver")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Around a test with its fixtures and its timeout: the wait for its turn is no part of either."""
    with among_others(folder_of_run(item.config), alone=item.get_closest_marker("alone") is not None):
        return (yield)


@pytest.fixture(autouse=True)
def _no_process_is_left_behind() -> Iterator[None]:
    before = processes_of_this_run()
    yield
    left = end_leftovers(before)
    assert not left, f"the test left processes behind, now killed: {left}"
