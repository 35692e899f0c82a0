"""`python -m loadtest compare`: wrong usage is refused before any load."""

from pathlib import Path

import pytest

from tests.support.loadtest_runs import usage


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "A and B are one and the same"),
        (("no-such-commit", "."), "no commit of the repository"),
        (("--python-b", "no-such-python"), "there is no such program"),
        (("--command-b", "serve it"), "nobody knows where it listens"),
        (("--slot", "5ms"), "allowed are 0, or 20ms to 10s"),
        (("--slot", "1s", "--scenario", "churn"), "keeps to no slots"),
        (("--serve", "--bind 127.0.0.1:7000"), "only one can have it"),
        (("--control-b", "path"), "at --host-b"),
        (("--host-a", "tcp://127.0.0.1:7000", "--env-a", "X=1"), "it runs already; --env-a would start one"),
        (("--host-a", "tcp://127.0.0.1:7000", "--host-b", "tcp://127.0.0.1:7000"), "one and the same server"),
        (("--host-b", "tcp://127.0.0.1"), "--host"),
    ],
)
def test_what_cannot_be_compared_is_refused(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    """Before any load, by exit code 2."""
    done = usage("compare", *arguments, "--results", str(tmp_path / "r"))
    assert done.exit_code == 2, done
    assert said in done.last_line
