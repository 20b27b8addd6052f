"""A deployment on two servers of PostgreSQL: a primary, and a standby that has all that the primary acknowledged."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Any

import psycopg

from apps.local import embedded
from apps.local.binaries import postgres_binaries, version_of
from tests.databases import restore
from tests.faults.deployment import Deployment
from tests.local.processes import eventually, free_port, kill_all


@dataclass
class Pair(Deployment):
    standby: Path = Path()  # as `var`, of the other server

    @property
    def environment(self) -> dict[str, str]:
        hosts = f"{embedded.socket_directory(self.var)},{embedded.socket_directory(self.standby)}"
        url = f"postgresql://{embedded.USER}@/{embedded.DATABASE}?host={hosts}&target_session_attrs=read-write"
        return super().environment | {"DATABASE_URL": url}

    def kill_primary(self) -> None:
        kill_all(self.servers.children["PostgreSQL"].pid)

    def ask_standby(self, statement: str) -> Any:
        with psycopg.connect(embedded.database_url(self.standby), autocommit=True) as session:
            row = session.execute(statement).fetchone()
        return row and row[0]

    def answers(self) -> bool:
        with suppress(psycopg.OperationalError):
            return bool(self.ask_standby("SELECT true"))
        return False


@contextmanager
def pair(folder: Path, dumped: bytes) -> Iterator[Pair]:
    """Both servers, with the tables of a dump."""
    one, two = folder / "one", folder / "two"
    with embedded.use(one) as servers:
        site = Pair(one, servers, free_port(), two)
        site.sql("ALTER SYSTEM SET fsync = off")  # processes die here, and no machine loses its power
        site.sql("SELECT pg_reload_conf()")
        site.sql("DROP EXTENSION pg_trgm")  # the dump has it
        restore(dumped, embedded.database_url(one))
        other = _standby(one, two)
        try:
            eventually(site.answers, "the standby")
            # Not before: the standby would copy it, and wait for a standby of its own once it is the primary.
            site.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
            site.sql("SELECT pg_reload_conf()")
            yield site
        finally:
            # A primary that waits for its standby would not end.
            kill_all(servers.children["PostgreSQL"].pid)
            kill_all(other.pid)
            other.wait()


def _standby(primary: Path, var: Path) -> "Popen[bytes]":
    (var / "log").mkdir(parents=True)
    sockets, data = embedded.socket_directory(var), var / "pgdata"
    embedded._private_directory(sockets)
    programs = postgres_binaries(version_of(primary / "pgdata")).path
    server = embedded.Servers(var, postgres=True, redis=False, durable=True, say=print)

    def run(log: str, name: str, *arguments: str) -> "Popen[bytes]":
        command = [str(programs / name), "-D", str(data), *arguments]
        return server._spawn(command, log=log, as_other_user=os.geteuid() == 0)

    source = ("-h", str(embedded.socket_directory(primary)), "-U", embedded.USER)
    # -R writes from where it follows, into the files of the copy.
    assert run("copy.log", "pg_basebackup", *source, "-R", "-c", "fast").wait(60) == 0, var
    settings = {"listen_addresses": "", "unix_socket_directories": str(sockets), "log_statement": "all"}
    return run("standby.log", "postgres", *(part for each in settings.items() for part in ("-c", "=".join(each))))
