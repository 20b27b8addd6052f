"""Celery's way into the outbox, and the one way to wake a worker."""

import structlog
from celery import Task, shared_task
from django.db import transaction
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)


def nudge(task: Task[[], object]) -> None:
    """Run `task` soon after the caller's commit. Rows are the queue: a nudge that is lost costs seconds, so it never
    fails.
    """

    def send() -> None:
        try:
            task.apply_async(retry=False, ignore_result=True)
        except (OperationalError, RedisError, OSError) as error:
            log.warning("nudge_lost", task=task.name, error=str(error))

    transaction.on_commit(send)


@shared_task
def send_due() -> int:
    """Send what is due; returns how many messages were handed over."""
    from apps.notifications import sending

    return sending.send_due()


@shared_task
def purge() -> dict[str, int]:
    """Forget what was sent long ago."""
    from apps.notifications import services

    return services.purge()
