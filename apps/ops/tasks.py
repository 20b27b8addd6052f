"""The heartbeats of beat and worker: notes in the cache for probes, and a file for whoever watches the process.

The file is looked at from outside (`make run`, the health check of a container), because a process that hangs cannot
end itself.
"""

import contextlib
import os
import time
from pathlib import Path
from typing import Any

from celery import shared_task
from celery.signals import beat_init, before_task_publish
from django.conf import settings
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
    # Whatever beat sends, and whether or not Redis takes it, shows that beat turns.
    before_task_publish.connect(touch_heartbeat_file)
    heartbeat.delay()


def touch_heartbeat_file(**_: Any) -> None:
    """Show whoever watches this process, by its id, that its loop turns."""
    if settings.HEARTBEAT_DIR:
        # The file is there from the start. A disk that fills up later is no reason to end the process.
        with contextlib.suppress(OSError):
            Path(settings.HEARTBEAT_DIR, str(os.getpid())).touch()
