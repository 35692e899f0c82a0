"""A Locust that has changed keeps its own tables; the users still load."""

import subprocess
import sys

import pytest

from tests.support.repository import ROOT

LOAD = "import loadtest.users, locust.stats; print(locust.stats.bucket_response_time(1.2345))"


def loaded(before: str) -> subprocess.CompletedProcess[str]:
    """The users, loaded after these changes of Locust; it prints the bucket of 1.2345 ms."""
    return subprocess.run(
        [sys.executable, "-c", f"{before}\n{LOAD}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


def test_its_tables_show_microseconds() -> None:
    done = loaded("")
    assert float(done.stdout) == pytest.approx(1.234, abs=0.002)
    assert "whole milliseconds" not in done.stderr


@pytest.mark.parametrize(
    "missing", ["StatsEntry.to_dict", "StatsCSV._percentile_fields", "calculate_response_time_percentile"]
)
def test_where_a_name_is_missing_its_own_tables_stay_with_one_warning(missing: str) -> None:
    """All of them: half in microseconds would be worse than none."""
    done = loaded(f"import locust.stats\ndel locust.stats.{missing}")
    assert float(done.stdout) == 1
    assert done.stderr.count("its own tables show whole milliseconds") == 1
    assert f"has no stats.{missing}:" in done.stderr
