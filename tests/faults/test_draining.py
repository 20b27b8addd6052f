"""A node that is told to stop finishes what it has begun, and leaves the rest to the others."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from apps.local import embedded
from apps.supply.tasks import purge_imports
from cosmomatch import celery_app
from tests.faults.deployment import Answer, Deployment
from tests.local.processes import eventually

pytestmark = [pytest.mark.servers, pytest.mark.long, pytest.mark.django_db]


@contextmanager
def locked(deployment: Deployment, table: str) -> Iterator[None]:
    """Who needs the table waits until the end."""
    with psycopg.connect(embedded.database_url(deployment.var)) as session:
        session.execute(f"LOCK TABLE {table}".encode())
        yield


def waiting(deployment: Deployment) -> int:
    [(count,)] = deployment.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    return int(count)


def queued(deployment: Deployment) -> int:
    queue: Any = deployment.redis.llen("heavy")
    return int(queue)


def test_a_worker_told_to_stop_ends_its_task_and_gives_back_the_others(deployment: Deployment) -> None:
    with deployment.worker() as worker:
        with locked(deployment, "supply_sheetimport"):
            with celery_app.connection_for_write(url=deployment.broker_url) as broker:
                for _ in range(3):
                    celery_app.send_task(purge_imports.name, connection=broker)
            eventually(lambda: waiting(deployment) == 1, "a task under way")
            worker.send_signal(signal.SIGTERM)
            eventually(lambda: queued(deployment) == 2, "tasks that are free for others")
            assert worker.poll() is None
        assert worker.wait(30) == 0

    assert queued(deployment) == 2
    assert not deployment.redis.exists("unacked")
    deployment.redis.delete("heavy")


def test_a_site_told_to_stop_answers_who_has_asked_and_takes_nobody_new(deployment: Deployment) -> None:
    answers: list[Answer] = []

    def ask() -> None:
        answers.append(deployment.ask("/api/v1/items/"))

    with deployment.web() as server:
        with locked(deployment, "catalogue_item"):
            asking = threading.Thread(target=ask)
            asking.start()
            eventually(lambda: waiting(deployment) == 1, "a request under way")
            server.send_signal(signal.SIGTERM)
            eventually(lambda: deployment.ask("/healthz", seconds=1).status == 0, "closed doors", 10)
            assert server.poll() is None
        asking.join()
        assert server.wait(30) == 0

    assert [answer.status for answer in answers] == [200]
