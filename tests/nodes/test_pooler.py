"""Web and worker through a real PgBouncer in transaction mode, with fewer connections to PostgreSQL than clients."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psycopg
import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from apps.local import embedded
from tests.faults.deployment import CELERY, Deployment
from tests.local.processes import ROOT, clean_environment, eventually, free_port, program
from tests.nodes.test_nodes import is_quiet, staged

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
needs_pooler = pytest.mark.skipif(PGBOUNCER is None, reason="Debian's package pgbouncer is not installed.")
servers = [pytest.mark.servers, pytest.mark.long, pytest.mark.django_db]

KINDS = ("web", "worker", "sender")


class Pooler:
    def __init__(self, site: Deployment, folder: Path) -> None:
        self.port = free_port()
        users = folder / "users"
        users.write_text(f'"{embedded.USER}" ""\n')
        changes = {
            "host=db.internal": f"host={embedded.socket_directory(site.var)}",
            "listen_addr = 10.0.0.5": "listen_addr = 127.0.0.1\nunix_socket_dir =",
            "listen_port = 6432": f"listen_port = {self.port}",
            "auth_type = scram-sha-256": "auth_type = trust",
            "/etc/pgbouncer/userlist.txt": str(users),
            "default_pool_size = 8": "default_pool_size = 2",
        }
        written = (ROOT / "docker/pgbouncer.ini").read_text()
        for ours, here in changes.items():
            assert ours in written, ours
            written = written.replace(ours, here)
        self.file = folder / "pgbouncer.ini"
        self.file.write_text(written)

    def url(self, kind: str) -> str:
        return f"postgresql://{embedded.USER}@127.0.0.1:{self.port}/cosmomatch_{kind}"

    def environment(self, kind: str) -> dict[str, str]:
        return {"DATABASE_URL": self.url(kind), "DATABASE_IS_POOLED": "true", "PROCESS": kind}

    def answers(self) -> bool:
        with suppress(psycopg.OperationalError), psycopg.connect(self.url("web")):
            return True
        return False


@pytest.fixture
def pooler(deployment: Deployment, tmp_path: Path) -> Iterator[Pooler]:
    pooler = Pooler(deployment, tmp_path)
    running = deployment.servers._spawn(
        [str(PGBOUNCER), str(pooler.file)], log="pgbouncer.log", as_other_user=os.geteuid() == 0
    )
    try:
        eventually(pooler.answers, (deployment.var / "log" / "pgbouncer.log").read_text())
        yield pooler
    finally:
        running.kill()
        running.wait()


def limits_of(kind: str) -> dict[str, str]:
    """What the settings would send with each connection of such a process."""
    program = "import json; from cosmomatch import settings; print(json.dumps(settings.DATABASE_SESSION))"
    environment = clean_environment(PROCESS=kind)
    said = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, check=True)
    limits: dict[str, str] = json.loads(said.stdout)
    return limits


@needs_pooler
class TestPooler:
    pytestmark = servers

    @pytest.mark.parametrize("kind", KINDS)
    def test_it_sets_for_each_kind_of_process_what_that_would_set(self, pooler: Pooler, kind: str) -> None:
        with psycopg.connect(pooler.url(kind), autocommit=True) as session:
            for name, value in limits_of(kind).items():
                is_so = "SELECT current_setting(%s)::interval = %s::interval"
                if value.endswith("s"):
                    row = session.execute(is_so, [name, value]).fetchone()
                else:
                    row = session.execute("SELECT current_setting(%s) = %s", [name, value]).fetchone()
                assert row == (True,), name

    def test_who_gets_no_connection_of_it_is_told_503(self, deployment: Deployment, pooler: Pooler) -> None:
        with deployment.web(**pooler.environment("web")), ExitStack() as held:
            for _connection in range(2):
                held.enter_context(psycopg.connect(pooler.url("web"))).execute("SELECT 1")
            refused = deployment.ask("/api/v1/items/")
            held.close()
            eventually(lambda: deployment.ask("/api/v1/items/").status == 200, "a connection")
        assert (refused.status, bool(refused.headers["Retry-After"])) == (503, True)

    def test_posts_through_it_are_matched_told_and_exported(
        self, deployment: Deployment, pooler: Pooler, tmp_path: Path
    ) -> None:
        tokens, posts, mails, port = tmp_path / "tokens", tmp_path / "posts", tmp_path / "mails", str(free_port())
        tokens.write_text(json.dumps(staged(deployment, tmp_path)))
        before = staged(deployment, tmp_path, "check")["needs"]
        mails.touch()
        mail = {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": port, "EMAIL_SECURITY": "none"}
        worker = (*CELERY, "worker", "--without-gossip", "--without-mingle", "--concurrency=2")
        client = ("-m", "tests.nodes.client", f"http://127.0.0.1:{deployment.port}", str(tokens), "15")
        with (
            program(tmp_path / "sink.log", "-m", "tests.benchmarks.sink", port, str(mails), "127.0.0.1"),
            deployment.web(WEB_THREADS="4", **pooler.environment("web")),
            deployment.running("worker", *worker, **mail, **pooler.environment("worker")),
            deployment.running("beat", *CELERY, "beat"),
            program(posts, *client) as posting,
        ):
            assert posting.wait(120) == 0
            eventually(lambda: is_quiet(staged(deployment, tmp_path, "check")), "all are told", 120)
            found = staged(deployment, tmp_path, "check")
            mine = {"Authorization": f"Bearer {json.loads(tokens.read_text())[0]}"}
            exported = deployment.ask("/api/v1/exports/demands?format=jsonl", headers=mine)
            listed = deployment.ask("/api/v1/demands/?page_size=500", headers=mine)

        made = [json.loads(line) for line in posts.read_text().splitlines()]
        assert [post for post in made if (post["status"], post["tries"]) != (201, 1)] == []
        assert found["needs"] - before == len(made) > 10
        assert (found["nobody asked"], found["invariants"], found["untold"]) == (0, {}, [])
        assert (exported.status, listed.status) == (200, 200)
        assert len(exported.body.splitlines()) == len(listed.json()["results"]) > 2


def test_migrate_asks_for_a_connection_of_its_own(settings: Settings) -> None:
    settings.DATABASE_IS_POOLED = True

    with pytest.raises(CommandError, match="PostgreSQL itself"):
        call_command("migrate")
