"""PostgreSQL and Valkey of our own: found, set up, started, stopped, and picked up again after a crash.

This module does not import Django, because `manage.py` calls it before the settings are read. The first process that
needs the servers starts and owns them; others connect. All waiting is done with file locks in `var/`, which the kernel
drops however a process ends:

* `start.lock`, exclusive, while servers are started or stopped;
* `owner.lock`, exclusive, held by the process whose children the servers are;
* `users.lock`, shared, held by every process that uses them: an owner that ends waits for the others.

Nothing listens on a network: both servers speak through sockets in a directory that only this user may enter.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from apps.local.binaries import Binaries, postgres_binaries, refuse_other_version, valkey_binary, version_of
from apps.local.processes import STOP_SECONDS, EndWithParent, ServerProblem, end_leftover, may_leave_root
from apps.ops.roles import CREATE, PROGRAM

USER = DATABASE = "cosmomatch"
START_SECONDS = 60  # recovery after a crash may take long
LEAST_FREE_BYTES = 200_000_000  # room for a new cluster and its write-ahead log

Say = Callable[[str], None]


# --- Where things are -------------------------------------------------------------------------------------------------


def socket_directory(var: Path) -> Path:
    """The folder of the sockets, named by a hash of `var`: a socket's path may have 107 bytes at most."""
    name = hashlib.sha256(os.fsencode(os.path.realpath(var))).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"cosmomatch-{os.getuid()}-{name}"


def database_url(var: Path) -> str:
    return f"postgresql://{USER}@/{DATABASE}?host={socket_directory(var)}"


def program_url(var: Path) -> str:
    """The same database as the role that web and workers use. Commands run as the owner of the tables."""
    return f"postgresql://{PROGRAM}@/{DATABASE}?host={socket_directory(var)}"


def redis_url(var: Path) -> str:
    return f"unix://{socket_directory(var)}/redis.sock"


def var_directory() -> Path:
    """The folder of all data: `VAR_DIR`, or `var/` beside `manage.py`. The settings compute the same."""
    root = Path(__file__).resolve().parents[2]
    return Path(os.environ.get("VAR_DIR", "").strip() or root / "var").expanduser().absolute()


def name_in_environment() -> None:
    """Set `DATABASE_URL` and `REDIS_URL` to servers of our own, unless the environment names others.

    Call it before anything reads the settings. Child processes inherit the addresses.
    """
    var = var_directory()
    for name, url in (("DATABASE_URL", database_url(var)), ("REDIS_URL", redis_url(var))):
        if not any(os.environ.get(given, "").strip() for given in (name, f"{name}_FILE")):
            os.environ[name] = url


def named_servers() -> "contextlib.AbstractContextManager[Servers | None]":
    """The servers of our own that `name_in_environment` named; none if the environment named others."""
    var = var_directory()
    postgres = os.environ.get("DATABASE_URL") == database_url(var)
    redis = os.environ.get("REDIS_URL") == redis_url(var)
    return use(var, postgres=postgres, redis=redis) if postgres or redis else contextlib.nullcontext()


def _private_directory(path: Path) -> Path:
    # `/tmp` is open to all users: somebody else may have made this name beforehand, or a link of it.
    path.mkdir(mode=0o700, exist_ok=True)
    facts = path.lstat()
    if path.is_symlink() or facts.st_uid != os.getuid():
        raise ServerProblem(f"{path} belongs to somebody else: remove it or set TMPDIR to a folder of your own.")
    path.chmod(0o700)
    return path


# --- Using them -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def use(
    var: Path,
    *,
    postgres: bool = True,
    redis: bool = True,
    durable: bool = True,
    must_own: bool = False,
    say: Say = lambda _: None,
) -> "Iterator[Servers]":
    """Servers that answer for as long as the block runs. Raises `ServerProblem`.

    `must_own` waits until no other process owns them. Servers that are not `durable` are for tests: a crash loses
    their data.
    """
    with _clear_words(var):
        var.mkdir(parents=True, exist_ok=True)
        # Open until the end: a lock belongs to the open file and goes with it.
        users = _open_lock(var / "users.lock")
        owner = _open_lock(var / "owner.lock")
        servers = Servers(var, postgres=postgres, redis=redis, durable=durable, say=say)
        owned = _start_or_join(var, users, owner, servers, must_own=must_own, say=say)

    try:
        yield servers
    finally:
        fcntl.flock(users, fcntl.LOCK_UN)
        if owned:
            _stop_after_last_user(var, users, owner, servers)
        users.close()
        owner.close()


def _start_or_join(var: Path, users: IO[str], owner: IO[str], servers: "Servers", *, must_own: bool, say: Say) -> bool:
    """Start the servers and own them (true), or count as a user of those that run."""
    waiting = False
    while True:
        with _locked(var / "start.lock"):
            owned = _try_lock(owner)
            if owned:
                try:
                    servers.start()
                # Also for Ctrl-C: a half-started server must not stay without an owner.
                except BaseException:
                    servers.stop()
                    raise
            # Still under `start.lock`, so that an owner that ends cannot stop the servers in between.
            if owned or not must_own:
                fcntl.flock(users, fcntl.LOCK_SH)
                return owned

        if not waiting:
            say("Another command uses the database of this folder; waiting for it to end")
            waiting = True
        time.sleep(0.3)


def _stop_after_last_user(var: Path, users: IO[str], owner: IO[str], servers: "Servers") -> None:
    """Stop the servers when nobody uses them any more.

    `start.lock` is free while this waits, so that other commands can still come and use the servers.
    """
    waiting = False
    while True:
        with _locked(var / "start.lock"):
            # An exclusive lock is only granted when nobody holds a shared one: there is no user left.
            if _try_lock(users):
                servers.stop()
                fcntl.flock(owner, fcntl.LOCK_UN)
                return

        if not waiting:
            sys.stderr.write("Other commands still use the database; it stops when they end.\n")
            waiting = True
        time.sleep(0.3)


def _open_lock(path: Path) -> IO[str]:
    return path.open("a")


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _clear_words(var: Path) -> Iterator[None]:
    """Turn an `OSError` into a `ServerProblem` with one sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise ServerProblem(f"The disk that holds {var} is full: make room and start again.") from error
        raise ServerProblem(f"{var} cannot be used: {error.strerror or error}.") from error


# --- The two servers --------------------------------------------------------------------------------------------------


@dataclass
class Servers:
    """The child processes of the owner."""

    var: Path
    postgres: bool
    redis: bool
    durable: bool
    say: Say
    children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    mend_at: float = 0

    def start(self) -> None:
        if (free := shutil.disk_usage(self.var).free) < LEAST_FREE_BYTES:
            raise ServerProblem(
                f"The disk that holds {self.var} is full: {free // 1_000_000} MB are free, "
                f"at least {LEAST_FREE_BYTES // 1_000_000} MB are needed."
            )
        (self.var / "log").mkdir(exist_ok=True)
        _private_directory(socket_directory(self.var))
        if self.redis:
            self._start_valkey()
        if self.postgres:
            self._start_postgres()

    def mend(self) -> None:
        """Start a server again that has died. After a failure, the next attempt comes ten seconds later."""
        if time.monotonic() < self.mend_at:
            return
        for name, start in (("Redis", self._start_valkey), ("PostgreSQL", self._start_postgres)):
            if name in self.children and self.children[name].poll() is not None:
                self.say(f"{name} ended")
                try:
                    start()
                except ServerProblem as problem:
                    self.say(str(problem))
                    self.mend_at = time.monotonic() + 10

    def stop(self) -> None:
        """PostgreSQL first; each gets its polite signal, and time to write everything down."""
        children = list(reversed(self.children.values()))
        for child in children:
            if child.poll() is None:
                # To PostgreSQL a fast shutdown, which ends sessions. SIGTERM would wait for each of them.
                child.send_signal(signal.SIGINT)
        for child in children:
            try:
                child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self.children.clear()
        shutil.rmtree(socket_directory(self.var), ignore_errors=True)

    def _start_valkey(self) -> None:
        sockets = socket_directory(self.var)
        data = self.var / "redis"
        data.mkdir(mode=0o700, exist_ok=True)
        end_leftover(data / "valkey.pid", data)
        self.say("Starting Redis (Valkey)")
        # Queued tasks and sessions survive a crash but for the last second.
        keep = ["--appendonly", "yes", "--appendfsync", "everysec"] if self.durable else ["--appendonly", "no"]
        self.children["Redis"] = self._spawn(
            [
                str(valkey_binary()),
                *("--port", "0", "--unixsocket", str(sockets / "redis.sock"), "--unixsocketperm", "700"),
                *("--dir", str(data), "--pidfile", str(data / "valkey.pid"), "--databases", "64"),
                *("--save", "", "--maxmemory", "256mb", "--maxmemory-policy", "noeviction", *keep),
            ],
            log="redis.log",
        )
        self._wait_until(lambda: _valkey_answers(sockets), "Redis", "redis.log")

    def _start_postgres(self) -> None:
        sockets = socket_directory(self.var)
        data = self.var / "pgdata"
        binaries = postgres_binaries(version_of(data))
        if not (data / "PG_VERSION").exists():
            self.say("Setting up PostgreSQL")
            self._make_cluster(binaries, data)
        refuse_other_version(data, binaries)
        end_leftover(data / "postmaster.pid", data)
        # A server that is gone left these. `end_leftover` has made sure that none runs.
        for stale in (data / "postmaster.pid", sockets / ".s.PGSQL.5432.lock", sockets / ".s.PGSQL.5432"):
            stale.unlink(missing_ok=True)

        self.say(f"Starting PostgreSQL {binaries.version}")
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(sockets),
            "unix_socket_permissions": "0700",
            "max_connections": "100",
            "shared_buffers": "128MB",
            "logging_collector": "off",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        if self.durable:
            options["random_page_cost"] = "1.1"  # of a disk that does not turn: else large tables are read as a whole
        else:
            # Much faster, and a crash may leave the data unreadable: for tests only.
            options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}
            options["jit"] = "off"  # compiling a statement costs more than it saves where tables have a few rows
        command = [
            str(binaries.path / "postgres"),
            *("-D", str(data)),
            *(part for name, value in options.items() for part in ("-c", f"{name}={value}")),
        ]
        # A server that was killed leaves sessions, which hold its shared memory until they notice.
        deadline = time.monotonic() + STOP_SECONDS
        while True:
            self.children["PostgreSQL"] = self._spawn(command, log="postgres.log", as_other_user=os.geteuid() == 0)
            try:
                self._wait_until(lambda: _postgres_answers(sockets), "PostgreSQL", "postgres.log")
                break
            except ServerProblem as problem:
                # Sessions of a killed server notice within seconds that it is gone.
                if "pre-existing shared memory block" not in str(problem) or time.monotonic() > deadline:
                    raise
                time.sleep(0.3)
        _prepare_database(sockets)

    def _make_cluster(self, binaries: Binaries, data: Path) -> None:
        """Run initdb in a folder beside the final one, then rename it. So a cluster that is there is complete."""
        new = data.with_name("pgdata.new")
        shutil.rmtree(new, ignore_errors=True)
        child = self._spawn(
            [
                str(binaries.path / "initdb"),
                *("-D", str(new), "-U", USER, "-E", "UTF8", "-A", "trust", "--no-instructions"),
                *binaries.locale_options(),
                *([] if self.durable else ["--no-sync"]),
            ],
            log="initdb.log",
            as_other_user=os.geteuid() == 0,
        )
        if child.wait() != 0:
            shutil.rmtree(new, ignore_errors=True)
            raise _failed("PostgreSQL could not be set up", self.var / "log" / "initdb.log")
        new.rename(data)

    def _spawn(self, command: Sequence[str], *, log: str, as_other_user: bool = False) -> subprocess.Popen[bytes]:
        if as_other_user and not may_leave_root():
            raise ServerProblem(
                "PostgreSQL refuses to run as root and this system allows no user namespaces: "
                "run as a normal user or set DATABASE_URL."
            )
        with (self.var / "log" / log).open("wb") as output:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the program; the servers stop last
                preexec_fn=EndWithParent(signal.SIGINT, leave_root=as_other_user),  # noqa: PLW1509  one thread at this time
                # PGHOST and the like are meant for clients and would confuse the server.
                env={name: value for name, value in os.environ.items() if not name.startswith("PG")},
            )

    def _wait_until(self, answers: Callable[[], bool], name: str, log: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not answers():
            if self.children[name].poll() is not None:
                raise _failed(f"{name} did not start", self.var / "log" / log)
            if time.monotonic() > deadline:
                raise _failed(f"{name} did not answer within {START_SECONDS} seconds", self.var / "log" / log)
            time.sleep(0.03)


def _failed(what: str, log: Path) -> ServerProblem:
    """A problem with the last error in the server's log, in one sentence."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["it said nothing"]
    if any("No space left on device" in line or "could not extend file" in line for line in lines):
        return ServerProblem(f"{what}: the disk that holds {log.parent} is full.")
    said = next((line for line in reversed(lines) if "FATAL" in line or "error" in line.lower()), lines[-1])
    return ServerProblem(f"{what}: {said.strip()} ({log})")


# --- Whether they answer ----------------------------------------------------------------------------------------------


def _postgres_answers(sockets: Path) -> bool:
    import psycopg

    try:
        psycopg.connect(host=str(sockets), user=USER, dbname="postgres", connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _prepare_database(sockets: Path) -> None:
    """Our database, the role of the program, and the proof that a search in Chinese will find something."""
    import psycopg

    with psycopg.connect(host=str(sockets), user=USER, dbname="postgres", autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [PROGRAM]).fetchone():
            connection.execute(CREATE)
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
            connection.execute(f"CREATE DATABASE {DATABASE}")
    with psycopg.connect(host=str(sockets), user=USER, dbname=DATABASE, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        if connection.execute("SELECT show_trgm('口罩') = '{}'").fetchone() == (True,):
            raise ServerProblem(
                "PostgreSQL does not take Chinese characters for letters, so searches in Chinese would find nothing: "
                "dump the data, move var/pgdata away and start again."
            )


def _valkey_answers(sockets: Path) -> bool:
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.exceptions import RedisError
    from redis.retry import Retry

    client = Redis(unix_socket_path=str(sockets / "redis.sock"), retry=Retry(NoBackoff(), 0), socket_timeout=2)
    try:
        return bool(client.ping())
    except RedisError:
        return False  # not there yet, or still reading its data
    finally:
        client.close()
