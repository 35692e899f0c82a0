"""`ConnectUser` as it is, unpaced, with its CPU time reported."""

from benchmarks import cpu_report
from loadtest.users.greeting import ConnectUser

cpu_report.install("greeting")

__all__ = ["ConnectUser"]
