"""What matching and fulfilment do to the quantities of an offer. A writer of this app's tables, as `services.py` is.

Each verb is one UPDATE inside the caller's transaction. Constraints of the table refuse what does not add up. Holds are
committed by functions in the database, through the view `supply_published` (`apps/matching/holds/sql`).
"""

import datetime as dt
from collections.abc import Mapping

from django.db import connection
from django.db.models import F

from apps.supply.models import Offer


def reserve(offer_id: int, quantity: int) -> bool:
    """Reserve `quantity` of an offer for a repeat order. False if the offer has not that much free any more.

    The offer may be paused, but not stale or withdrawn.
    """
    # Condition and change are one statement, so two orders at once cannot both take the last goods.
    repeatable = Offer.objects.repeatable().alias(free=Offer.quantity_free.expression())
    return (
        repeatable.filter(pk=offer_id, free__gte=quantity).update(quantity_reserved=F("quantity_reserved") + quantity)
        == 1
    )


def release(quantities: Mapping[int, int], *, now: dt.datetime) -> None:
    """Give back reserved quantities, by key of the offer: others may have them.

    If there are several offers, the caller has locked them in the order of their keys.
    """
    # One statement, in SQL, because each row has a quantity of its own. The ORM would write a CASE of all rows.
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE supply_offer SET quantity_reserved = quantity_reserved - less.quantity, match_requested_at = %s
            FROM unnest(%s::bigint[], %s::bigint[]) AS less (id, quantity) WHERE supply_offer.id = less.id""",
            [now, list(quantities), list(quantities.values())],
        )
