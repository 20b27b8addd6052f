"""Makes `.venv` with the locked packages, then becomes the command that was asked for.

    python3 apps/local/bootstrap.py base|dev ARGUMENTS...    runs `.venv/bin/python ARGUMENTS...`

Needs nothing but a Python, written so that one as old as 3.6 can read it and say which one is missing.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "installed"
LOG = ROOT / "var" / "install.log"

NO_ROOM = ("No space left on device", "os error 28", "Disk quota exceeded")
NO_RIGHT = ("Permission denied", "Read-only file system")
NO_NETWORK = (
    "Temporary failure in name resolution", "Name or service not known", "nodename nor servname", "dns error",
    "Network is unreachable", "No route to host", "Connection refused", "Failed to establish a new connection",
    "Could not connect", "tcp connect error", "timed out", "error sending request", "Could not fetch URL",
)  # fmt: skip


def main() -> None:
    if sys.version_info < (3, 11):
        this = ".".join(str(part) for part in sys.version_info[:2])
        fail(
            f"CosmoMatch needs Python 3.11 or newer; this is {this}. "
            "If there is a newer one, name it: make run PYTHON=python3.12"
        )
    # File locks, `execv` and the servers of our own need a POSIX system.
    if os.name != "posix":
        fail("CosmoMatch runs on Linux and macOS; on Windows use WSL.")

    wanted, arguments = sys.argv[1], sys.argv[2:]
    os.chdir(str(ROOT))
    try:
        install_alone(wanted)
    except OSError as error:
        if any(sign in str(error) for sign in NO_ROOM):
            fail(f"The disk that holds {ROOT} is full: make room and start again.")
        fail(f"{error.filename or ROOT} cannot be written to: {error.strerror or error}.")
    except KeyboardInterrupt:
        sys.exit(130)

    # Becomes the command instead of starting it: signals reach it directly, and no process waits in between.
    os.execv(str(PYTHON), [str(PYTHON), *arguments])  # noqa: S606  ours


def install_alone(wanted: str) -> None:
    """Install under a lock, because two commands may be started at the same time."""
    # Not on Windows, where `main` has said so before this line.
    import fcntl

    LOG.parent.mkdir(exist_ok=True)
    with (LOG.parent / "install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        install(wanted)


def install(wanted: str) -> None:
    """Install the locked packages, unless these very ones, or more than them, are there."""
    lists = {"base": digest("base"), "dev": digest("base", "dev")}
    installed = STAMP.read_text().strip() if STAMP.exists() else ""
    if works(PYTHON) and installed in {lists[wanted], lists["dev"]}:
        return

    # Gone before anything changes: an installation that is interrupted must not look finished.
    if STAMP.exists():
        STAMP.unlink()
    LOG.write_text("")
    uv = ["uv"] if runs(["uv", "--version"]) else []  # a shim may stand for nothing
    if not works(PYTHON):
        say("Making .venv")
        make_venv(uv)
    say("Installing the locked packages" + ("" if uv else " (without uv this takes a minute or two)"))
    if not install_packages(uv, ["--require-hashes", "-r", str(Path("requirements", f"{wanted}.txt"))]):
        explain("The locked packages could not be installed")
    STAMP.write_text(lists[wanted])


def make_venv(uv: "list[str]") -> None:
    if uv and runs([*uv, "venv", "--clear", "--python", sys.executable, str(VENV)]) and works(PYTHON):
        return
    if not runs([sys.executable, "-m", "venv", "--clear", str(VENV)]):
        if "ensurepip" in LOG.read_text(errors="replace"):
            fail("This Python cannot make a .venv: install the package python3-venv, or uv, and start again.")
        explain("The folder .venv could not be made")


def install_packages(uv: "list[str]", what: "list[str]") -> bool:
    """Install with uv, or if that fails with pip, which may know another index. Returns whether it went well."""
    # uv is ten times as fast; both check the same hashes.
    if uv and runs([*uv, "pip", "install", "--python", str(PYTHON), *what]):
        return True
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check"]
    if not runs([*pip, "--version"]) and not runs([str(PYTHON), "-m", "ensurepip"]):
        return False
    return runs([*pip, "install", "--retries", "2", "--timeout", "20", *what])


def works(python: Path) -> bool:
    # It is run and not only looked for: a `.venv` breaks when the Python that made it is removed.
    return python.exists() and runs([str(python), "-c", "import sys; sys.exit(sys.version_info < (3, 11))"])


def runs(command: "list[str]") -> bool:
    """Run a command, with its output in the log. Returns whether it went well."""
    with LOG.open("ab") as log:
        try:
            return (
                subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False).returncode == 0
            )
        except OSError:
            return False


def explain(what: str) -> None:
    """End with the cause in one sentence, if it is a known one, or with the place of the log."""
    said = LOG.read_text(errors="replace")
    if any(sign in said for sign in NO_ROOM):
        fail(f"{what}: the disk is full.")
    if any(sign in said for sign in NO_RIGHT):
        fail(f"{what}: {ROOT} cannot be written to.")
    if any(sign in said for sign in NO_NETWORK):
        fail(f"{what}: the package index cannot be reached; the network is needed this once.")
    fail(f"{what}; why is at the end of {LOG}")


def digest(*names: str) -> str:
    content = b"".join(Path("requirements", f"{name}.txt").read_bytes() for name in names)
    return names[-1] + ":" + hashlib.sha256(content).hexdigest()


def say(step: str) -> None:
    print(step, flush=True)


def fail(sentence: str) -> None:
    sys.exit(sentence)


if __name__ == "__main__":
    main()
