"""PostgreSQL and Redis for the tests, started before anything reads the settings.

An early plugin (`-p tests.servers` in pyproject.toml), because pytest-django loads the settings before any conftest.py.
With xdist the first process owns the servers; each worker gets a database of its own from pytest-django, and a Redis
of its own here.
"""

import atexit
import contextlib
import fcntl
import gc
import os
import shutil
import tempfile
from pathlib import Path

from apps.local import embedded
from apps.local.processes import ServerProblem

ROOT = Path(__file__).resolve().parent.parent
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")


def _directory(stack: contextlib.ExitStack) -> Path:
    """`var/test`, kept from run to run; while another run uses it, a directory that goes away."""
    kept = ROOT / "var" / "test"
    kept.mkdir(parents=True, exist_ok=True)
    lock = stack.enter_context((kept / "run.lock").open("a"))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        other = Path(tempfile.mkdtemp(prefix="cosmomatch-test-"))
        stack.callback(shutil.rmtree, other, ignore_errors=True)
        return other
    return kept


def _start() -> None:
    """Once per run: the environment that is set here is inherited by xdist's workers."""
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    var = _directory(stack)
    stack.enter_context(
        embedded.use(var, postgres="DATABASE_URL" not in os.environ, redis="REDIS_URL" not in os.environ, durable=False)
    )
    os.environ.setdefault("DATABASE_URL", embedded.database_url(var))
    os.environ.setdefault("REDIS_URL", embedded.redis_url(var))
    os.environ["VAR_DIR"] = str(var)
    os.environ["DATABASE_POOL_SIZE"] = "0"  # idle connections of a pool would keep a test database from being dropped
    os.environ["LOG_LEVEL"] = "WARNING"


if not WORKER:
    try:
        _start()
    except ServerProblem as problem:
        raise SystemExit(str(problem)) from problem
elif os.environ["REDIS_URL"].startswith("unix:"):
    os.environ["REDIS_URL"] += f"?db={2 * (int(WORKER.removeprefix('gw')) + 1)}"


def pytest_configure() -> None:
    """Settings that only save the tests time."""
    from django.conf import settings

    # Hashing a password as slowly as in earnest would take half of the time of the tests.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    # WhiteNoise looks for a static file when one is asked for. Otherwise every test client that is made, which is one
    # in each test, would first list all static files: 20 ms of computing.
    settings.WHITENOISE_AUTOREFRESH = True

    from tests import emptying

    emptying.install()


def pytest_collection_finish() -> None:
    """Have the garbage collector pass over what is there for good: all modules and all collected tests.

    They are some 300,000 objects. Looking through them again and again took a fifteenth of the time of the tests.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
