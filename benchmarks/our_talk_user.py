"""`GreetingUser` as it is, with its CPU time reported."""

from benchmarks import cpu_report
from loadtest.users.greeting import GreetingUser

cpu_report.install("message")

__all__ = ["GreetingUser"]
