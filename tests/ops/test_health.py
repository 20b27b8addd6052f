"""What the probes say, of servers that are there and of servers that are not."""

import time
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import structlog
from django.conf import settings as django_settings
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from apps.notifications.models import Channel, Message
from apps.ops import health
from apps.ops.tasks import BEAT_KEY, WORKER_KEY, heartbeat
from cosmomatch import celery_app

pytestmark = pytest.mark.django_db


@pytest.fixture
def heard() -> None:
    """A beat and a worker that spoke just now."""
    cache.set_many({BEAT_KEY: time.time(), WORKER_KEY: time.time()})


@pytest.fixture(autouse=True)
def clean_cache() -> None:
    cache.clear()


def dead_redis(settings: Settings, tmp_path: Path) -> None:
    nowhere = {"default": django_settings.CACHES["default"] | {"LOCATION": f"unix://{tmp_path}/nobody.sock"}}
    settings.CACHES = nowhere


def test_a_living_process_says_so_whatever_else_is_dead(client: Client, settings: Settings, tmp_path: Path) -> None:
    dead_redis(settings, tmp_path)
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})
    assert "no-store" in answer.headers["Cache-Control"]


@pytest.mark.usefixtures("heard")
def test_ready_when_database_redis_worker_and_beat_are(client: Client) -> None:
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (
        200,
        {"status": "ready", "checks": {"database": "ok", "disk": "ok", "redis": "ok", "worker": "ok", "beat": "ok"}},
    )


@pytest.mark.usefixtures("heard")
def test_a_silent_worker_is_named_and_this_node_is_ready(client: Client) -> None:
    cache.set(WORKER_KEY, time.time() - 90)
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ready",
        "checks": {
            "database": "ok",
            "disk": "ok",
            "redis": "ok",
            "worker": "The worker was last heard from 90 seconds ago.",
            "beat": "ok",
        },
    }


def test_a_dead_redis_is_named_quickly(client: Client, settings: Settings, tmp_path: Path) -> None:
    dead_redis(settings, tmp_path)
    began = time.monotonic()
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["checks"] == {
        "database": "ok",
        "disk": "ok",
        "redis": "Redis does not answer.",
        "worker": "Redis does not answer.",
        "beat": "Redis does not answer.",
    }
    assert time.monotonic() - began < 5


@pytest.mark.usefixtures("heard")
def test_a_database_that_can_only_be_read_is_not_ready(client: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL transaction_read_only = on")
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["database"] == "The database can only be read."


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("app", sorted({app for app, _name in health._own_migrations()}))
def test_a_node_whose_tables_are_behind_is_not_ready(client: Client, app: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM django_migrations WHERE id = (SELECT max(id) FROM django_migrations WHERE app = %s)", [app]
        )
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["database"] == "The tables are behind this version: run manage.py migrate."


@pytest.mark.usefixtures("heard")
def test_a_full_disk_is_not_ready(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "LEAST_FREE_BYTES", 10**18)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["disk"].startswith("The disk that holds VAR_DIR is full: ")


def test_the_heartbeat_marks_the_worker() -> None:
    heartbeat.apply()
    assert time.time() - cache.get(WORKER_KEY) < 5
    assert cache.get(BEAT_KEY) is None  # that mark is for the process that sends it


def test_sending_a_heartbeat_marks_beat() -> None:
    heartbeat.delay()
    assert time.time() - cache.get(BEAT_KEY) < 5
    assert cache.get(WORKER_KEY) is None


@pytest.mark.usefixtures("heard")
def test_the_command_names_every_fault_and_fails_if_there_is_one() -> None:
    out = StringIO()
    call_command("health", stdout=out)
    assert [line.split(maxsplit=1) for line in out.getvalue().splitlines()] == [["ok", name] for name in health.HEALTH]

    _message(timezone.now() - timedelta(minutes=10))
    _message(timezone.now() - timedelta(minutes=1))
    _message(timezone.now() + timedelta(minutes=10))
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("health", stdout=out)
    assert ended.value.code == 1
    assert [line for line in out.getvalue().splitlines() if line.startswith("wrong")] == [
        "wrong outbox         1 messages wait for more than 0:05:00 to be sent."
    ]


def test_missing_migrations_are_counted() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'catalogue'")
        missing = cursor.rowcount
    assert health.migrations() == f"{missing} migrations are not applied: run manage.py migrate."


def _message(due_at: datetime) -> Message:
    return Message.objects.create(
        event="match.proposed", key=str(due_at), channel=Channel.EMAIL, address="a@example.org", due_at=due_at
    )


# --- Metrics ----------------------------------------------------------------------------------------------------------


def test_metrics_count_the_work(client: Client) -> None:
    _message(timezone.now() - timedelta(minutes=1))
    page = client.get("/metrics").content.decode()
    assert 'cosmomatch_messages{state="queued"} 1.0' in page
    assert "cosmomatch_messages_due 1.0" in page
    assert "cosmomatch_database_up 1.0" in page
    assert "django_http_requests_total_by_method_total" in page


def test_metrics_are_for_this_machine_or_for_who_has_the_token(client: Client, settings: Settings) -> None:
    far = Client(REMOTE_ADDR="203.0.113.7")
    assert far.get("/metrics").status_code == 404
    assert client.get("/metrics", headers={"X-Forwarded-For": "203.0.113.7"}).status_code == 404
    assert far.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 404

    settings.METRICS_TOKEN = "a token of twenty characters"
    assert far.get("/metrics", headers={"Authorization": f"Bearer {settings.METRICS_TOKEN}"}).status_code == 200
    assert far.get("/metrics", headers={"Authorization": "Bearer another"}).status_code == 404
    assert far.get("/metrics", headers={"Authorization": "Bearer 令牌"}).status_code == 404

    settings.TRUSTED_PROXY_COUNT = 1
    assert client.get("/metrics").status_code == 404


# --- Request ids ------------------------------------------------------------------------------------------------------


def test_a_task_carries_the_id_of_the_request_that_sent_it() -> None:
    with celery_app.connection_for_write() as broker:
        queue = broker.SimpleQueue("match")
        queue.clear()
        with structlog.contextvars.bound_contextvars(request_id="0123"):
            heartbeat.delay()
        message = queue.get(timeout=5)
        message.ack()
    headers: Any = message.headers
    assert headers["__django_structlog__"]["request_id"] == "0123"
