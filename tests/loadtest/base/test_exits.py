"""The end of a command without an answer."""

import pytest

from loadtest.base.exits import fail


def test_an_error_is_one_line_on_stderr_and_an_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        fail("--rate 0/s: allowed are ...", 2)
    assert ended.value.code == 2
    assert capsys.readouterr() == ("", "loadtest: --rate 0/s: allowed are ...\n")
