"""Waking a worker: once is enough, and a worker that is awake does not keep others from being woken."""

import pytest
from django.core.cache import cache
from django.db import transaction
from kombu import Connection

from apps.notifications.tasks import clear_wake_mark, send_due, wake
from cosmomatch.celery import app
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db(transaction=True)


def waiting() -> int:
    """How many tasks are in the queue of the worker."""
    with Connection(app.conf.broker_url) as connection:
        return int(connection.default_channel.client.llen("celery"))  # type: ignore[attr-defined]  # the transport is Redis


@pytest.fixture(autouse=True)
def nothing_waits() -> None:
    cache.clear()
    app.control.purge()


def test_many_wake_ups_start_one_task() -> None:
    for _ in range(5):
        wake(send_due)
    assert waiting() == 1


def test_a_task_that_has_begun_is_woken_again() -> None:
    wake(send_due)
    clear_wake_mark(send_due)
    wake(send_due)
    assert waiting() == 2


def test_a_wake_up_waits_for_the_commit() -> None:
    with transaction.atomic():
        UserFactory.create()
        wake(send_due)
        assert waiting() == 0
    assert waiting() == 1


def test_what_is_rolled_back_wakes_nobody() -> None:
    with transaction.atomic():
        wake(send_due)
        transaction.set_rollback(True)
    assert waiting() == 0
