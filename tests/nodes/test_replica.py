"""Exports and figures from a replica. No pull misses a change, also while it falls behind or is away."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from apps.local import embedded
from tests.faults.deployment import CELERY, Deployment
from tests.local.processes import eventually, program
from tests.nodes.standby import Pair
from tests.nodes.test_nodes import staged

pytestmark = [pytest.mark.servers, pytest.mark.long, pytest.mark.django_db]

SECONDS = 20


@contextmanager
def falling_behind(site: Pair) -> Iterator[None]:
    """Now for longer than an export waits, now for a moment."""
    stop = threading.Event()

    def stop_and_go() -> None:
        for pause in (0.3, 3.0) * 100:
            site.ask_standby("SELECT pg_wal_replay_pause()")
            stop.wait(pause)
            site.ask_standby("SELECT pg_wal_replay_resume()")
            if stop.wait(1):
                return

    thread = threading.Thread(target=stop_and_go)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_no_change_is_missed_while_a_replica_falls_behind(site: Pair, tmp_path: Path) -> None:
    tokens, posts = tmp_path / "tokens", tmp_path / "posts"
    tokens.write_text(json.dumps(staged(site, tmp_path)))
    mine = {"Authorization": f"Bearer {json.loads(tokens.read_text())[0]}"}
    client = ("-m", "tests.nodes.client", f"http://127.0.0.1:{site.port}", str(tokens), str(SECONDS))
    worker = (*CELERY, "worker", "--without-gossip", "--without-mingle", "--concurrency=1")
    seen: dict[str, Any] = {}
    since = ""

    def pull() -> None:
        nonlocal since
        answer = site.ask(f"/api/v1/exports/demands?format=jsonl{since}", headers=mine)
        assert answer.status == 200, answer.body
        since = "&updated_since=" + answer.headers["X-Next-Since"].replace("+", "%2B")
        for line in answer.body.splitlines():
            row = json.loads(line)
            seen[row["id"]] = row

    with (
        site.web(DATABASE_REPLICA_URL=embedded.database_url(site.standby), WEB_THREADS="6"),
        site.running("worker", *worker, PROCESS="worker"),
        site.running("beat", *CELERY, "beat"),
        falling_behind(site),
        program(posts, *client) as posting,
    ):
        while posting.poll() is None:
            pull()
        eventually(lambda: not staged(site, tmp_path, "check")["waiting"], "all are matched", 60)
        pull()
        last = site.ask("/api/v1/exports/demands?format=jsonl", headers=mine)

    assert seen == {row["id"]: row for row in map(json.loads, last.body.splitlines())}
    assert len(seen) > 3
    assert "COPY (SELECT" in (site.standby / "log" / "standby.log").read_text(), "the replica was read"


def posted_and_pulled(site: Deployment, folder: Path) -> None:
    """Somebody new posts a need and pulls it."""
    mine = {"Authorization": f"Bearer {staged(site, folder)[0]}"}
    posted = site.ask("/api/v1/demands/", {"item": "mask.surgical", "quantity": 1000, "open": True}, mine)
    assert posted.status == 201, posted.body
    pulled = site.ask("/api/v1/exports/demands?format=jsonl", headers=mine)
    assert (pulled.status, len(pulled.body.splitlines())) == (200, 1), pulled.body


def test_figures_come_from_it_until_it_is_promoted(site: Pair, tmp_path: Path) -> None:
    with site.web(DATABASE_REPLICA_URL=embedded.database_url(site.standby)):
        assert site.ask("/api/v1/stats/").status == 200
        assert site.ask("/metrics").status == 200
        said = (site.standby / "log" / "standby.log").read_text()
        assert 'FROM "matching_match" GROUP BY' in said, "the counts by state"
        assert "WITH needs AS" in said, "the waits of the board's sums"

        site.sql("ALTER SYSTEM RESET synchronous_standby_names")
        site.sql("SELECT pg_reload_conf()")
        assert site.ask_standby("SELECT pg_promote()")
        posted_and_pulled(site, tmp_path)


def test_the_primary_is_read_while_the_replica_is_away(deployment: Deployment, tmp_path: Path) -> None:
    with deployment.web(DATABASE_REPLICA_URL=embedded.database_url(tmp_path / "nobody")):
        posted_and_pulled(deployment, tmp_path)
    assert "replica_away" in deployment.log("web").read_text()
