"""The pages of answers: whatever a server or a command line says is text."""

import pytest

from tests.support.answers import ANSWERS, HOSTILE


@pytest.mark.parametrize("name", ANSWERS)
def test_what_an_answer_says_is_text(name: str) -> None:
    """Reasons, notes and labels come from servers and command lines; in the script, too, they end nothing."""
    make, draw = ANSWERS[name]
    page = draw(make(), "")  # type: ignore[operator]
    assert HOSTILE not in page
    assert page.count("</script>") == 1
    assert "&lt;script&gt;alert(1)" in page
