"""`ConnectUser` as it is, unpaced, with its CPU time reported."""

from benchmarks import cpu_report
from loadtest.users import ConnectUser

cpu_report.install()

__all__ = ["ConnectUser"]
