"""Celery's way into matching."""

from dataclasses import asdict
from typing import Final

from celery import shared_task

from apps.accounts import services as accounts_services
from apps.matching import notices, services
from apps.matching.search import offer_index
from apps.matching.simulation import previews
from apps.notifications.tasks import clear_wake_mark, send_due, wake

# How many needs are matched before the sender gets a turn: a crowd must not keep the first from being told.
TURN: Final = 50


@shared_task
def sweep() -> dict[str, int]:
    """Do what matching has to do now, wake the sender if there is something to say, and go on if there is more."""
    clear_wake_mark(sweep)
    done = services.sweep(limit=TURN)
    if done:
        wake(send_due)
    if done.demands >= TURN:
        wake(sweep)
    return asdict(done)


@shared_task
def reallocate() -> dict[str, int]:
    """Solve together what is contested, once a minute."""
    done = services.reallocate()
    if done:
        wake(send_due)
    return asdict(done)


@shared_task
def index_offers() -> int:
    """Give new and changed offers their bounds."""
    return offer_index.index_offers()


@shared_task
def refresh_supplier_statistics() -> int:
    """Take what ranking reads of suppliers and items, once an hour."""
    return offer_index.refresh_supplier_statistics()


@shared_task
def replay_drafts() -> bool:
    """Replay the last days under drafts of the policy, for a while, and go on if there is more."""
    clear_wake_mark(replay_drafts)
    more = previews.replay_due()
    if more:
        wake(replay_drafts)
    return more


@shared_task
def purge_replays() -> dict[str, int]:
    """Forget what would have been, and drafts that were thrown away, long ago."""
    return previews.purge()


@shared_task
def watch_verifications() -> int:
    """End verifications that have run out, and tell everybody concerned what became of theirs."""
    accounts_services.expire_verifications()
    told = notices.announce_verifications()
    if told:
        wake(send_due)
    return told
