"""A dialogue is understood as it is written, or refused with its place and what is allowed."""

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.workload.dialogue import schema
from loadtest.workload.dialogue.dialogue import Dialogue
from loadtest.workload.dialogue.file import FILE_BYTES_MAX, parse_dialogue, read_text
from loadtest.workload.dialogue.templates import Values
from procserver.errors import ConfigError
from tests.support.pages import blocks
from tests.support.repository import ROOT

WHOLE = r"""
host = "tcp://127.0.0.1:2525"
framing = { kind = "line", delimiter = "\r\n" }
expect_match = '220 (?P<server>\S+) .*'
rounds = 3

[[on_connect]]
name = "ehlo"
send = "EHLO user-{user}.example"
expect = ["250-{server}", "250 OK"]

[[steps]]
name = "mail"
send = "MAIL FROM:<{random:8}@{server}>"
expect_match = "250 .*"
pause = "10ms"

[[steps]]
pause = "1s"

[[steps]]
name = "rcpt"
send = "RCPT TO:<{n}-{i}@example>"
expect_frames = 2
repeat = 4

[[goodbye]]
name = "quit"
send = "QUIT"
expect_close = true
"""


def parse(text: str) -> Dialogue:
    return parse_dialogue(text, "talk.toml")


def test_a_dialogue_is_understood_as_it_is_written() -> None:
    """Every key has its effect; what an answer captures can be said afterwards."""
    dialogue = parse(WHOLE)
    assert dialogue.requests == ["ehlo", "mail", "rcpt", "quit", "round"]
    assert (dialogue.host, dialogue.rounds, dialogue.framing.delimiter) == (
        "tcp://127.0.0.1:2525",
        3,
        b"\r\n",
    )
    mail, pause, rcpt = dialogue.steps
    assert (mail.pause_s, pause.name, pause.pause_s, rcpt.repeat, rcpt.answer.frames) == (0.01, "", 1.0, 4, 2)
    assert dialogue.goodbye[0].answer.closes
    assert dialogue.banner.captures == ["server"]
    values = Values(random.Random(1), {"server": b"mx", "user": b"7"}.items())
    assert [template.render(values) for template in dialogue.on_connect[0].answer.exact] == [
        b"250-mx",
        b"250 OK",
    ]
    assert mail.send is not None
    said = mail.send.render(values)
    assert re.fullmatch(rb"MAIL FROM:<[a-z0-9]{8}@mx>", said)
    assert mail.send.render(values) == said  # drawn once: the answer may be expected to have it too


def test_the_shortest_dialogue() -> None:
    dialogue = parse('[[steps]]\nname = "ping"\nsend = "x"\nexpect = "x"')
    assert (dialogue.framing.kind, dialogue.rounds, bool(dialogue.banner)) == ("raw", 0, False)


STEP = '[[steps]]\nname = "ping"\nsend = "x"\nexpect = "x"\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "steps: at least one step with a name is needed"),
        ("a = ", "talk.toml: no TOML: "),
        (f'colour = "red"\n{STEP}', "talk.toml:1: colour 'red': no such key; allowed are host, framing, "),
        (f'host = "udp://a:1"\n{STEP}', "talk.toml:1: host 'udp://a:1': "),
        (f'framing = "lines"\n{STEP}', "talk.toml:1: framing 'lines': allowed are raw, line, length"),
        (
            f'[framing]\nkind = "length"\nbytes = 3\n{STEP}',
            "talk.toml:3: framing.bytes 3: allowed are 1, 2, 4",
        ),
        (
            f'[framing]\norder = "middle"\n{STEP}',
            "talk.toml:2: framing.order 'middle': allowed are big, little",
        ),
        (f'framing = {{ kind = "line", delimiter = "" }}\n{STEP}', "talk.toml:1: framing.delimiter '': "),
        (f"[framing]\nmax_bytes = 0\n{STEP}", "framing.max_bytes 0: allowed are 1 to 1.04858e+06"),
        (f"rounds = -1\n{STEP}", "talk.toml:1: rounds -1: allowed are 0 to 1e+06"),
        (f"rounds = true\n{STEP}", "talk.toml:1: rounds True: expected `int`, got `bool`"),
        ("steps = 3", "talk.toml:1: steps 3: it is a list of steps"),
        (f"{STEP}{STEP}", "talk.toml:6: steps[1].name 'ping': an earlier step has this name"),
        (f'{STEP}[[steps]]\nname = "round"\nsend = "x"', "talk.toml:6: steps[1].name 'round': taken"),
        (f'{STEP}[[steps]]\nname = "Ping!"\nsend = "x"', "steps[1].name 'Ping!': a request is named in a-z"),
        (f'{STEP}[[steps]]\nsend = "x"', "steps[1].name: a request is named in a-z"),
        (f'{STEP}[[steps]]\nname = "b"', "talk.toml:5: steps[1]: a step needs one of send, expect"),
        (f'{STEP}[[steps]]\nname = "b"\npause = "1s"', "steps[1].name 'b': a pause is no request"),
        (f'{STEP}[[steps]]\npause = "soon"', "talk.toml:6: steps[1].pause 'soon': no duration; write 500ms"),
        (f'{STEP}pause = "2h"', "talk.toml:5: steps[0].pause '2h': allowed are 0s to 3600s"),
        (f"{STEP}repeat = 0", "talk.toml:5: steps[0].repeat 0: allowed are 1 to 10000"),
        (f'{STEP}repeat = "2"', "talk.toml:5: steps[0].repeat '2': expected `int`, got `str`"),
        (f'{STEP}expect_match = "x"', "talk.toml:4: steps[0].expect 'x': give either it or expect_match"),
        (f"{STEP}expect_frames = 2", "steps[0].expect 'x': give either it or expect_match and expect_frames"),
        (f"{STEP}answer = 2", "talk.toml:5: steps[0].answer 2: no such key; allowed are name, send, expect"),
        ('[[steps]]\nname = "a"\nsend = "{who}"', "talk.toml:3: steps[0].send '{who}': no placeholder {who}"),
        (
            '[[steps]]\nname = "a"\nsend = "{random:0}"',
            "no placeholder {random:0} is known here; there are {i}",
        ),
        ('[[steps]]\nname = "a"\nsend = "a}"', "a lone '}': write a literal brace twice"),
        ('[[steps]]\nname = "a"\nsend = "hex:0g"', "after hex: stand pairs of hexadecimal digits"),
        ('[[steps]]\nname = "a"\nsend = ""', "steps[0].send '': in raw framing a message has at least"),
        ('[[steps]]\nname = "a"\nexpect = ""', "steps[0].expect '': in raw framing an answer has at least"),
        ('[[steps]]\nname = "a"\nexpect_frames = 2', "raw framing has no frames"),
        ('[[steps]]\nname = "a"\nexpect_match = "("', "steps[0].expect_match '(': no regular expression: "),
        ('[[steps]]\nname = "a"\nexpect_match = "x*"', "it matches before anything was received"),
        ('[[steps]]\nname = "a"\nexpect_match = "(?P<n>x)"', "the name of its group 'n' is taken"),
        (
            f'{STEP}expect_close = true\n[[steps]]\nname = "b"\nsend = "x"',
            "talk.toml:5: steps[0].expect_close True: only the last of steps or goodbye can have it",
        ),
        (
            '[framing]\nkind = "length"\nbytes = 1\n[[steps]]\nname = "a"\nsend = "' + "x" * 256 + '"',
            "a message of 256 bytes: a frame holds 255",
        ),
        (f"# {'x' * FILE_BYTES_MAX}", f"it is longer than {FILE_BYTES_MAX} bytes"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, says: str) -> None:
    """File, line, key, value, reason, and what is allowed."""
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert says in str(caught.value)
    assert str(caught.value).startswith("talk.toml")


@given(st.text(max_size=200))
def test_any_text_is_a_dialogue_or_refused(text: str) -> None:
    """Nothing else comes out of it than a ConfigError."""
    for candidate in (text, f"[[steps]]\nname = 'a'\nsend = {text!r}"):
        try:
            parse(candidate)
        except ConfigError:
            continue


def test_a_file_that_cannot_be_read_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("dialogues")
    (folder / "latin.toml").write_bytes(b'host = "\xff"')
    with pytest.raises(ConfigError, match="no UTF-8"):
        read_text(str(folder / "latin.toml"))
    with pytest.raises(ConfigError, match="No such file"):
        read_text(str(folder / "missing.toml"))
    with pytest.raises(ConfigError, match="Is a directory"):
        read_text(str(folder))


PAGE = ROOT / "docs" / "loadtest-dialogues.md"


def test_the_page_about_dialogues_has_every_key() -> None:
    """And its example is one."""
    [example] = [block for block in blocks(PAGE) if block.options.get("file") == "ping.toml"]
    assert parse("\n".join(example.lines)).requests == ["set", "get", "round"]
    named = set(re.findall(r"`(?:\[\[)?([a-z_]+)(?:\]\])?`", PAGE.read_text()))
    for table in (schema.FileTable, schema.StepTable, schema.FramingTable):
        assert set(table.__struct_fields__) - {"kind"} <= named


def test_the_examples_are_understood() -> None:
    for path in sorted((ROOT / "examples" / "dialogues").glob("*.toml")):
        assert parse_dialogue(read_text(str(path)), path.name).requests
