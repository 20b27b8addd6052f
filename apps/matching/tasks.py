"""Celery's way into matching."""

from dataclasses import asdict

from celery import shared_task

from apps.matching import services
from apps.notifications.tasks import nudge, send_due


@shared_task
def sweep() -> dict[str, int]:
    """Do all that matching has to do now, and wake the sender if there is something to say."""
    done = services.sweep()
    if done:
        nudge(send_due)
    return asdict(done)
