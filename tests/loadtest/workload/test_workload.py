"""What users do, in names: which requests there will be, and how they show in a server's counters."""

import pytest

from loadtest.results import reconciliation
from loadtest.stats.recorder import Account, Entry, Histogram, Ledger, Window
from loadtest.workload.dialogue.dialogue import Dialogue
from loadtest.workload.dialogue.file import parse_dialogue
from loadtest.workload.scenarios import SCENARIOS
from loadtest.workload.workload import TALKS, Talk, talk_of
from procserver.errors import ConfigError


def dialogue(banner: str = "", rounds: int = 0) -> Dialogue:
    text = f'rounds = {rounds}\nframing = "line"\n{banner}\n'
    text += '[[on_connect]]\nname = "login"\nsend = "a"\nexpect = "b"\n'
    text += '[[steps]]\nname = "ask"\nsend = "c"\nexpect = "d"\n[[goodbye]]\nname = "quit"\nsend = "e"\n'
    return parse_dialogue(text, "talk.toml")


def reconciled(talk: Talk, server: tuple[int, int], **entries: Entry) -> dict[str, object]:
    ledger = Ledger()
    ledger.post(Window(1001, "measure", {name.replace("__", "."): entry for name, entry in entries.items()}))
    account = Account(ledger, 1000.0, None, 1001.0, 1005.0, 1005.0, 1, 1, [], [])
    none, after = (
        {"totals": {"connections": connections, "messages": messages}}
        for connections, messages in ((0, 0), server)
    )
    found = reconciliation.reconcile(account, none, after, talk)
    assert found is not None
    return found


def entry(ok: int, failed: int = 0, censored: int = 0, unconfirmed: int = 0) -> Entry:
    return Entry(
        ok=Histogram.of({100: ok} if ok else {}),
        errors={"timed out": failed} if failed else {},
        censored=censored,
        unconfirmed=unconfirmed,
    )


@pytest.mark.parametrize(
    ("talk", "requests", "once"),
    [
        (
            talk_of("greeting", "tcp", None, None),
            ["handshake", "connect", "message"],
            {"handshake", "connect"},
        ),
        (
            talk_of("connect", "tls", None, None),
            ["handshake", "tls", "connect", "message", "greeting"],
            set(),
        ),
        (
            talk_of("dialogue", "unix", dialogue(), None),
            ["handshake", "connect", "login", "ask", "quit", "round"],
            {"handshake", "connect", "login", "quit"},
        ),
        (
            talk_of("dialogue", "tcp", dialogue(rounds=2), None),
            ["handshake", "connect", "login", "ask", "quit", "round"],
            set(),
        ),
        (
            talk_of("greeting", "tcp", None, SCENARIOS["churn"].beside),
            ["handshake", "connect", "message", "reconnect"],
            {"handshake", "connect"},
        ),
    ],
)
def test_every_request_has_a_name_beforehand(talk: Talk, requests: list[str], once: set[str]) -> None:
    """Thresholds are checked by it; what a user does once is of the whole run."""
    assert (list(talk.requests), set(talk.once)) == (requests, once)
    assert talk.main in talk.requests


@pytest.mark.parametrize(("server", "ok"), [(4, False), (5, True), (9, True), (11, False)])
def test_without_a_banner_an_answer_is_the_proof_of_a_connection(server: int, ok: bool) -> None:
    """Of ten that the kernel has connected, five were never answered: the server may not have accepted them."""
    talk = talk_of("dialogue", "tcp", dialogue(), None)
    books = {"connect": entry(10), "login": entry(5, failed=3, censored=2, unconfirmed=5), "quit": entry(0)}
    assert reconciled(talk, (server, 5), **books)["ok"] is ok
    greeted = talk_of("dialogue", "tcp", dialogue('expect = "hi"'), None)
    assert reconciled(greeted, (10, 5), **books)["ok"]
    assert not reconciled(greeted, (9, 5), **books)["ok"]


def test_what_is_never_answered_bounds_and_does_not_confirm() -> None:
    """A goodbye without an answer may have been read, or not."""
    talk = talk_of("dialogue", "tcp", dialogue(), None)
    books = {"connect": entry(2), "login": entry(2), "ask": entry(7), "quit": entry(2)}
    assert [reconciled(talk, (2, messages), **books)["ok"] for messages in (8, 9, 11, 12)] == [
        False,
        True,
        True,
        False,
    ]


def test_adversaries_widen_the_bounds_by_what_they_sent() -> None:
    """No more: what nobody sent is a difference all the same."""
    talk = talk_of("greeting", "tcp", None, SCENARIOS["hostile"].beside)
    books = {
        "connect": entry(3),
        "message": entry(30),
        "hostile__connect": entry(4),
        "hostile__unheard": entry(2),
        "hostile__vanish": entry(4, unconfirmed=6),
    }
    for connections, messages, ok in ((7, 30, True), (9, 36, True), (10, 36, False), (9, 37, False)):
        assert reconciled(talk, (connections, messages), **books)["ok"] is ok


def test_a_dialogue_that_says_nothing_cannot_be_kept_company() -> None:
    silent = parse_dialogue('framing = "line"\n[[steps]]\nname = "a"\nexpect_frames = 1', "talk.toml")
    with pytest.raises(ConfigError, match="no step that sends anything"):
        talk_of("dialogue", "tcp", silent, SCENARIOS["hold"].beside)


def test_the_talks_of_the_greeting_are_those_of_its_users() -> None:
    assert {talk.users for talk in TALKS.values()} == {("GreetingUser",), ("ConnectUser",)}


def test_adversaries_have_their_own_handshakes() -> None:
    """What they pay for TLS is none of the honest."""
    talk = talk_of("greeting", "tls", None, SCENARIOS["slow"].beside)
    assert {"tls", "slow.tls"} <= set(talk.requests) & set(talk.once)
