"""Waking a worker: once is enough, and a worker that is awake does not keep others from being woken."""

import time
from concurrent.futures import ThreadPoolExecutor, as_completed

import pytest
from django.core.cache import cache
from django.db import connections, transaction
from kombu import Connection

from apps.demands.models import Demand
from apps.matching.tasks import TURN, sweep
from apps.notifications.tasks import clear_wake_mark, send_emails, wake, wake_senders
from cosmomatch.celery import app
from tests.factories import DemandFactory, OrganisationFactory, UserFactory
from tests.notifications.receivers import PostOffice
from tests.notifications.test_sending import letters

pytestmark = pytest.mark.django_db(transaction=True)


def waiting(queue: str = "email") -> int:
    """How many tasks are in the queue."""
    with Connection(app.conf.broker_url) as connection:
        return int(connection.default_channel.client.llen(queue))  # type: ignore[attr-defined]  # the transport is Redis


@pytest.fixture(autouse=True)
def nothing_waits() -> None:
    cache.clear()
    app.control.purge()


def test_many_wake_ups_start_one_task() -> None:
    for _ in range(5):
        wake(send_emails)
    assert waiting() == 1


def test_a_task_that_has_begun_is_woken_again() -> None:
    wake(send_emails)
    clear_wake_mark(send_emails)
    wake(send_emails)
    assert waiting() == 2


def test_a_wake_up_waits_for_the_commit() -> None:
    with transaction.atomic():
        UserFactory.create()
        wake(send_emails)
        assert waiting() == 0
    assert waiting() == 1


def test_what_is_rolled_back_wakes_nobody() -> None:
    with transaction.atomic():
        wake(send_emails)
        transaction.set_rollback(True)
    assert waiting() == 0


def test_each_channel_has_a_queue_of_its_own() -> None:
    wake_senders()
    assert [waiting(queue) for queue in ("email", "sms", "webhook", "match")] == [1, 1, 1, 0]


def test_a_channel_takes_one_thread_of_the_sender(office: PostOffice) -> None:
    office.seconds_per_mail = 0.5
    letters(3)

    with ThreadPoolExecutor(4) as threads:
        began = time.monotonic()
        runs = [threads.submit(run) for _number in range(4)]
        sent = [done.result() for done in as_completed(runs)]

    assert time.monotonic() - began > 1
    assert sent == [0, 0, 0, 3], "three came back at once"


def test_a_long_run_is_woken_once_and_sends_what_comes_meanwhile(office: PostOffice) -> None:
    office.seconds_per_mail = 0.5
    letters(4)

    with ThreadPoolExecutor(1) as thread:
        long_run = thread.submit(run)
        while not office.mails:
            time.sleep(0.05)
        letters(2, first=4)
        for _commit in range(5):
            wake(send_emails)
            assert waiting() == 1
            assert send_emails() == 0, "a worker takes the task, and turns it away"
        assert long_run.result() == 6

    wake(send_emails)
    assert waiting() == 2, "the run cleared the mark before its last look"


def run() -> int:
    try:
        return send_emails()
    finally:
        connections.close_all()


def test_more_than_a_turn_calls_another_worker_for_help() -> None:
    wake(sweep)
    DemandFactory.create(queued=True)
    sweep()
    wake(sweep)
    assert waiting("match") == 2, "after a sweep, the next need wakes the next one"

    DemandFactory.create_batch(TURN + 1, queued=True, organisation=OrganisationFactory.create())
    app.control.purge()
    sweep()
    assert waiting("match") == 2, "another worker helps at once, and one goes on with what is left"


def test_a_need_that_somebody_keeps_locked_is_not_swept_for_in_a_loop() -> None:
    demand = DemandFactory.create(queued=True)
    with transaction.atomic(), ThreadPoolExecutor(1) as other:
        Demand.objects.select_for_update(no_key=True).get(pk=demand.pk)
        other.submit(_sweep_on_its_own).result()
    assert waiting("match") == 0


def _sweep_on_its_own() -> None:
    try:
        sweep()
    finally:
        connections.close_all()
