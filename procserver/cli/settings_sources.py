"""The sources of the settings: flags override environment, file and defaults. Pure: the caller reads them."""

from __future__ import annotations

import tomllib
import types
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from procserver.errors import ConfigError
from procserver.settings import TABLE, TYPES, Settings, allowed, default_of

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "PROCSERVER_"
ENV_OTHER = frozenset({"PROCSERVER_CONFIG", "PROCSERVER_HANDOVER", "PROCSERVER_PREFLIGHT"})  # not settings
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class Resolved(NamedTuple):
    """The settings, the origin of each value, and warnings for the operator."""

    settings: Settings
    origins: dict[str, str]
    warnings: list[str]


def resolve(
    flags: Mapping[str, Any], environment: Mapping[str, str], file_text: str, file_name: str
) -> Resolved:
    """Merge the sources; ConfigError names key, value, origin, reason and range of the first that is wrong."""
    values: dict[str, Any] = {name: default_of(name) for name in TABLE}
    origins = dict.fromkeys(TABLE, "default")
    warnings = []
    for name, value in read_file(file_text, file_name).items():
        values[name], origins[name] = _in_place(name, value, file_name), file_name
    for key, text in environment.items():
        if not key.startswith(PREFIX) or key in ENV_OTHER:
            continue
        name = key.removeprefix(PREFIX).lower()
        if name not in TABLE:
            warnings.append(f"{key}: no such setting; ignored")
            continue
        values[name], origins[name] = from_text(name, text, key), key
    for name, value in flags.items():
        flag = "--" + name.replace("_", "-")
        values[name], origins[name] = from_text(name, value, flag) if isinstance(value, str) else value, flag
    return Resolved(Settings(**values), origins, warnings)


def read_file(text: str, name: str) -> dict[str, Any]:
    """The table `[procserver]`, or `[tool.procserver]` of a pyproject.toml; unknown keys are refused."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name}: not TOML: {error}") from None
    except RecursionError:
        raise ConfigError(f"{name}: nested too deeply") from None
    if name.endswith("pyproject.toml"):
        table = _table(_table(document, "tool", name), "procserver", name)
    else:
        for key in document:
            if key != "procserver":
                raise ConfigError(f"{name}: [{key}] is not known here; allowed: [procserver]")
        table = _table(document, "procserver", name)
    for key in table:
        if key not in TABLE:
            raise ConfigError(f"{name}: {key}={table[key]!r}: no such setting; allowed: {', '.join(TABLE)}")
    return table


def _table(document: dict[str, Any], key: str, name: str) -> dict[str, Any]:
    table = document.get(key, {})
    if not isinstance(table, dict):
        raise ConfigError(f"{name}: {key}={table!r}: not a table; allowed: [{key}]")
    return dict(table)


def from_text(name: str, text: str, origin: str) -> Any:
    """A setting's value from a flag or the environment."""
    kind = TYPES[name]
    try:
        if kind == tuple[str, ...]:
            return tuple(part for part in text.replace(",", " ").split() if part)
        if kind is float:
            return seconds(text)
        if kind is int or (isinstance(kind, types.UnionType) and int in get_args(kind)):
            return int(text)
    except ValueError:
        unit = "a duration such as 500ms, 20s, 5m" if kind is float else "a whole number"
        raise ConfigError(f"{name}={text!r} ({origin}): not {unit}; allowed: {allowed(name)}") from None
    return text


def seconds(text: str) -> float:
    """`500ms`, `20s`, `5m`, `1h`, or a plain number of seconds; ValueError for anything else."""
    text = text.strip()
    for unit in ("ms", "s", "m", "h"):
        if text.endswith(unit):
            return float(text[: -len(unit)]) * _UNITS[unit]
    return float(text)


def _in_place(name: str, value: Any, origin: str) -> Any:
    """TOML has lists for our tuples, whole numbers for seconds, and text for durations."""
    kind = TYPES[name]
    if kind == tuple[str, ...]:
        return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value
    if kind is float and isinstance(value, str):
        return from_text(name, value, origin)
    return float(value) if kind is float and type(value) is int else value
