"""`make run`: the servers, then the program's processes, in one group that stops as one.

Children are bound to this process: whatever ends it, even `kill -9`, ends them. One that dies by itself is started
again, later and later while it keeps dying. One that hangs is ended first: its heartbeat file tells.
"""

import contextlib
import fcntl
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from apps.local.processes import bound_to_us

STOP_SECONDS = 20  # all processes together have this long to end by themselves; then they are killed
LONGEST_PAUSE = 30.0  # seconds between two starts of a process that keeps dying
STEADY_SECONDS = 60  # a process that lived this long did not die of its start
SILENT_SECONDS = 60  # a process that has not touched its heartbeat file for this long hangs


class CannotRun(Exception):
    """The program cannot run. The message says why, in one sentence."""


@dataclass
class Process:
    """One of the program's processes, started again when it dies."""

    name: str
    command: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Sequence[int] = ()
    child: subprocess.Popen[bytes] | None = None
    touched: int = 0
    heard_at: float = 0
    started_at: float = 0
    pause: float = 0
    again_at: float = 0

    def start(self, now: float) -> None:
        self.child = self.spawn()
        self.started_at = self.heard_at = now

    def spawn(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            self.command,
            env={**os.environ, **self.environment},
            pass_fds=self.files,
            stdin=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C is for us: we stop them in order
            preexec_fn=bound_to_us(),  # noqa: PLW1509  one thread
        )

    def is_silent(self, now: float) -> bool:
        """Whether it has stopped to touch its file. Workers and beat have one, when their loops have begun."""
        folder = {**os.environ, **self.environment}.get("HEARTBEAT_DIR", "")
        try:
            touched = Path(folder, str(self.child and self.child.pid)).stat().st_mtime_ns
        except FileNotFoundError:
            return False
        # Changes are watched and not the time that the file bears: that clock may be set, or a laptop may sleep.
        if touched != self.touched:
            self.touched, self.heard_at = touched, now
        return now - self.heard_at > SILENT_SECONDS

    def mend(self, now: float, say: Callable[[str], None]) -> None:
        """End it if it hangs, and start it again if it is dead and its pause is over."""
        if self.child is None:
            if now >= self.again_at:
                self.start(now)
            return
        if self.child.poll() is None and self.is_silent(now):
            say(f"{self.name} has not been heard for {SILENT_SECONDS} s")
            self.kill()
        if (status := self.child.poll()) is None:
            return
        self.child = None
        # Exponential back-off: 1, 2, 4 … seconds while it keeps dying.
        self.pause = 1 if now - self.started_at > STEADY_SECONDS else min(LONGEST_PAUSE, self.pause * 2 or 1)
        self.again_at = now + self.pause
        ended = f"exit status {status}" if status >= 0 else signal.Signals(-status).name
        say(f"{self.name} ended ({ended}); starting it again in {self.pause:.0f} s")

    def ask_to_stop(self) -> None:
        if self.child is not None and self.child.poll() is None:
            self.child.terminate()

    def wait_or_kill(self, deadline: float) -> None:
        if self.child is None:
            return
        try:
            self.child.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        assert self.child is not None
        with contextlib.suppress(ProcessLookupError):
            # The whole group, because Celery and gunicorn have children of their own.
            os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait()


def processes(
    listener: socket.socket | None, *, workers: int, mail_port: int | None, var: Path, database_url: str | None = None
) -> list[Process]:
    """The processes of the program in the order in which they start; they stop in the opposite one.

    They use `database_url`, or the one of the environment. Without a `listener` there is no web.
    """
    python = sys.executable
    files = [listener.fileno()] if listener else []
    metrics = var / "metrics"
    shutil.rmtree(metrics, ignore_errors=True)  # counters of processes that are long gone
    metrics.mkdir(parents=True)
    heartbeats = var / "heartbeats"
    shutil.rmtree(heartbeats, ignore_errors=True)  # of processes that are gone
    heartbeats.mkdir()
    environment = {
        "PROCESS": "worker",
        "HEARTBEAT_DIR": str(heartbeats),
        "PROMETHEUS_MULTIPROC_DIR": str(metrics),
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges",
    }
    if database_url:
        environment["DATABASE_URL"] = database_url
    if mail_port:
        environment["EMAIL_PORT"] = str(mail_port)

    return [
        # First in the list, because the others may send mail as soon as they run.
        *([Process("mail", [python, "-m", "apps.local.mail", str(mail_port), str(var / "mail")])] if mail_port else []),
        Process(
            "program",
            [python, "-m", "apps.local.forked", str(workers), *map(str, files)],
            environment,
            files,
        ),
    ]


def supervise(
    group: Sequence[Process],
    *,
    is_ready: Callable[[], bool],
    when_ready: Callable[[], None],
    mend_servers: Callable[[], None],
    say: Callable[[str], None],
    stop: "Stop",
) -> None:
    """Run the group until `stop` is set."""
    announced = False
    # From here on a signal must not break off the loop in the middle: it is seen at the next turn.
    stop.interrupts = False
    try:
        for process in group:
            process.start(time.monotonic())
        while not stop.wait(1 if announced else 0.2):
            for process in group:
                process.mend(time.monotonic(), say)
            mend_servers()
            if not announced and is_ready():
                when_ready()
                announced = True
    finally:
        say("Stopping")
        for process in reversed(group):
            process.ask_to_stop()
        # All are asked first and share one deadline, so that stopping takes as long as the slowest and not the sum.
        deadline = time.monotonic() + STOP_SECONDS
        for process in reversed(group):
            process.wait_or_kill(deadline)


class Stop(threading.Event):
    """Set by Ctrl-C, TERM or the end of the terminal.

    While things are prepared, a signal also raises `KeyboardInterrupt`. Later the supervisor waits for this event.
    """

    interrupts = True

    def on_signal(self, *_: object) -> None:
        self.set()
        if self.interrupts:
            self.interrupts = False
            raise KeyboardInterrupt


@contextlib.contextmanager
def stop_on_signals() -> Iterator[Stop]:
    stop = Stop()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, stop.on_signal) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def only_one(var: Path, address: str) -> Iterator[None]:
    """Hold `var/run.lock`, or say who does."""
    try:
        var.mkdir(parents=True, exist_ok=True)
        file: IO[str] = (var / "run.lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise CannotRun(f"{var} cannot be written to: {error.strerror}.") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise CannotRun(
                f"CosmoMatch already runs from this folder: {file.read().strip() or 'it is starting'}."
            ) from error
        # The note is for whoever is refused; the lock alone decides, and the kernel drops it with this process.
        file.truncate(0)
        file.write(f"process {os.getpid()}, {address}")
        file.flush()
        yield


def take_port(port: int) -> socket.socket:
    """A socket that holds the port; gunicorn will listen on it, and inherits it again if it has to be started again."""
    # Bound early and kept open: nobody can take the port between the check and the start of the web server.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except PermissionError as error:
        raise CannotRun(
            f"Port {port} is for the system's own services; choose one above 1023: make run PORT=8001"
        ) from error
    except OSError as error:
        raise CannotRun(
            f"Port {port} is in use by another program; choose another one: make run PORT={port + 1}"
        ) from error
    return listener


def answers_ready(port: int, host: str) -> bool:
    """Whether `/readyz` says that database, Redis, worker and beat all work."""
    # By the address of the loopback, with the public name as host: the name may not resolve on this machine.
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=3)
    try:
        connection.request("GET", "/readyz", headers={"Host": host})
        return set(json.load(connection.getresponse())["checks"].values()) == {"ok"}
    except (OSError, http.client.HTTPException, ValueError):
        return False
    finally:
        connection.close()


def free_port() -> int:
    with socket.socket() as probe:
        # The kernel chooses. Another program might take it before we do, which is unlikely and ends in a clear error.
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
