"""Templates: text as it stands, bytes by their digits."""

import random

from hypothesis import given
from hypothesis import strategies as st

from loadtest.workload.dialogue.templates import Values, parse_template


@given(st.text(alphabet="ab{}\n€"), st.binary(max_size=20))
def test_text_is_said_as_it_stands(text: str, data: bytes) -> None:
    """Braces written twice are braces; bytes are given by their digits."""
    values = Values(random.Random(1))
    assert parse_template(text.replace("{", "{{").replace("}", "}}")).render(values) == text.encode()
    assert parse_template(f"hex:{data.hex(' ')}").render(values) == data
