"""Celery's way into the outbox, and the one way to wake a worker."""

from typing import Final

import structlog
from celery import Task, shared_task
from django.core.cache import cache
from django.db import transaction
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

# One nudge that waits for a worker does for all who come after it; one that was lost is not waited for longer.
WAITS_SECONDS: Final = 5


def nudge(task: Task[[], object]) -> None:
    """Run `task` soon after the caller's commit. Rows are the queue: a nudge that is lost costs seconds, so it never
    fails.
    """

    def send() -> None:
        try:
            if cache.add(_mark(task), 1, timeout=WAITS_SECONDS):
                task.apply_async(retry=False, ignore_result=True)
        except (OperationalError, RedisError, OSError) as error:
            log.warning("nudge_lost", task=task.name, error=str(error))

    transaction.on_commit(send)


def awake(task: Task[[], object]) -> None:
    """The first act of a task that is nudged: rows that it may not see any more nudge anew."""
    try:
        cache.delete(_mark(task))
    except RedisError as error:
        log.warning("nudge_not_cleared", task=task.name, error=str(error))


def _mark(task: Task[[], object]) -> str:
    return f"nudged:{task.name}"


@shared_task
def send_due() -> int:
    """Send what is due; returns how many messages were handed over."""
    from apps.notifications import sending

    awake(send_due)
    return sending.send_due()


@shared_task
def purge() -> dict[str, int]:
    """Forget what was sent long ago."""
    from apps.notifications import services

    return services.purge()
