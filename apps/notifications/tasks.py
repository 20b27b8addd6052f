"""Celery's way into the outbox, and the one way to wake a worker."""

import datetime as dt
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import structlog
from celery import Task, current_app, shared_task
from django.apps import apps
from django.core.cache import cache
from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

# While one wake-up waits for a worker, later ones would add nothing and are not sent. A lost one blocks them no longer
# than this.
WAITS_SECONDS: Final = 5


def wake(task: Task[[], object]) -> None:
    """Run `task` soon after the caller's commit.

    Rows are the queue: the sweep finds them without us. A lost wake-up costs seconds, so this never raises.
    """

    def send() -> None:
        try:
            # `add` is atomic in Redis: of many commits at once, one sends the task.
            if cache.add(_wake_mark(task), 1, timeout=WAITS_SECONDS):
                task.apply_async(retry=False, ignore_result=True)
        except (OperationalError, RedisError, OSError) as error:
            log.warning("wake_lost", task=task.name, error=str(error))

    transaction.on_commit(send)


def clear_wake_mark(task: Task[[], object]) -> None:
    """Let the task be woken again. A woken task calls this first, because it may not see rows written from now on."""
    try:
        cache.delete(_wake_mark(task))
    except RedisError as error:
        log.warning("wake_mark_not_cleared", task=task.name, error=str(error))


def _wake_mark(task: Task[[], object]) -> str:
    return f"wake:{task.name}"


Due = Callable[[dt.datetime], QuerySet[Any]]
_WATCHED: Final[list[tuple[Task[[], object], Due]]] = []


def wake_while(task: Task[[], object], *due: Due) -> None:
    """Have `poll` wake `task` while any of these has rows at that time."""
    _WATCHED.extend((task, rows) for rows in due)


@shared_task
def poll(*queues: str) -> list[str]:
    """Wake the tasks of these queues that have something to do: one statement looks for all. Returns their names."""
    now = timezone.now()
    routes = current_app.conf.task_routes
    watched = [(task, rows(now)) for task, rows in _WATCHED if routes[task.name]["queue"] in queues]
    asked = [rows.order_by().values_list("pk")[:1].query.sql_with_params() for _task, rows in watched]
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {', '.join(f'EXISTS ({sql})' for sql, _params in asked)}",
            [value for _sql, params in asked for value in params],
        )
        found = cursor.fetchone()
    due = {task.name: task for (task, _rows), is_due in zip(watched, found, strict=True) if is_due}
    for task in due.values():
        wake(task)
    return list(due)


@shared_task
def send_emails() -> int:
    """Send the e-mails that are due, and first queue what the tables say is to be told."""
    from apps.notifications import services

    return _send(send_emails, "email", before=services.queue_pending_notices)


@shared_task
def send_texts() -> int:
    """Send the text messages that are due; returns how many were handed over."""
    return _send(send_texts, "sms")


@shared_task
def send_webhooks() -> int:
    """Send the webhooks that are due; returns how many were handed over."""
    return _send(send_webhooks, "webhook")


# One task for each channel, each with a queue of its own (`cosmomatch/celery.py`): no channel waits for another.
SENDERS: Final[tuple[Task[[], int], ...]] = (send_emails, send_texts, send_webhooks)
_UNDER_WAY: Final = {task.name: threading.Lock() for task in SENDERS}


def _messages(channel: str) -> Due:
    return lambda now: apps.get_model("notifications", "Message").objects.due(now).filter(channel=channel)


wake_while(send_emails, _messages("email"), lambda _now: apps.get_model("accounts", "PendingNotice").objects.all())
wake_while(send_texts, _messages("sms"))
wake_while(send_webhooks, _messages("webhook"))


def wake_senders() -> None:
    """Send what is due soon after the caller's commit."""
    for task in SENDERS:
        wake(task)


def _send(task: Task[[], int], channel: str, before: Callable[[], object] = lambda: None) -> int:
    from apps.notifications import sending

    # The sender runs its tasks as threads of one process, so a second run of a channel would only take a thread from
    # the others. The first one looks again before it ends.
    under_way = _UNDER_WAY[task.name]
    if not under_way.acquire(blocking=False):
        return 0
    try:
        sent = 0
        until = time.monotonic() + sending.RUN_SECONDS
        while time.monotonic() < until:
            # Only a look clears the mark, and a task that is turned away does not. So a long run is woken once, and not
            # at each commit.
            clear_wake_mark(task)
            before()
            handed_over = sending.send_due(channel)
            sent += handed_over
            if not handed_over:
                break
        return sent
    finally:
        under_way.release()


@shared_task
def purge() -> dict[str, int]:
    """Forget what was sent long ago."""
    from apps.notifications import services

    return services.purge()
