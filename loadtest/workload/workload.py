"""What the users of a run do, in names: the requests they make, and which of them a server counts as what. Pure."""

from typing import NamedTuple

from loadtest.workload.dialogue.dialogue import ROUND, Counted, Dialogue
from loadtest.workload.scenarios import BESIDE_FILE, Beside, judged
from procserver.errors import ConfigError

__all__ = ["TALKS", "Talk", "talk_of"]


class Talk(NamedTuple):
    """`main` is the request that an arrival is, and that a page speaks of first; `requests` are all, in order.

    `once`: those that are told over the whole run, as a user makes them once, in the warm-up, or they last that long.
    `connections` and `messages` are what shows in a procserver's counters; for messages, else, why it cannot.
    """

    locustfiles: tuple[str, ...]
    users: tuple[str, ...]
    main: str
    requests: tuple[str, ...]
    once: tuple[str, ...] = ()
    connections: Counted = Counted({"connect": 1})
    messages: Counted | str = Counted({"message": 1})


_CONNECTING = ("handshake", "connect")
TALKS = {
    "greeting": Talk(
        ("tcp_user.py",), ("GreetingUser",), "message", (*_CONNECTING, "message"), once=_CONNECTING
    ),
    "connect": Talk(("tcp_user.py",), ("ConnectUser",), "greeting", (*_CONNECTING, "message", "greeting")),
}


def talk_of(user: str, scheme: str, dialogue: Dialogue | None, beside: Beside | None) -> Talk:
    """What users of this kind do at a host of this `scheme`; `dialogue` is what a user "dialogue" says.

    ConfigError if the dialogue has nothing to say for those who are there `beside`.
    """
    talk = TALKS[user] if dialogue is None else _spoken(dialogue)
    if beside is not None:
        if dialogue is not None and dialogue.opening is None:
            raise ConfigError("--scenario: this dialogue has no step that sends anything")
        talk = _in_company(talk, beside)
    if scheme != "tls":
        return talk
    theirs = tuple(name.replace("handshake", "tls") for name in talk.requests if name.endswith(".handshake"))
    once = (*(("tls",) if "handshake" in talk.once else ()), *talk.once, *theirs)
    return talk._replace(requests=("handshake", "tls", *talk.requests[1:], *theirs), once=once)


def _spoken(dialogue: Dialogue) -> Talk:
    once = [step.name for step in (*dialogue.on_connect, *dialogue.goodbye) if step.name]
    return Talk(
        ("dialogue_user.py",),
        ("DialogueUser",),
        ROUND,
        (*_CONNECTING, *dialogue.requests),
        (*_CONNECTING, *once) if dialogue.lasts else (),
        connections=Counted({"connect": 1}, proof=_first_heard(dialogue)),
        messages=dialogue.counted_by_server(),
    )


def _first_heard(dialogue: Dialogue) -> tuple[str, ...]:
    """Without a banner the kernel connects, and nothing but an answer proves that the server has accepted."""
    if dialogue.banner:
        return ()
    spoken = [step for step in (*dialogue.on_connect, *dialogue.steps) if step.name]
    return tuple(step.name for step in spoken[:1])


def _in_company(talk: Talk, beside: Beside) -> Talk:
    proof, theirs = talk.connections.proof, dict.fromkeys(beside.connections, 1)
    unheard = dict.fromkeys(beside.unheard, 1)
    connections = Counted({**talk.connections.answered, **theirs}, unheard)
    if proof:  # without a banner nothing is known of theirs
        connections = Counted(talk.connections.answered, {**unheard, **theirs}, (), proof)
    messages = talk.messages
    if not isinstance(messages, str):
        answered = {**messages.answered, **dict.fromkeys(beside.messages, 1)}
        messages = Counted(answered, messages.silent, beside.bounded)
    return talk._replace(
        locustfiles=(*talk.locustfiles, BESIDE_FILE),
        users=(*talk.users, beside.user),
        requests=(*talk.requests, *beside.requests),
        # An act may last as long as the test: what the end of it cut off is to be seen.
        once=(*talk.once, *(name for name in beside.requests if not judged(name))),
        connections=connections,
        messages=messages,
    )
