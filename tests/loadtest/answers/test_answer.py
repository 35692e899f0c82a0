"""What all answers have in common."""

import pytest

from loadtest.answers.answer import EXIT_CODES, Answer
from loadtest.answers.output import KINDS
from tests.support.answers import ANSWERS


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_names_its_command_and_its_verdict_has_an_exit_code(name: str) -> None:
    """By its command it is read and drawn again."""
    make, _ = ANSWERS[name]
    answer = make()
    assert isinstance(answer, Answer)
    assert KINDS[answer.answer].type is type(answer)
    assert KINDS[answer.answer].format == answer.format
    assert answer.verdict in EXIT_CODES
