"""Commands for a running server."""

from __future__ import annotations

import json
from typing import Any

import click

from procserver import controlclient


@click.command(epilog="Example: procserver status --bind 127.0.0.1:9999 --json")
@click.option("--control", default="", metavar="PATH", help="the server's control socket")
@click.option("--bind", default="", metavar="ADDRESS", help="or the first address that it listens on")
@click.option("--json", "as_json", is_flag=True, help="everything, as JSON")
def status(control: str, bind: str, *, as_json: bool) -> int:
    """Show what a running server is doing."""
    path = controlclient.find(control, bind)
    found = controlclient.request(path, {"command": "status"})
    found["resources"] = _resources(found)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        click.echo(_for_people(found))
    return 0


def _resources(found: dict[str, Any]) -> dict[str, object]:
    """Of the whole tree, measured here and now: the supervisor itself never loads psutil."""
    from procserver.resources import Tree

    try:
        tree = Tree(found["supervisor"]["pid"])
        usage, detail = tree.usage(), tree.detail()
    except ProcessLookupError as error:
        raise controlclient.ControlError(f"the server has gone meanwhile ({error})") from None
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
