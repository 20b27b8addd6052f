"""Celery's way into matching."""

from dataclasses import asdict

from celery import shared_task

from apps.accounts import services as accounts_services
from apps.matching import services
from apps.notifications.tasks import nudge, send_due


@shared_task
def sweep() -> dict[str, int]:
    """Do all that matching has to do now, and wake the sender if there is something to say."""
    done = services.sweep()
    if done:
        nudge(send_due)
    return asdict(done)


@shared_task
def reallocate() -> dict[str, int]:
    """Solve together what is contested, once a minute."""
    done = services.reallocate()
    if done:
        nudge(send_due)
    return asdict(done)


@shared_task
def watch_verifications() -> int:
    """End verifications that have run out, and tell everybody concerned what became of theirs."""
    accounts_services.expire_verifications()
    told = services.announce_verifications()
    if told:
        nudge(send_due)
    return told
