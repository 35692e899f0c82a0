"""Commands for a running server."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from procserver.clients import control as control_client

if TYPE_CHECKING:
    from collections.abc import Callable

SILENCE_S = 10.0


def asks(name: str, example: str) -> Callable[[Callable[..., int]], click.Command]:
    """A command that asks a running server something: with the two ways of naming one."""

    def made(function: Callable[..., int]) -> click.Command:
        function = click.option(
            "--bind", default="", metavar="ADDRESS", help="or the first address that it listens on"
        )(function)
        function = click.option("--control", default="", metavar="PATH", help="the server's control socket")(
            function
        )
        return click.command(name, epilog=f"Example: procserver {example}")(function)

    return made


def json_flag(function: Callable[..., int]) -> Callable[..., int]:
    return click.option("--json", "as_json", is_flag=True, help="the answer as JSON")(function)


@asks("status", "status --bind 127.0.0.1:9999 --json")
@json_flag
def status(control: str, bind: str, *, as_json: bool) -> int:
    """Show what a running server is doing."""
    path = control_client.find(control, bind)
    found = control_client.request(path, {"command": "status"})
    found["resources"] = _resources(found)
    click.echo(json.dumps(found, indent=2) if as_json else _for_people(found))
    return 0


@asks("reload", "reload --bind 127.0.0.1:9999")
@json_flag
def reload(control: str, bind: str, *, as_json: bool) -> int:
    """Bring in new settings and new handler code; the old ones serve on if they fail."""
    return _ask({"command": "reload"}, control, bind, as_json=as_json)


@asks("recycle", "recycle --bind 127.0.0.1:9999")
@json_flag
def recycle(control: str, bind: str, *, as_json: bool) -> int:
    """Replace every worker, its successor first."""
    return _ask({"command": "recycle"}, control, bind, as_json=as_json)


@asks("scale", "scale 32 --bind 127.0.0.1:9999")
@click.argument("workers", metavar="N|none")
@json_flag
def scale(workers: str, control: str, bind: str, *, as_json: bool) -> int:
    """Have N workers (static pool), or at most N (elastic); it outlives reloads, until `scale none`."""
    if workers != "none" and not workers.isdecimal():
        raise click.BadParameter(f"{workers!r} is neither a whole number nor none", param_hint="N")
    wanted = None if workers == "none" else int(workers)
    return _ask({"command": "scale", "workers": wanted}, control, bind, as_json=as_json)


@asks("stop", "stop --bind 127.0.0.1:9999")
@click.option("--now", is_flag=True, help="quick: conversations get one second, not graceful_timeout")
@json_flag
def stop(control: str, bind: str, *, now: bool, as_json: bool) -> int:
    """Stop a running server, and wait until it is gone."""
    return _ask({"command": "stop", "now": now}, control, bind, as_json=as_json)


@asks("upgrade", "upgrade --to /opt/new/bin/procserver")
@click.option(
    "--to", default="", metavar="BIN", help="another installation's procserver; default: this program, anew"
)
@json_flag
def upgrade(to: str, control: str, bind: str, *, as_json: bool) -> int:
    """Put a new program under the running service: same pid, same connections."""
    return _ask({"command": "upgrade", "to": to}, control, bind, as_json=as_json)


def _ask(command: dict[str, object], control: str, bind: str, *, as_json: bool) -> int:
    """One question whose answer may take time; the server tells every second that it is at work."""
    path = control_client.find(control, bind)
    answer = control_client.request(path, command, SILENCE_S, _show_progress)
    click.echo(json.dumps(answer) if as_json else answer["text"])
    return int(answer.get("exit_code", 0))


def _show_progress(news: dict[str, Any]) -> None:
    if sys.stderr.isatty():
        click.echo(
            f"  {news['state']}: {news['workers']} workers, {news['idle']} idle, {news['busy']} busy, "
            f"{news['starting']} starting, {news['draining']} draining",
            err=True,
        )


def _resources(found: dict[str, Any]) -> dict[str, object]:
    """Of the whole tree, measured here and now: the supervisor itself never loads psutil."""
    from procserver.resources import Tree

    try:
        tree = Tree(found["supervisor"]["pid"])
        usage, detail = tree.usage(), tree.detail()
    except ProcessLookupError as error:
        raise control_client.ControlError(f"the server has gone meanwhile ({error})") from None
    by_pid = {process.pid: process for process in detail.processes}
    for worker in found["workers"]:
        if (process := by_pid.get(worker["pid"])) is not None:
            worker |= {"cpu_s": process.cpu_s, "pss_bytes": process.pss_bytes, "uss_bytes": process.uss_bytes}
    return {
        "processes": usage.processes,
        "cpu_s": round(usage.cpu_s, 3),
        "pss_bytes": detail.pss_bytes,
        "uss_bytes": detail.uss_bytes,
        "fds": detail.fds,
        "threads": detail.threads,
        "voluntary_switches": detail.voluntary_switches,
        "involuntary_switches": detail.involuntary_switches,
    }


def _for_people(found: dict[str, Any]) -> str:
    service, pool, queue = found["supervisor"], found["pool"], found["queue"]
    totals, used = found["totals"], found["resources"]
    outcomes = (
        ", ".join(f"{count} {name}" for name, count in totals["outcomes"].items() if count) or "none ended"
    )
    open_now = totals["connections"] - sum(totals["outcomes"].values())
    lines = [f"{service['state']} on {', '.join(found['listeners'])}"]
    lines.append(
        f"  supervisor   pid {service['pid']}, up {_span(service['uptime_s'])}, generation {service['generation']}, "
        f"version {service['version']}"
    )
    lines.append(
        f"  workers      {pool['workers']} of at most {pool['max_workers']}: {pool['idle']} idle, {pool['busy']} busy, "
        f"{pool['starting']} starting, {pool['draining']} draining (most busy: {pool['busy_max']})"
    )
    lines.append(f"  queue        {queue['depth']} waiting of {queue['limit']} (most: {queue['depth_max']})")
    lines.append(f"  connections  {totals['connections']} accepted, {open_now} open; {outcomes}")
    lines.append(
        f"  messages     {totals['messages']}, {totals['bytes_in']} B in, {totals['bytes_out']} B out"
    )
    lines.append(
        f"  resources    {used['processes']} processes, {used['pss_bytes'] / 2**20:.1f} MiB PSS, "
        f"{used['cpu_s']:.2f} s CPU, {used['fds']} descriptors"
    )
    busy = [worker for worker in found["workers"] if worker["state"] == "busy"]
    lines += [
        f"  worker {worker['slot']:<5} pid {worker['pid']:<8} {worker['peer']:<24} {worker['stage']:<8} "
        f"{_span(worker['age_s'])}"
        for worker in busy[:20]
    ]
    if len(busy) > 20:
        lines.append(f"  … and {len(busy) - 20} more busy workers (--json lists all)")
    return "\n".join(lines)


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
