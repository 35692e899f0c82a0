"""The workload of a run by its request names, and which of them a server counts as what. Pure."""

from typing import NamedTuple

from loadtest.workload.dialogue.dialogue import ROUND, Counted, Dialogue
from loadtest.workload.scenarios import BESIDE_FILE, Beside, judged
from procserver.errors import ConfigError


class Workload(NamedTuple):
    """The users of a run and their requests. An arrival is the request `main`; `requests` are all names, in order.

    `once`: requests that are reported over the whole run, as a user makes them once, in the warm-up, or they last as
    long. `connections` and `messages`: how the requests show in a procserver's counters, or why messages do not.
    """

    locustfiles: tuple[str, ...]
    users: tuple[str, ...]
    main: str
    requests: tuple[str, ...]
    once: tuple[str, ...] = ()
    connections: Counted = Counted({"connect": 1})
    messages: Counted | str = Counted({"message": 1})


_CONNECTING = ("handshake", "connect")
WORKLOADS = {
    "greeting": Workload(
        ("tcp_user.py",), ("GreetingUser",), "message", (*_CONNECTING, "message"), once=_CONNECTING
    ),
    "connect": Workload(
        ("tcp_user.py",), ("ConnectUser",), "greeting", (*_CONNECTING, "message", "greeting")
    ),
}


def workload_of(user: str, scheme: str, dialogue: Dialogue | None, beside: Beside | None) -> Workload:
    """The workload of users of this kind at a host of this `scheme`; the user "dialogue" holds `dialogue`.

    ConfigError if the dialogue has no step that the users `beside` could send.
    """
    workload = WORKLOADS[user] if dialogue is None else _of_dialogue(dialogue)
    if beside is not None:
        if dialogue is not None and dialogue.opening is None:
            raise ConfigError("--scenario: this dialogue has no step that sends anything")
        workload = _with_background(workload, beside)
    if scheme != "tls":
        return workload
    theirs = tuple(
        name.replace("handshake", "tls") for name in workload.requests if name.endswith(".handshake")
    )
    once = (*(("tls",) if "handshake" in workload.once else ()), *workload.once, *theirs)
    return workload._replace(requests=("handshake", "tls", *workload.requests[1:], *theirs), once=once)


def _of_dialogue(dialogue: Dialogue) -> Workload:
    once = [step.name for step in (*dialogue.on_connect, *dialogue.goodbye) if step.name]
    return Workload(
        ("dialogue_user.py",),
        ("DialogueUser",),
        ROUND,
        (*_CONNECTING, *dialogue.requests),
        (*_CONNECTING, *once) if dialogue.lasts else (),
        connections=Counted({"connect": 1}, proof=_proof(dialogue)),
        messages=dialogue.counted_by_server(),
    )


def _proof(dialogue: Dialogue) -> tuple[str, ...]:
    """The first request with an answer: without a banner only that proves that the server has accepted."""
    if dialogue.banner:
        return ()
    steps = [step for step in (*dialogue.on_connect, *dialogue.steps) if step.name]
    return tuple(step.name for step in steps[:1])


def _with_background(workload: Workload, beside: Beside) -> Workload:
    proof, theirs = workload.connections.proof, dict.fromkeys(beside.connections, 1)
    unheard = dict.fromkeys(beside.unheard, 1)
    connections = Counted({**workload.connections.answered, **theirs}, unheard)
    if proof:  # without a banner nothing proves theirs
        connections = Counted(workload.connections.answered, {**unheard, **theirs}, (), proof)
    messages = workload.messages
    if not isinstance(messages, str):
        answered = {**messages.answered, **dict.fromkeys(beside.messages, 1)}
        messages = Counted(answered, messages.silent, beside.bounded)
    return workload._replace(
        locustfiles=(*workload.locustfiles, BESIDE_FILE),
        users=(*workload.users, beside.user),
        requests=(*workload.requests, *beside.requests),
        # An act may last as long as the test: those that its end cut off are reported, too.
        once=(*workload.once, *(name for name in beside.requests if not judged(name))),
        connections=connections,
        messages=messages,
    )
