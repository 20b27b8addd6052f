"""Hosts of our own on one machine: network namespaces on a bridge. Their addresses are those for tests of RFC 2544."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tests.local.processes import ROOT, clean_environment, kill_all

HUB: Final = "198.18.0.1"


def can_be_made() -> bool:
    """Whether this user may make network namespaces."""
    name = f"cm{os.getpid()}-probe"
    try:
        made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
    if made:
        ip("netns", "del", name)
    return made


class Network:
    """A hub, whose bridge joins all hosts. The servers and the proxies stand there."""

    def __init__(self) -> None:
        self._hosts: list[str] = []
        self._running: list[subprocess.Popen[bytes]] = []
        self.hub = self._add("hub")
        ip("-n", self.hub, "link", "add", "br0", "type", "bridge")
        ip("-n", self.hub, "addr", "add", f"{HUB}/24", "dev", "br0")
        ip("-n", self.hub, "link", "set", "br0", "up")

    def host(self, name: str) -> tuple[str, str]:
        """A new host: its namespace, and its address."""
        space = self._add(name)
        address = f"198.18.0.{10 + len(self._hosts)}"
        cable = f"v{len(self._hosts)}"
        ip("-n", self.hub, "link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", space)
        ip("-n", self.hub, "link", "set", cable, "master", "br0", "up")
        ip("-n", space, "addr", "add", f"{address}/24", "dev", "eth0")
        ip("-n", space, "link", "set", "eth0", "up")
        return space, address

    def _add(self, name: str) -> str:
        space = f"cm{os.getpid()}-{name}"
        ip("netns", "add", space)
        self._hosts.append(space)
        ip("-n", space, "link", "set", "lo", "up")
        return space

    def start(self, space: str, log: Path, *arguments: str, **environment: str) -> "subprocess.Popen[bytes]":
        """`python ARGUMENTS` on a host."""
        with log.open("ab") as output:
            child = subprocess.Popen(
                ["ip", "netns", "exec", space, sys.executable, *arguments],
                cwd=ROOT,
                env=clean_environment(**environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._running.append(child)
        return child

    def end(self) -> None:
        for child in self._running:
            with suppress(ProcessLookupError):
                kill_all(child.pid)
            child.wait()
        for space in self._hosts:
            ip("netns", "del", space)


@contextmanager
def network() -> Iterator[Network]:
    built = Network()
    try:
        yield built
    finally:
        built.end()


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
