"""Which offers changed since the keeper of copies last looked. With `services.py` a writer of this app's tables.

Triggers on `Offer` and on `OriginRegion` note changes; the reader forgets what its copies hold.
"""

import datetime as dt
from collections.abc import Mapping

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from apps.supply.models import Offer, OfferChange


def note_all(offers: QuerySet[Offer]) -> int:
    """Note these offers as changed, for a reason that no trigger sees. Returns how many."""
    rows = offers.order_by("pk").values_list("pk", "item_id")
    changes = [OfferChange(offer_id=pk, item_id=item_id, changed_at=Now()) for pk, item_id in rows]
    OfferChange.objects.bulk_create(
        changes, batch_size=10_000, update_conflicts=True, unique_fields=["offer"], update_fields=["item", "changed_at"]
    )
    return len(changes)


@transaction.atomic
def forget(seen: Mapping[int, dt.datetime]) -> None:
    """Forget changes, given as the time of change by offer; not those that were noted once more since, nor those that
    somebody is noting this moment.
    """
    noted = OfferChange.objects.filter(pk__in=seen).select_for_update(skip_locked=True).order_by("pk")
    same = [pk for pk, changed_at in noted.values_list("pk", "changed_at") if changed_at == seen[pk]]
    OfferChange.objects.filter(pk__in=same).delete()
