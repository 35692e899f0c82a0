"""A dialogue of one step in each of its three parts."""

from loadtest.workload.dialogue.dialogue import Dialogue
from loadtest.workload.dialogue.file import parse_dialogue


def dialogue(banner: str = "", rounds: int = 0) -> Dialogue:
    text = f'rounds = {rounds}\nframing = "line"\n{banner}\n'
    text += '[[on_connect]]\nname = "login"\nsend = "a"\nexpect = "b"\n'
    text += '[[steps]]\nname = "ask"\nsend = "c"\nexpect = "d"\n[[goodbye]]\nname = "quit"\nsend = "e"\n'
    return parse_dialogue(text, "talk.toml")
