"""From a command's options to the checked settings of a run, before anything is started."""

import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loadtest.base.units import parse_duration_s
from loadtest.engine.locust_options import FRAMINGS, PACING_DEFAULT
from loadtest.results.thresholds import Threshold, needs_plan, parse_threshold
from loadtest.runs.service import option_value
from loadtest.runs.settings import RunSettings
from loadtest.workload.dialogue.file import parse_dialogue, read_text
from loadtest.workload.scenarios import SCENARIOS
from procserver.errors import ConfigError

__all__ = [
    "DEFAULT_THRESHOLD",
    "check_plan",
    "framing_of",
    "results_folder",
    "serve_args",
    "settings_of",
]

DEFAULT_THRESHOLD = "errors=0"


def settings_of(options: dict[str, Any]) -> tuple[RunSettings, list[Threshold]]:
    """The checked settings in a command's options, which are used up; ConfigError names option and reason."""
    expressions = list(options.pop("thresholds")) or [DEFAULT_THRESHOLD]
    if expressions == [DEFAULT_THRESHOLD] and options.get("rate") is not None:
        expressions.append("dropped=0")
    args = serve_args(options.pop("serve"))
    dialogue = options.get("dialogue")
    sources = options.pop("source_address")
    pacing_s, duration_s = options.pop("pacing"), options.pop("duration")
    if options.get("rate") is not None and pacing_s is not None:
        raise ConfigError(f"--pacing {pacing_s:g}s: with --rate it is the schedule that says when")
    if duration_s is None:
        duration_s = SCENARIOS[options.get("scenario", "steady")].duration_s
    options["user"] = options["user"] or ("dialogue" if dialogue else "greeting")
    settings = RunSettings(
        serve=args,
        source_addresses=sources.split(",") if sources else [],
        framing=framing_of(args, options.pop("framing"), dialogue),
        pacing_s=parse_duration_s(PACING_DEFAULT) if pacing_s is None else pacing_s,
        request_timeout_s=options.pop("request_timeout"),
        warmup_s=options.pop("warmup"),
        duration_s=duration_s,
        every_s=options.pop("every", 5.0),
        workers_timeout_s=options.pop("workers_timeout", 120.0),
        thresholds=expressions,
        **options,
    )
    settings.check()
    try:
        return settings, [parse_threshold(text, settings.talk().requests) for text in expressions]
    except ValueError as error:
        raise ConfigError(f"--threshold {error}") from None


def check_plan(settings: RunSettings, thresholds: list[Threshold]) -> None:
    """ConfigError if a threshold is on a plan, and there is none; for a command that makes one run."""
    for threshold in thresholds:
        if settings.rate is None and needs_plan(threshold.metric, settings.talk().main):
            raise ConfigError(
                f"--threshold {threshold.expression}: in a closed loop nothing is planned; it needs --rate"
            )


def framing_of(args: list[str] | None, framing: str | None, dialogue: str | None) -> str:
    """What the dialogue says, or is asked for, else what `--serve` tells the server; ConfigError if they differ."""
    if dialogue:
        if framing:
            raise ConfigError(f"--framing {framing}: with --dialogue it is the file that says it")
        kind = parse_dialogue(read_text(dialogue), dialogue).framing.kind
        framing = kind if kind in FRAMINGS else None
    served = option_value(args or [], "--framing")
    if framing and served and framing != served:
        raise ConfigError(f"--framing {framing}: but the server is told --framing {served}")
    return framing or served or "raw"


def serve_args(serve: str | None) -> list[str] | None:
    """The words of `--serve`; ConfigError if its quotes do not close."""
    try:
        return shlex.split(serve) if serve is not None else None
    except ValueError as error:
        raise ConfigError(f"--serve {serve!r}: {error}") from None


def results_folder(results: str | None) -> Path:
    """The folder of results, made if need be; ConfigError if something is in it."""
    folder = (
        Path(results) if results else Path("results") / datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")[:-3]
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ConfigError(f"--results {str(folder)!r}: it is not empty; each run has a folder of its own")
    except OSError as error:
        raise ConfigError(f"--results {str(folder)!r}: {error.strerror}") from None
    return folder
