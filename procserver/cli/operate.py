"""The commands for a running server."""

from __future__ import annotations

import functools
import json
import sys
from typing import TYPE_CHECKING, Any

import click
import msgspec

from procserver.clients import control as control_client

if TYPE_CHECKING:
    from collections.abc import Callable

SILENCE_S = 10.0

Request = dict[str, object]


def _asks(name: str, example: str) -> Callable[[Callable[..., Request]], click.Command]:
    """A command that sends the request which the function returns to a running server, and shows the answer."""

    def made(function: Callable[..., Request]) -> click.Command:
        @click.option("--control", default="", metavar="PATH", help="the server's control socket")
        @click.option("--bind", default="", metavar="ADDRESS", help="or the first address that it listens on")
        @click.option("--json", "as_json", is_flag=True, help="the answer as JSON")
        @functools.wraps(function)
        def ask(*, control: str, bind: str, as_json: bool, **arguments: Any) -> int:
            command = function(**arguments)
            path = control_client.find(control, bind)
            answer = control_client.request(path, command, SILENCE_S, _show_progress)
            if name == "status":
                answer["resources"] = _resources(answer)
                click.echo(json.dumps(answer, indent=2) if as_json else _status_text(answer))
            else:
                click.echo(json.dumps(answer) if as_json else answer["text"])
            return int(answer.get("exit_code", 0))

        return click.command(name, epilog=f"Example: procserver {name} {example}")(ask)

    return made


@_asks("status", "--bind 127.0.0.1:9999 --json")
def status() -> Request:
    """Show what a running server is doing."""
    return {"command": "status"}


@_asks("reload", "--bind 127.0.0.1:9999")
def reload() -> Request:
    """Bring in new settings and new handler code; the old ones serve on if they fail."""
    return {"command": "reload"}


@_asks("recycle", "--bind 127.0.0.1:9999")
def recycle() -> Request:
    """Replace every worker, its successor first."""
    return {"command": "recycle"}


@_asks("scale", "32 --bind 127.0.0.1:9999")
@click.argument("workers", metavar="N|none")
def scale(workers: str) -> Request:
    """Have N workers (static pool), or at most N (elastic); it outlives reloads, until `scale none`."""
    if workers != "none" and not workers.isdecimal():
        raise click.BadParameter(f"{workers!r} is neither a whole number nor none", param_hint="N")
    return {"command": "scale", "workers": None if workers == "none" else int(workers)}


@_asks("stop", "--bind 127.0.0.1:9999")
@click.option("--now", is_flag=True, help="quick: conversations get one second, not graceful_timeout")
def stop(*, now: bool) -> Request:
    """Stop a running server, and wait until it has exited."""
    return {"command": "stop", "now": now}


@_asks("upgrade", "--to /opt/new/bin/procserver")
@click.option(
    "--to", default="", metavar="BIN", help="another installation's procserver; default: this program, anew"
)
def upgrade(to: str) -> Request:
    """Put a new program under the running service: same pid, same connections."""
    return {"command": "upgrade", "to": to}


def _show_progress(state: dict[str, Any]) -> None:
    if sys.stderr.isatty():
        click.echo(
            f"  {state['state']}: {state['workers']} workers, {state['idle']} idle, {state['busy']} busy, "
            f"{state['starting']} starting, {state['draining']} draining",
            err=True,
        )


def _resources(found: dict[str, Any]) -> dict[str, object]:
    """What all processes of the server use, measured here: the supervisor itself never loads psutil."""
    from procserver.resources import Tree

    try:
        tree = Tree(found["supervisor"]["pid"])
        usage, detail = tree.usage(), tree.detail()
    except ProcessLookupError as error:
        raise control_client.ControlError(f"the server has exited meanwhile ({error})") from None
    by_pid = {process.pid: process for process in detail.processes}
    for worker in found["workers"]:
        if (process := by_pid.get(worker["pid"])) is not None:
            worker |= {"cpu_s": process.cpu_s, "pss_bytes": process.pss_bytes, "uss_bytes": process.uss_bytes}
    found_now: dict[str, object] = msgspec.to_builtins(detail)
    return found_now | {"processes": usage.processes, "cpu_s": round(usage.cpu_s, 3)}


def _status_text(found: dict[str, Any]) -> str:
    service, pool, queue = found["supervisor"], found["pool"], found["queue"]
    totals, used = found["totals"], found["resources"]
    outcomes = ", ".join(f"{count} {name}" for name, count in totals["outcomes"].items() if count)
    open_now = totals["connections"] - sum(totals["outcomes"].values())
    text = (
        f"{service['state']} on {', '.join(found['listeners'])}\n"
        f"  supervisor   pid {service['pid']}, up {_span(service['uptime_s'])}, generation {service['generation']}, "
        f"version {service['version']}\n"
        f"  workers      {pool['workers']} of at most {pool['max_workers']}: {pool['idle']} idle, {pool['busy']} busy, "
        f"{pool['starting']} starting, {pool['draining']} draining (most busy: {pool['busy_max']})\n"
        f"  queue        {queue['depth']} waiting of {queue['limit']} (most: {queue['depth_max']})\n"
        f"  connections  {totals['connections']} accepted, {open_now} open; {outcomes or 'none ended'}\n"
        f"  messages     {totals['messages']}, {totals['bytes_in']} B in, {totals['bytes_out']} B out\n"
        f"  resources    {used['processes']} processes, {used['pss_bytes'] / 2**20:.1f} MiB PSS, "
        f"{used['cpu_s']:.2f} s CPU, {used['fds']} descriptors"
    )
    busy = [worker for worker in found["workers"] if worker["state"] == "busy"]
    for worker in busy[:20]:
        text += f"\n  worker {worker['slot']:<5} pid {worker['pid']:<8} {worker['peer']:<24} {worker['stage']:<8} "
        text += _span(worker["age_s"])
    if len(busy) > 20:
        text += f"\n  … and {len(busy) - 20} more busy workers (--json lists all)"
    return text


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
