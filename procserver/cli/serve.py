"""`procserver serve` and `procserver check`: every setting is a flag."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeVar

import click

from procserver.cli.settings_sources import PREFIX, Resolved, resolve
from procserver.errors import ConfigError
from procserver.server import Server
from procserver.settings import TABLE, TYPES, allowed, choices_of, default_of
from procserver.shared.worker_config import BUILTIN_HANDLER
from procserver.supervisor.inherited_fds import check_ready_fd
from procserver.supervisor.upgrade.handover import STATE_FD

Command = TypeVar("Command", bound=click.Command)


def settings_flags(command: Command) -> Command:
    """Add a flag for each setting, in the order of the table, and `--config`."""
    for name, row in TABLE.items():
        default = default_of(name)
        shown = ", ".join(default) if isinstance(default, tuple) else default
        text = row.text + (f" [{allowed(name)}]" if choices_of(name) else "")
        if shown not in (None, ""):
            text += (
                f" (default {shown:g}{row.unit and ' ' + row.unit})" if row.unit else f" (default {shown})"
            )
        command.params.append(
            click.Option(
                ["--" + name.replace("_", "-")],
                help=text,
                multiple=TYPES[name] == tuple[str, ...],
                metavar="ADDRESS" if name == "bind" else (row.unit or "").upper() or None,
            )
        )
    command.params.append(
        click.Option(
            ["--config"], metavar="FILE", envvar=PREFIX + "CONFIG", help="read [procserver] of this TOML file"
        )
    )
    return command


def resolve_flags(flags: dict[str, Any]) -> Resolved:
    """Merge flags, environment and the file of `--config`; ConfigError as `resolve`, or if it cannot be read."""
    file_name = flags.pop("config") or ""
    text = ""
    if file_name:
        try:
            text = Path(file_name).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"config={file_name!r}: cannot be read ({error})") from None
    given = {name: value for name, value in flags.items() if value not in (None, ())}
    return resolve(given, os.environ, text, file_name)


@settings_flags
@click.command(
    epilog="Example: procserver serve examples.echo:handle --bind 127.0.0.1:7777 --workers 8",
    context_settings={"max_content_width": 110},
)
@click.argument("handler", default=BUILTIN_HANDLER, metavar="[MODULE:CALLABLE]")
@click.option(
    "--ready-fd", type=click.IntRange(0), default=None, metavar="N", help="write one line there when ready"
)
@click.option("--debug", is_flag=True, help="serve in this process, one connection after another (for pdb)")
def serve(handler: str, ready_fd: int | None, *, debug: bool, **flags: Any) -> int:
    """Serve a protocol: by default the greeting."""
    resolved = resolve_flags(dict(flags))
    for warning in resolved.warnings:
        click.echo(f"procserver: {warning}", err=True)
    if ready_fd is not None and STATE_FD not in os.environ:  # else it has been written and closed
        check_ready_fd(ready_fd)
    if debug:
        from procserver.cli.debug import serve_in_foreground

        return serve_in_foreground(handler, resolved.settings)
    server = Server(
        handler,
        resolved.settings,
        ready_fd=-1 if ready_fd is None else ready_fd,
        reread=lambda: resolve_flags(dict(flags)).settings,
    )
    return server.run()


@settings_flags
@click.command(epilog="Example: procserver check --print --config procserver.toml")
@click.argument("handler", default=BUILTIN_HANDLER, metavar="[MODULE:CALLABLE]")
@click.option("--print", "print_", is_flag=True, help="show each value and where it came from")
def check(handler: str, *, print_: bool, **flags: Any) -> int:
    """Validate settings and handler; bind nothing."""
    from procserver.cli.debug import load_apart

    resolved = resolve_flags(flags)
    load_apart(handler)
    for warning in resolved.warnings:
        click.echo(f"procserver: {warning}", err=True)
    if print_:
        width = max(map(len, TABLE))
        for name in TABLE:
            value = getattr(resolved.settings, name)
            shown = ", ".join(value) if isinstance(value, tuple) else "-" if value in (None, "") else value
            click.echo(f"{name:{width}}  {shown!s:24}  {resolved.origins[name]}")
    else:
        click.echo("the settings and the handler are valid")
    return 0
