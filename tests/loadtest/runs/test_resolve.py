"""From a command's options to checked settings."""

from pathlib import Path
from typing import Any

import pytest

from loadtest.runs.resolve import framing_of, settings_of
from loadtest.workload.dialogue.dialogue import greeting
from procserver.errors import ConfigError

STEP = 'framing = "line"\n[[steps]]\nname = "ping"\nsend = "x"\nexpect = "y"\n'


def options(**changes: Any) -> dict[str, Any]:
    return {"serve": "", "thresholds": (), "framing": None, "source_address": None, **changes}


def test_a_dialogue_is_read_once(tmp_path: Path) -> None:
    """What becomes of its file after that changes nothing: the load, and the report after it, have what was checked."""
    path = tmp_path / "talk.toml"
    path.write_text(STEP)
    settings, _ = settings_of(options(dialogue=str(path)))
    before = settings.workload
    path.unlink()
    assert settings.workload == before
    assert (settings.user, settings.framing, settings.workload.main) == ("dialogue", "line", "round")
    assert settings.for_generator().dialogue_text == STEP
    assert settings.document()["dialogue"] == str(path)
    assert "dialogue_text" not in settings.document()


def test_what_is_not_given_has_its_default() -> None:
    settings, thresholds = settings_of(
        options(pacing=None, duration=None, scenario="soak", rate=5.0, warmup=1.0)
    )
    assert (settings.pacing_s, settings.duration_s, settings.warmup_s) == (0.1, 600.0, 1.0)
    assert [row.expression for row in thresholds] == ["errors=0", "dropped=0"]


def test_a_pacing_has_no_place_beside_a_rate() -> None:
    with pytest.raises(ConfigError, match=r"^--pacing 1s: with --rate the schedule says"):
        settings_of(options(pacing=1.0, rate=5.0))


@pytest.mark.parametrize(
    ("args", "framing", "found"),
    [
        (None, None, "raw"),
        (["--framing", "line"], None, "line"),
        (["--framing=line"], "line", "line"),
        (None, "line", "line"),
    ],
)
def test_the_framing_is_that_of_either_side(args: list[str] | None, framing: str | None, found: str) -> None:
    assert framing_of(args, framing, None) == found


@pytest.mark.parametrize(
    ("args", "framing", "says"),
    [
        (["--framing", "line"], "raw", "--framing raw: but --serve says --framing line"),
        (None, "raw", "--framing raw: with --dialogue its file says it"),
    ],
)
def test_two_framings_are_refused(args: list[str] | None, framing: str, says: str) -> None:
    dialogue = None if args else greeting("raw")
    with pytest.raises(ConfigError) as caught:
        framing_of(args, framing, dialogue)
    assert str(caught.value) == says
