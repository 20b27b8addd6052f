"""“Still available?”: what time does to offers that nobody confirms. With `services.py` it writes this app's tables."""

import datetime as dt

from django.db import transaction
from django.utils import timezone

from apps.core.posts import AT_ONCE, change_states
from apps.notifications.services import News, queue_all
from apps.policy.models import Policy
from apps.supply.models import Offer, OfferState, OfferStateCode
from apps.supply.services import describe


@transaction.atomic
def ask_whether_still_there(*, now: dt.datetime | None = None, limit: int = AT_ONCE) -> int:
    """Ask, once, the suppliers whose offers are about to go stale. Returns how many were asked."""
    now = now or timezone.now()
    offers = Offer.objects.to_be_asked(now, Policy.objects.current().values).first_locked("confirmed_at", limit)
    Offer.objects.filter(pk__in=[offer.pk for offer in offers]).update(asked_at=now)
    queue_all(
        [
            News(
                "offer.freshness_asked",
                offer.organisation,
                describe(offer),
                key=f"offer.freshness_asked:{_confirmation(offer)}",
            )
            for offer in offers
        ]
    )
    return len(offers)


@transaction.atomic
def suspend_stale(*, now: dt.datetime | None = None, limit: int = AT_ONCE) -> int:
    """Suspend the offers that nobody confirmed in time, and say so. Returns how many."""
    now = now or timezone.now()
    offers = Offer.objects.gone_stale(now, Policy.objects.current().values).first_locked("confirmed_at", limit)
    change_states(offers, OfferState.STALE, now=now, code=OfferStateCode.NOBODY_CONFIRMED)
    queue_all(
        [
            News("offer.suspended", offer.organisation, describe(offer), key=f"offer.suspended:{_confirmation(offer)}")
            for offer in offers
        ]
    )
    return len(offers)


def _confirmation(offer: Offer) -> str:
    """Part of the key of a notice: after each confirmation it may be asked and suspended again."""
    return f"{offer.pk}:{offer.confirmed_at:%Y%m%d%H%M%S}"
