"""Child processes that must not outlive this one, and the end of those that did.

Does not import Django, and does not know which servers these are.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

STOP_SECONDS = 30
# From <linux/prctl.h> and <linux/sched.h>; Python has no names for them.
PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000


class ServerProblem(Exception):
    """The servers cannot run. The message says why and what to do about it, in one sentence."""


class EndWithParent:
    """A `preexec_fn`: the child gets `on_death` when this process ends, even if it was killed (Linux only).

    `leave_root` moves it into a user namespace of its own, where it is nobody while its files stay ours: PostgreSQL
    does not run as root, and this needs no new user and no change of modes.
    """

    def __init__(self, on_death: signal.Signals, *, leave_root: bool = False) -> None:
        self.parent = os.getpid()
        self.on_death = on_death
        self.leave_root = leave_root
        self.libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None  # loaded before the fork

    def __call__(self) -> None:
        if self.libc is None:
            return
        if self.leave_root and self.libc.unshare(CLONE_NEWUSER) != 0:
            raise OSError(ctypes.get_errno(), "no user namespace")
        self.libc.prctl(PR_SET_PDEATHSIG, self.on_death)  # after the change of user, which clears it
        # The parent died between the fork and this line, so its death will send no signal any more.
        if os.getppid() != self.parent:
            os._exit(1)


def bound_to_us(on_death: signal.Signals = signal.SIGTERM) -> Callable[[], None]:
    """A `preexec_fn` for children that must not outlive this process."""
    return EndWithParent(on_death)


def may_leave_root() -> bool:
    # Tried and not looked up: distributions restrict user namespaces in several ways.
    true = shutil.which("true") or "/bin/true"
    try:
        probe = subprocess.run([true], preexec_fn=EndWithParent(signal.SIGKILL, leave_root=True), check=False)
    except (OSError, subprocess.SubprocessError):
        return False
    return probe.returncode == 0


def end_leftover(pid_file: Path, directory: Path) -> None:
    """Stop a server of this data directory that outlived its owner.

    The process id in the file may belong to a dead process, a zombie, or a stranger that got the same number later.
    These are left alone.
    """
    try:
        pid = int(pid_file.read_text(encoding="ascii").split()[0])
    except (FileNotFoundError, ValueError, IndexError):
        return

    if _serves(pid, directory):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)
    deadline = time.monotonic() + STOP_SECONDS
    while _serves(pid, directory):
        if time.monotonic() > deadline:
            raise ServerProblem(f"Process {pid} still uses {directory} and does not stop: end it and start again.")
        time.sleep(0.05)
    # A stale file could keep the next server from starting.
    pid_file.unlink(missing_ok=True)


def _serves(pid: int, directory: Path) -> bool:
    """Whether the process lives and works in this directory."""
    if sys.platform != "linux":
        try:
            os.kill(pid, 0)
        except OSError:
            return False
        said = subprocess.run(
            ["/bin/ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
        return str(directory) in said.stdout
    try:
        # The name of a process stands in brackets and may contain anything, so the fields behind the last one are read.
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        return state not in {"Z", "X"} and Path(f"/proc/{pid}/cwd").resolve() == directory.resolve()
    except (OSError, IndexError):
        return False
