"""What matching and fulfilment do to the quantities of an offer. With `services.py` the only writer of this table.

Each verb is one conditional UPDATE, inside the caller's transaction: the row count is the answer. Holds are committed
by functions in the database, through the view `supply_published` (`matching.holding`).
"""

import datetime as dt
from collections.abc import Mapping

from django.db import connection
from django.db.models import F

from apps.supply.models import Offer


def reserve(offer_id: int, quantity: int) -> bool:
    """Promise `quantity` of an offer to a repeat order in one conditional UPDATE; False when it is not there any more.

    It may be taken from a paused offer, never from a suspended one nor from stock that is not there.
    """
    repeatable = Offer.objects.repeatable().alias(free=Offer.quantity_free.expression())
    return (
        repeatable.filter(pk=offer_id, free__gte=quantity).update(quantity_reserved=F("quantity_reserved") + quantity)
        == 1
    )


def release(quantities: Mapping[int, int], *, now: dt.datetime) -> None:
    """Give back what was promised of each offer, by key: others may have it.

    Whoever releases of several has locked them in the order of their keys.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE supply_offer SET quantity_reserved = quantity_reserved - less.quantity, match_requested_at = %s
            FROM unnest(%s::bigint[], %s::bigint[]) AS less (id, quantity) WHERE supply_offer.id = less.id""",
            [now, list(quantities), list(quantities.values())],
        )
