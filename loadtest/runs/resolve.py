"""From a command's options to the checked settings of a run, before anything is started."""

import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loadtest.results.thresholds import Threshold, needs_plan, parse_threshold
from loadtest.runs.service import option_value
from loadtest.runs.settings import TABLE, RunSettings
from loadtest.workload.dialogue.dialogue import Dialogue
from loadtest.workload.dialogue.file import parse_dialogue, read_text
from loadtest.workload.limits import FRAMINGS
from loadtest.workload.scenarios import SCENARIOS
from procserver.errors import ConfigError

DEFAULT_THRESHOLD = "errors=0"


def settings_of(options: dict[str, Any]) -> tuple[RunSettings, list[Threshold]]:
    """The checked settings of a command's options; ConfigError names the option and the reason."""
    rate, pacing_s = options.get("rate"), options.get("pacing")
    expressions = list(options["thresholds"]) or [DEFAULT_THRESHOLD]
    if expressions == [DEFAULT_THRESHOLD] and rate is not None:
        expressions.append("dropped=0")
    if rate is not None and pacing_s is not None:
        raise ConfigError(f"--pacing {pacing_s:g}s: with --rate the schedule says when a request begins")
    values = {name: options[row.key] for name, row in TABLE.items() if options.get(row.key) is not None}
    values["serve"] = serve_args(options["serve"])
    path = options.get("dialogue")
    text = read_text(path) if path else None
    dialogue = parse_dialogue(text, path) if path and text is not None else None
    values["framing"] = framing_of(values["serve"], options["framing"], dialogue)
    values.setdefault("user", "dialogue" if path else "greeting")
    values.setdefault("duration_s", SCENARIOS[options.get("scenario", "steady")].duration_s)
    settings = RunSettings(**values, dialogue_text=text, thresholds=expressions)
    settings.check()
    try:
        return settings, [parse_threshold(text, settings.workload.requests) for text in expressions]
    except ValueError as error:
        raise ConfigError(f"--threshold {error}") from None


def check_plan(settings: RunSettings, thresholds: list[Threshold]) -> None:
    """ConfigError if a threshold needs a plan and the run has none; for a command that makes one run."""
    for threshold in thresholds:
        if settings.rate is None and needs_plan(threshold.metric, settings.workload.main):
            raise ConfigError(
                f"--threshold {threshold.expression}: a closed loop has no plan; it needs --rate"
            )


def framing_of(args: list[str] | None, framing: str | None, dialogue: Dialogue | None) -> str:
    """The framing of the dialogue, of `--framing`, or else of `--serve`; ConfigError if they differ."""
    if dialogue is not None:
        if framing:
            raise ConfigError(f"--framing {framing}: with --dialogue its file says it")
        framing = dialogue.framing.kind if dialogue.framing.kind in FRAMINGS else None
    served = option_value(args or [], "--framing")
    if framing and served and framing != served:
        raise ConfigError(f"--framing {framing}: but --serve says --framing {served}")
    return framing or served or "raw"


def serve_args(serve: str | None) -> list[str] | None:
    """The words of `--serve`; ConfigError if its quotes do not close."""
    try:
        return shlex.split(serve) if serve is not None else None
    except ValueError as error:
        raise ConfigError(f"--serve {serve!r}: {error}") from None


def results_folder(results: str | None) -> Path:
    """The folder of results, made if it is missing; ConfigError if it is not empty or cannot be made."""
    folder = Path(results or f"results/{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"[:-3])
    given = f"--results {str(folder)!r}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ConfigError(f"{given}: it is not empty; each run needs a folder of its own")
    except OSError as error:
        raise ConfigError(f"{given}: {error.strerror}") from None
    return folder
