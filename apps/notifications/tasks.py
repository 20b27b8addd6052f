"""Celery's way into the outbox, and the one way to wake a worker."""

from typing import Final

import structlog
from celery import Task, shared_task
from django.core.cache import cache
from django.db import transaction
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


@shared_task
def send_due() -> int:
    """Send what is due; returns how many messages were handed over."""
    from apps.notifications import sending, services

    clear_wake_mark(send_due)
    services.queue_pending_notices()
    return sending.send_due()


@shared_task
def purge() -> dict[str, int]:
    """Forget what was sent long ago."""
    from apps.notifications import services

    return services.purge()
