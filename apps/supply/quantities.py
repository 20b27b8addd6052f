"""What matching and fulfilment do to the quantities of an offer. With `services.py` the only writer of this table.

Each verb is one conditional UPDATE, inside the caller's transaction: the row count is the answer.
"""

import datetime as dt

from django.db.models import F

from apps.supply.models import Offer


def reserve(offer_id: int, quantity: int, *, any_state: bool = False) -> bool:
    """Promise `quantity` of an offer in one conditional UPDATE; False when it is not there any more.

    A repeat order may take from a paused offer of its proven supplier (`any_state`), never from stock that is not
    there.
    """
    offers = Offer.objects.live() if any_state else Offer.objects.published()
    won = offers.filter(pk=offer_id, quantity__gte=F("quantity_reserved") + quantity).update(
        quantity_reserved=F("quantity_reserved") + quantity
    )
    return won == 1


def release(offer_id: int, quantity: int, *, now: dt.datetime) -> None:
    """Give back what was promised: others may have it."""
    Offer.objects.filter(pk=offer_id).update(
        quantity_reserved=F("quantity_reserved") - quantity, match_requested_at=now
    )
