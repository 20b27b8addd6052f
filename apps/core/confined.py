"""Runs a script on a file of a stranger in a process of its own, with little time and memory and no secrets.

A file of 50 kB may take minutes to read, or fill the memory, or use a fault of the library that reads it. The system
ends the process that tries. This file is the beginning of that process, too: it runs without the program.
"""

import resource
import runpy
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

WALL_SECONDS: Final = 20  # on a machine that is busy
# Of one process of the program, which has four threads: the others are left to pages.
AT_ONCE: Final = 2
# A file that takes longer is dear: its sender rests ten times as long as it took beyond this.
USUAL_SECONDS: Final = 3
_RESTS: Final = 10

_lock: Final = threading.Lock()
_at_work: Final[set[int]] = set()
_rests_until: Final[dict[int, float]] = {}


class TooCostlyError(Exception):
    """The script needed more time or memory than it may have."""


class BrokenError(Exception):
    """The script ended with an error: a broken file breaks anywhere in a library, with whatever comes up."""


@contextmanager
def place(owner: int) -> Iterator[None]:
    """A place to read one file of this organisation, while somebody waits for the answer. Raises `busy` (503).

    An organisation has one, and none for a while after a dear file: two of them cannot keep the others out.
    """
    # Not at the head, which the process of its own runs without the program.
    from django.utils.translation import gettext_lazy as _

    from apps.core.errors import RuleViolation

    began = time.monotonic()
    with _lock:
        for name in [name for name, until in _rests_until.items() if until < began]:
            del _rests_until[name]
        # It does not wait for a place: a thread that waits is taken from the pages, too.
        if owner in _at_work or owner in _rests_until or len(_at_work) >= AT_ONCE:
            raise RuleViolation("busy", _("Try again in a moment."), status=503)
        _at_work.add(owner)
    try:
        yield
    finally:
        with _lock:
            _at_work.remove(owner)
            if (beyond := time.monotonic() - began - USUAL_SECONDS) > 0:
                _rests_until[owner] = time.monotonic() + beyond * _RESTS


def run(script: Path, data: bytes, *arguments: str, cpu_seconds: int, memory_bytes: int) -> bytes:
    """What the script writes to its standard output about `data`. Raises `TooCostlyError` and `BrokenError`.

    `memory_bytes` is of addresses; Python alone takes some 40 MB. The script can import packages, and nothing of ours.
    A thread that answers requests takes a `place` first.
    """
    command = [sys.executable, "-I", __file__, str(cpu_seconds), str(memory_bytes), str(script), *arguments]
    try:
        # Without the environment, which holds the secrets of the program.
        child = subprocess.run(command, input=data, capture_output=True, env={}, timeout=WALL_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise TooCostlyError from error
    if child.returncode < 0 or child.stderr.rstrip().endswith(b"MemoryError"):
        raise TooCostlyError
    if child.returncode:
        raise BrokenError(child.stderr[-500:].decode(errors="replace"))
    return child.stdout


def _main() -> None:
    cpu_seconds, memory_bytes = int(sys.argv[1]), int(sys.argv[2])
    # Before the file is looked at. Nothing may be written but the answer.
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    sys.argv = sys.argv[3:]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    _main()
