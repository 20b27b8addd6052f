"""An open transaction, and the dead rows behind it, are told before queues become slow."""

import time
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from apps.ops import health, upkeep
from tests.factories import DemandFactory


@pytest.fixture
def other() -> Any:
    """A second connection to the test database."""
    settings = connection.get_connection_params()
    for name in ("cursor_factory", "context", "prepare_threshold"):
        settings.pop(name, None)
    with psycopg.connect(**settings) as session:
        yield session


@pytest.mark.django_db(transaction=True)
def test_an_old_transaction_is_told(other: Any, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    other.execute("SELECT 1")
    time.sleep(0.05)
    assert upkeep.oldest_transaction() > timedelta(milliseconds=50)
    assert health.transactions() == ""
    page = client.get("/metrics").content.decode()
    (line,) = [line for line in page.splitlines() if line.startswith("cosmomatch_oldest_transaction_seconds ")]
    assert float(line.split()[1]) > 0.05

    monkeypatch.setattr(health, "TRANSACTION_LONG", timedelta(milliseconds=50))
    assert health.transactions() == "A transaction has been open for 0:00:00: see pg_stat_activity."
    other.rollback()
    assert health.transactions() == ""


@pytest.mark.django_db(transaction=True)
def test_dead_rows_of_a_queue_are_told(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO supply_offerchange (offer_id, item_id, changed_at) "
            "SELECT number, 1, now() FROM generate_series(1, 30) number"
        )
        cursor.execute("DELETE FROM supply_offerchange")
        cursor.execute("SELECT pg_stat_force_next_flush()")
    assert upkeep.queues()["supply_offerchange"].dead >= 30
    assert 'cosmomatch_queue_dead_rows{table="supply_offerchange"}' in client.get("/metrics").content.decode()
    assert health.dead_rows() == ""

    monkeypatch.setattr(health, "DEAD_ROWS", 10)
    assert "supply_offerchange has" in health.dead_rows()


@pytest.mark.django_db
def test_every_queue_is_tuned_for_vacuum() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname, reloptions FROM pg_class WHERE relname = ANY(%s)", [list(upkeep.QUEUES)])
        tuned = {name for name, options in cursor.fetchall() if "autovacuum_vacuum_scale_factor=0" in (options or [])}
    assert tuned == set(upkeep.QUEUES)


@pytest.mark.django_db
def test_the_age_of_each_promise_is_told(client: Client) -> None:
    now = timezone.now()
    DemandFactory.create(match_requested_at=now - timedelta(seconds=70), escalates_at=now - timedelta(seconds=700))
    DemandFactory.create(match_requested_at=now + timedelta(days=1))
    ages = {queue: round(age.total_seconds()) for queue, age in upkeep.ages(now).items()}
    assert ages == {"match": 70, "clocks": 700, "heavy": 0, "email": 0, "sms": 0, "webhook": 0}
    assert 'cosmomatch_queue_age_seconds{queue="clocks"} 70' in client.get("/metrics").content.decode()
