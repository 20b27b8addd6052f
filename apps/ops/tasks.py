"""The heartbeat: beat notes that it sent one, the worker that it took it, each in the cache."""

import time
from typing import Any

from celery import shared_task
from celery.signals import beat_init, before_task_publish
from django.core.cache import cache

BEAT_KEY, WORKER_KEY = "ops:beat", "ops:worker"
KEPT_SECONDS = 24 * 3600  # much longer than silence is tolerated, so that health can say since when there is silence


@shared_task
def heartbeat() -> None:
    cache.set(WORKER_KEY, time.time(), KEPT_SECONDS)


@before_task_publish.connect(sender=heartbeat.name)
def _note_beat(**_: Any) -> None:
    # Noted in the process of beat itself: it proves that beat and Redis work even while no worker does.
    cache.set(BEAT_KEY, time.time(), KEPT_SECONDS)


@beat_init.connect
def _beat_at_once(**_: Any) -> None:
    """A start is ready when the first heartbeat has been all the way round; it need not wait for the first interval."""
    heartbeat.delay()
