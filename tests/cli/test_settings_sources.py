"""Where the values of settings come from: flags, environment, file; and how text becomes a value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procserver.cli.settings_sources import from_text, read_file, resolve, seconds
from procserver.errors import ConfigError
from procserver.settings import TABLE


@pytest.mark.parametrize(
    ("text", "expected"),
    [("500ms", 0.5), ("20s", 20.0), ("5m", 300.0), ("1h", 3600.0), (" 2.5 ", 2.5), ("0", 0.0)],
)
def test_durations(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "s", "ms", "5 parsecs", "5d", "1h30m", "--5"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match=r"idle_timeout=.*\(--idle-timeout\): not a duration such as 500ms"):
        from_text("idle_timeout", text, "--idle-timeout")


@given(st.text(max_size=12))
def test_any_text_is_a_value_or_a_refusal_and_nothing_else(text: str) -> None:
    for name in TABLE:
        try:
            resolve({name: text}, {}, "", "")
        except ConfigError as error:
            assert "allowed" in str(error)  # noqa: PT017  # most texts are well for most rows


def test_flags_win_over_environment_over_file_over_default() -> None:
    file = "[procserver]\nbacklog = 1\nidle_timeout = 1\nwrite_timeout = '1s'\n"
    environment = {"PROCSERVER_BACKLOG": "2", "PROCSERVER_IDLE_TIMEOUT": "2s", "OTHER": "x"}
    found = resolve({"backlog": "3"}, environment, file, "p.toml")
    assert (found.settings.backlog, found.origins["backlog"]) == (3, "--backlog")
    assert (found.settings.idle_timeout, found.origins["idle_timeout"]) == (2.0, "PROCSERVER_IDLE_TIMEOUT")
    assert (found.settings.write_timeout, found.origins["write_timeout"]) == (1.0, "p.toml")
    assert (found.settings.max_message, found.origins["max_message"]) == (1024, "default")
    assert found.warnings == []


def test_an_unknown_name_warns_in_the_environment_and_is_refused_in_a_file() -> None:
    """Orchestrators inject names of their own into the environment; nobody injects into a file."""
    environment = {"PROCSERVER_PORT": "tcp://10.0.0.1:9999", "PROCSERVER_CONFIG": "x.toml"}
    assert resolve({}, environment, "", "").warnings == ["PROCSERVER_PORT: no such setting; ignored"]
    with pytest.raises(ConfigError, match=r"p\.toml: prot=1: no such setting; allowed: bind, "):
        resolve({}, {}, "[procserver]\nprot = 1\n", "p.toml")
    with pytest.raises(ConfigError, match=r"p\.toml: \[server\] is not known here"):
        resolve({}, {}, "[server]\n", "p.toml")
    with pytest.raises(ConfigError, match=r"p\.toml: not TOML"):
        resolve({}, {}, "[", "p.toml")
    for text in ("procserver = 3", "[[procserver]]"):
        with pytest.raises(ConfigError, match=r"p\.toml: procserver=.*: not a table"):
            resolve({}, {}, text, "p.toml")
    with pytest.raises(ConfigError, match=r"tool=3: not a table"):
        resolve({}, {}, "tool = 3", "pyproject.toml")
    with pytest.raises(ConfigError, match=r"p\.toml: nested too deeply"):
        resolve({}, {}, "a = " + "[" * 5000 + "]" * 5000, "p.toml")


def test_a_pyproject_holds_other_tables_too() -> None:
    text = "[project]\nname = 'x'\n[tool.procserver]\nworkers = 7\n"
    assert read_file(text, "some/pyproject.toml") == {"workers": 7}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"flags": {"bind": ("a:1", "b:2")}}, ("a:1", "b:2")),
        ({"environment": {"PROCSERVER_BIND": "a:1, b:2"}}, ("a:1", "b:2")),
        ({"file_text": "[procserver]\nbind = ['a:1', 'b:2']\n"}, ("a:1", "b:2")),
        ({"file_text": "[procserver]\nbind = 'a:1'\n"}, ("a:1",)),
    ],
)
def test_several_addresses_from_every_source(source: dict[str, object], expected: tuple[str, ...]) -> None:
    arguments: dict[str, object] = {"flags": {}, "environment": {}, "file_text": "", "file_name": "p.toml"}
    assert resolve(**(arguments | source)).settings.bind == expected  # type: ignore[arg-type]
