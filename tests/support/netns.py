"""Hosts of a small network, as namespaces of this machine: a star of links, each of which can be cut.

with star(2) as net:          the hub has 10.77.0.1, the hosts 10.77.1.2, 10.77.2.2 ...
    net.command(0, "locust", ...)
    net.cut(1)
"""

import contextlib
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator

__all__ = ["HUB", "Star", "reason_for_none", "star"]

HUB = "10.77.0.1"


class Star:
    """`hosts` are the names of the namespaces around `hub`."""

    def __init__(self, count: int) -> None:
        mark = f"lt{secrets.token_hex(3)}"
        self.hub = f"{mark}h"
        self.hosts = [f"{mark}n{i}" for i in range(count)]

    def build(self) -> None:
        for name in (self.hub, *self.hosts):
            _ip("netns", "add", name)
            _ip("-n", name, "link", "set", "lo", "up")
        _ip("-n", self.hub, "address", "add", f"{HUB}/32", "dev", "lo")
        for i, host in enumerate(self.hosts):
            net = f"10.77.{i + 1}"
            _ip(
                "-n",
                self.hub,
                "link",
                "add",
                f"to{i}",
                "type",
                "veth",
                "peer",
                "name",
                "tohub",
                "netns",
                host,
            )
            for place, device, address in (
                (self.hub, f"to{i}", f"{net}.1/24"),
                (host, "tohub", f"{net}.2/24"),
            ):
                _ip("-n", place, "address", "add", address, "dev", device)
                _ip("-n", place, "link", "set", device, "up")
            _ip("-n", host, "route", "add", "default", "via", f"{net}.1")

    def remove(self) -> None:
        for name in (self.hub, *self.hosts):
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)

    def at_hub(self, *command: str) -> list[str]:
        return ["ip", "netns", "exec", self.hub, *command]

    def at(self, host: int, *command: str) -> list[str]:
        return ["ip", "netns", "exec", self.hosts[host], *command]

    def cut(self, host: int) -> None:
        """What is on its way to or from this host is lost, and nobody is told."""
        _ip("-n", self.hub, "link", "set", f"to{host}", "down")


@contextlib.contextmanager
def star(count: int) -> Iterator[Star]:
    net = Star(count)
    try:
        if count:
            net.build()
        yield net
    finally:
        net.remove()


def reason_for_none() -> str:
    """Why there can be no namespaces here; empty if there can."""
    if os.geteuid() != 0:
        return "only root makes network namespaces"
    if shutil.which("ip") is None:
        return "there is no `ip` (iproute2)"
    name = f"lt{secrets.token_hex(3)}"
    try:
        _ip("netns", "add", name)
        _ip("-n", name, "link", "add", "one", "type", "veth", "peer", "name", "other")
    except subprocess.CalledProcessError as error:
        return f"no network namespaces here: {error.stderr.decode().strip()}"
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)
    return ""


def _ip(*args: str) -> None:
    subprocess.run(["ip", *args], check=True, capture_output=True, timeout=20)
