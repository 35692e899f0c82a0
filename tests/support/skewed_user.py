"""A locustfile for a worker whose clock is wrong: it goes as every clock does, but SKEW_S ahead of the master's."""

import os
import time

_true_time = time.time
time.time = lambda: _true_time() + float(os.environ["SKEW_S"])  # before anything of ours looks at it

from loadtest.users.greeting import GreetingUser  # noqa: E402

__all__ = ["GreetingUser"]
