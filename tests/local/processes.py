"""Starting, watching and killing programs of ours."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def clean_environment(**changes: str) -> dict[str, str]:
    """Ours, without what the tests' own servers put there."""
    ours = {"DATABASE_URL", "REDIS_URL", "VAR_DIR", "DATABASE_POOL_SIZE", "LOG_LEVEL", "PORT", "DJANGO_SETTINGS_MODULE"}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return kept | {"PYTHONUNBUFFERED": "1"} | changes


@contextmanager
def program(log: Path, *arguments: str, **environment: str) -> Iterator["subprocess.Popen[bytes]"]:
    """`python ARGUMENTS`, killed with all its descendants at the end if it is still there."""
    with log.open("wb") as output:
        child = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=clean_environment(**environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield child
    finally:
        kill_all(child.pid)
        child.wait()


def kill_all(pid: int) -> list[int]:
    """`kill -9` a process and everything below it; returns who that was."""
    doomed = [pid, *descendants(pid)]
    for each in doomed:
        with suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)
    return doomed


def descendants(pid: int) -> list[int]:
    said = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    children: dict[int, list[int]] = {}
    for line in said.splitlines():
        child, parent = map(int, line.split())
        children.setdefault(parent, []).append(child)
    found, queue = [], [pid]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def alive(pids: list[int]) -> list[int]:
    """Those that live; zombies do not."""
    said = subprocess.run(["ps", "-A", "-o", "pid=,stat="], capture_output=True, text=True, check=True).stdout
    states = {int(line.split()[0]): line.split()[1] for line in said.splitlines()}
    return [pid for pid in pids if not states.get(pid, "Z").startswith("Z")]


def eventually(is_so: Callable[[], object], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
