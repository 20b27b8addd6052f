"""The primary of PostgreSQL dies while needs come in, and its standby takes over: nothing is lost or double."""

import json
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.deployment import CELERY
from tests.local.processes import eventually, free_port, program
from tests.nodes.standby import Pair
from tests.nodes.test_nodes import is_quiet, staged

pytestmark = [pytest.mark.servers, pytest.mark.long, pytest.mark.django_db]

SECONDS = 40  # of posts
UNNOTICED = 3  # seconds until somebody promotes the standby
RECOVERY = 30  # seconds


def test_a_failover_of_postgresql_loses_and_doubles_nothing(site: Pair, tmp_path: Path) -> None:
    tokens, posts, mails, port = tmp_path / "tokens", tmp_path / "posts", tmp_path / "mails", str(free_port())
    tokens.write_text(json.dumps(staged(site, tmp_path)))
    mails.touch()
    mail = {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": port, "EMAIL_SECURITY": "none"}
    worker = (*CELERY, "worker", "--without-gossip", "--without-mingle", "--concurrency=2")
    client = ("-m", "tests.nodes.client", f"http://127.0.0.1:{site.port}", str(tokens), str(SECONDS))
    with (
        program(tmp_path / "sink.log", "-m", "tests.benchmarks.sink", port, str(mails), "127.0.0.1"),
        site.web(),
        site.running("worker", *worker, PROCESS="worker", **mail) as first_worker,
        site.running("beat", *CELERY, "beat") as first_beat,
        program(posts, *client) as posting,
    ):
        eventually(lambda: posts.read_text().count("201") > 10, "posts", 120)
        died = time.time()
        site.kill_primary()
        time.sleep(UNNOTICED)
        assert site.ask_standby("SELECT pg_promote()")
        assert posting.wait(120) == 0
        eventually(lambda: is_quiet(staged(site, tmp_path, "check")), "all are told", 120)
        found = staged(site, tmp_path, "check")
        assert (first_worker.poll(), first_beat.poll()) == (None, None), "nobody had to start them again"

    made = [json.loads(line) for line in posts.read_text().splitlines()]
    handed_over = Counter(line.split()[1] for line in mails.read_text().splitlines())
    slowest = max(post["took"] for post in made)
    repeats = sum(handed_over.values()) - len(handed_over)
    told = f"{len(made)} posts, {len(handed_over)} mails, {repeats} twice, slowest post {slowest:.1f} s"
    waits = {name: found[name] for name in ("longest until asked", "longest until told")}
    print(told, waits, file=sys.stderr)
    assert [post for post in made if post["status"] != 201] == []
    assert [post for post in made if post["at"] > died + RECOVERY], "posts went on"
    assert found["needs"] == len({post["need"] for post in made}) == len(made)
    assert (found["nobody asked"], found["invariants"], found["untold"]) == (0, {}, [])
    assert set(handed_over) == set(found["sent"])
    assert repeats <= 2, "what was handed over and not noted yet is repeated, with its id"
    assert slowest < RECOVERY
    assert max(waits.values()) < RECOVERY
