"""Which offers changed and are not copied yet. A writer of this app's tables, as `services.py` is.

Triggers on `Offer` and `OriginRegion` note changes. The offer index of matching copies the offers, and then deletes the
notes (`forget`).
"""

import datetime as dt
from collections.abc import Mapping

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from apps.supply.models import Offer, OfferChange


def note_all(offers: QuerySet[Offer]) -> int:
    """Note these offers as changed, for a reason that no trigger sees. Returns how many."""
    # In the order of keys, as everywhere that locks rows, so that two callers cannot deadlock.
    rows = offers.order_by("pk").values_list("pk", "item_id")
    changes = [OfferChange(offer_id=pk, item_id=item_id, changed_at=Now()) for pk, item_id in rows]
    OfferChange.objects.bulk_create(
        changes, batch_size=10_000, update_conflicts=True, unique_fields=["offer"], update_fields=["item", "changed_at"]
    )
    return len(changes)


@transaction.atomic
def forget(seen: Mapping[int, dt.datetime]) -> None:
    """Delete notes of changes. `seen` is the time of the change by offer, as it was read before copying.

    A note stays if the offer has changed once more since, or is locked by a transaction that is changing it now.
    """
    noted = OfferChange.objects.filter(pk__in=seen).select_for_update(skip_locked=True).order_by("pk")
    same = [pk for pk, changed_at in noted.values_list("pk", "changed_at") if changed_at == seen[pk]]
    OfferChange.objects.filter(pk__in=same).delete()
