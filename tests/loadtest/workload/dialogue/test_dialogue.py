"""What a server counts of a dialogue."""

import pytest

from loadtest.workload.dialogue.dialogue import Counted, Dialogue
from loadtest.workload.dialogue.file import parse_dialogue


def parse(text: str) -> Dialogue:
    return parse_dialogue(text, "talk.toml")


STEP = '[[steps]]\nname = "ping"\nsend = "x"\nexpect = "x"\n'


@pytest.mark.parametrize(
    ("text", "counted"),
    [
        (STEP, Counted({"ping": 1}, {})),
        (f'framing = "line"\n{STEP}', Counted({"ping": 1}, {})),
        (
            f'framing = "line"\n{STEP}[[goodbye]]\nname = "bye"\nsend = "a\\nb"',
            Counted({"ping": 1}, {"bye": 2}),
        ),
        (f"messages_counted = false\n{STEP}", "messages_counted = false"),
        (f'framing = "length"\n{STEP}', "only in raw and in line framing"),
        (f'framing = {{ kind = "line", delimiter = ";" }}\n{STEP}', "only in raw and in line framing"),
        (f'[[on_connect]]\nname = "a"\nsend = "x"\n{STEP}', "a has no answer: in raw framing"),
        (f'{STEP}[[goodbye]]\nname = "bye"\nsend = "exit"', Counted({"ping": 1}, {"bye": 1})),
        ('[[steps]]\nname = "a"\nexpect = "b"\nsend = "' + "x" * 1025 + '"', "a is longer than 1024 bytes"),
    ],
)
def test_what_the_server_counts_of_it_is_known_or_said_to_be_unknown(
    text: str, counted: Counted | str
) -> None:
    found = parse(text).counted_by_server()
    assert found == counted or (isinstance(counted, str) and counted in str(found))
