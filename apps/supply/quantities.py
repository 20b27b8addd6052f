"""What matching and fulfilment do to the quantities of an offer. With `services.py` the only writer of this table.

Each verb is one conditional UPDATE, inside the caller's transaction: the row count is the answer.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Final

from django.db import connection
from django.db.models import F

from apps.supply.models import Offer

# The parts of this app in the one statement that commits holds, which `matching.holding` puts together, so that nobody
# else names what we count. `offers` are the keys that holds are asked of, locked once `need` has locked the needs;
# `written` gives offer_id and quantity of each hold that came about.
LOCK_FOR_HOLDS: Final = """
    SELECT id, confirmed_at, quantity - quantity_reserved AS room
    FROM supply_offer
    WHERE id = ANY(%(offers)s::bigint[]) AND state = 'published' AND (SELECT count(*) FROM need) > 0
    ORDER BY id FOR NO KEY UPDATE"""
COUNT_HOLDS: Final = """
    UPDATE supply_offer SET quantity_reserved = quantity_reserved + more.quantity
    FROM (SELECT offer_id, sum(quantity) AS quantity FROM written GROUP BY offer_id) AS more
    WHERE supply_offer.id = more.offer_id"""


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
