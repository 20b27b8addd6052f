"""Celery tasks of matching: each claims rows, calls one verb and wakes the next."""

from dataclasses import asdict
from typing import Final

from celery import shared_task

from apps.accounts import services as accounts_services
from apps.accounts.models import Organisation
from apps.demands.models import Demand
from apps.matching import escalation, notices, services
from apps.matching.models import ContestedItem, Escalation, Match
from apps.matching.search import offer_index
from apps.matching.simulation import previews
from apps.notifications.tasks import clear_wake_mark, wake, wake_senders, wake_while
from apps.supply.models import Offer, OfferChange

# Needs matched before the sender gets a turn: a crowd of posts must not delay the first notices.
TURN: Final = 50
# Seconds between two runs of the micro-batch (`cosmomatch/celery.py`).
EVERY_MINUTE: Final = 60


@shared_task
def sweep() -> dict[str, int]:
    """Do one turn of matching, wake the sender if there is something to send, and go on if there is more."""
    # While a turn runs, needs gather for the next one: many together cost a third of what they cost one by one. Only
    # when a whole turn waits do others help.
    if services.count_due(up_to=TURN) == TURN:
        clear_wake_mark(sweep)
        wake(sweep)
    done = services.match_waiting(limit=TURN)
    if done:
        wake_senders()
    # What was committed before the mark is cleared is seen by the look after it, and what comes later wakes by itself.
    # The next turn is a task of its own, so messages are sent between them.
    clear_wake_mark(sweep)
    if services.count_due(up_to=1):
        wake(sweep)
    return asdict(done)


@shared_task
def expire_holds() -> dict[str, int]:
    """End holds that were not answered in time, and have their needs matched anew. Goes on until none is due."""
    clear_wake_mark(expire_holds)
    done = services.expire_holds()
    if done:
        wake(sweep)
        wake_senders()
        wake(expire_holds)
    return asdict(done)


@shared_task
def escalate() -> dict[str, int]:
    """Escalate what waits too long to the next coordinator. Goes on until none is due."""
    clear_wake_mark(escalate)
    done = escalation.escalate_due()
    if done:
        wake_senders()
        wake(escalate)
    return asdict(done)


@shared_task
def reallocate() -> int:
    """Look for what is contested, once a minute, and send one task for each group that waits; returns how many."""
    groups = services.note_contested()
    for _group in range(groups):
        # What no worker has begun within the minute is sent again by the next run, and does not pile up.
        allocate_next.apply_async(expires=EVERY_MINUTE, retry=False, ignore_result=True)
    return groups


@shared_task
def allocate_next() -> dict[str, int]:
    """Allocate the contested group that waits longest. As many of these run side by side as there are workers.

    What a turn had no time to write is gone on with at once, after the groups that wait already.
    """
    done = services.allocate_next()
    if done:
        wake_senders()
        if ContestedItem.objects.unfinished().exists():
            allocate_next.apply_async(expires=EVERY_MINUTE, retry=False, ignore_result=True)
    return asdict(done) if done is not None else {}


@shared_task
def check_holds() -> dict[str, int]:
    """Take back invalid holds that no event named, once an hour."""
    return asdict(services.check_holds())


@shared_task
def index_offers() -> int:
    """Enter new and changed offers into the offer index."""
    return offer_index.index_offers()


@shared_task
def refresh_supplier_statistics() -> int:
    """Refresh suppliers' records and reference prices, once an hour."""
    return offer_index.refresh_supplier_statistics()


@shared_task
def count_levers() -> int:
    """Count what single acts would do for the open needs; returns how many levers there are."""
    return services.count_levers() or 0


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
    """Delete replays, and drafts that were discarded, 90 days after."""
    return previews.purge()


@shared_task
def watch_verifications() -> int:
    """End verifications that have run out, and notify organisations of theirs."""
    accounts_services.expire_verifications()
    notified = notices.announce_verifications()
    if notified:
        wake_senders()
    return notified


wake_while(
    sweep,
    Demand.objects.awaiting_match,
    Offer.objects.awaiting_match,
    lambda _now: Match.objects.withdrawal_notice_due(),
)
wake_while(expire_holds, Match.objects.overdue)
wake_while(
    escalate,
    lambda now: Demand.objects.escalation_due(now).open(),
    lambda now: Demand.objects.escalation_due(now).awaiting_review(),
    Offer.objects.escalation_due,
    Escalation.objects.notice_due,
)
wake_while(index_offers, lambda _now: OfferChange.objects.all())
wake_while(watch_verifications, lambda _now: Organisation.objects.unannounced())
