"""What the users of a run do, in names: the requests they make, and which of them a server counts as what. Pure."""

from typing import NamedTuple

from loadtest.dialogue import ROUND, Counted, Dialogue

__all__ = ["TALKS", "Talk", "talk_of"]


class Talk(NamedTuple):
    """`main` is the request that an arrival is, and that a page speaks of first; `requests` are all, in order.

    `once`: those that a user makes once, in the warm-up, and that are therefore of the whole run.
    `connections` and `messages` are what shows in a procserver's counters; for messages, else, why it cannot.
    """

    locustfile: str
    user: str
    main: str
    requests: tuple[str, ...]
    once: tuple[str, ...] = ()
    connections: tuple[str, ...] = ("connect",)
    messages: Counted | str = Counted({"message": 1}, {})


_CONNECTING = ("handshake", "connect")
TALKS = {
    "greeting": Talk("tcp_user.py", "GreetingUser", "message", (*_CONNECTING, "message"), _CONNECTING),
    "connect": Talk("tcp_user.py", "ConnectUser", "greeting", (*_CONNECTING, "message", "greeting")),
}


def talk_of(user: str, scheme: str, dialogue: Dialogue | None = None) -> Talk:
    """What users of this kind do at a host of this `scheme`; `dialogue` is what a user "dialogue" says."""
    talk = TALKS[user] if dialogue is None else _spoken(dialogue)
    if scheme != "tls":
        return talk
    once = ("tls", *talk.once) if talk.once else ()
    return talk._replace(requests=("handshake", "tls", *talk.requests[1:]), once=once)


def _spoken(dialogue: Dialogue) -> Talk:
    held = not dialogue.rounds and not dialogue.steps[-1].answer.closes
    once = [step.name for step in (*dialogue.on_connect, *dialogue.goodbye) if step.name]
    return Talk(
        "dialogue_user.py",
        "DialogueUser",
        ROUND,
        (*_CONNECTING, *dialogue.requests),
        (*_CONNECTING, *once) if held else (),
        messages=dialogue.counted_by_server(),
    )
