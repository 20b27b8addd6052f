"""A worker comes through whatever happens to its servers, and one that hangs is ended by somebody else."""

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from apps.local import supervisor
from apps.ops.tasks import heartbeat
from cosmomatch import celery_app
from tests.faults.deployment import CELERY, Deployment
from tests.local.processes import eventually

# Without the mark no test database is made, and there would be no tables to copy.
pytestmark = [pytest.mark.servers, pytest.mark.long, pytest.mark.django_db]

TROUBLES: dict[str, Callable[[Deployment], AbstractContextManager[None]]] = {
    "read-only": lambda deployment: deployment.read_only("PostgreSQL", "Redis"),
    "frozen": lambda deployment: deployment.frozen("Redis"),
    "full": lambda deployment: deployment.full_memory(),
}


def is_done(deployment: Deployment) -> bool:
    """Whether a task that is sent now is taken, done and acknowledged."""
    with celery_app.connection_for_write(url=deployment.broker_url) as broker:
        celery_app.send_task(heartbeat.name, connection=broker)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if not deployment.redis.exists("unacked", *celery_app.amqp.queues):
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_worker_goes_on_after_its_servers_were_sick(deployment: Deployment, trouble: str) -> None:
    with deployment.worker() as worker:
        for _ in range(3):
            with TROUBLES[trouble](deployment):
                time.sleep(6)
            eventually(lambda: is_done(deployment), "work that is done", 30)
        assert worker.poll() is None, deployment.log("worker").read_text()


def test_a_worker_that_hangs_is_ended_and_started_again(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "SILENT_SECONDS", 20)
    said: list[str] = []
    command = [sys.executable, *CELERY, "worker", "--without-gossip", "--without-mingle", "--concurrency=1"]
    (deployment.var / "heartbeats").mkdir(exist_ok=True)
    process = supervisor.Process("worker", command, deployment.environment | {"PROCESS": "worker"})

    def mended(is_so: Callable[[], object]) -> bool:
        process.mend(time.monotonic(), said.append)
        return bool(is_so())

    process.start(time.monotonic())
    try:
        assert process.child
        first = process.child
        eventually(lambda: mended(lambda: deployment.beat_of(first)), "the first beat")
        os.kill(first.pid, signal.SIGSTOP)

        eventually(lambda: mended(lambda: process.child and process.child is not first), "another worker")
        assert said == [
            "worker has not been heard for 20 s",
            "worker ended (SIGKILL); starting it again in 1 s",
        ]
        eventually(lambda: is_done(deployment), "work that is done", 30)
    finally:
        process.kill()
