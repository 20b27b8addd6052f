"""Changing needs and offers under the requests that stand on them: what does not fit any more is taken back first.

The verbs are `matching.services`'; the halves that only write the post are `demands.amending` and `supply.amending`.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from apps.accounts.models import User
from apps.demands.amending import amend_demand as amend_need
from apps.demands.models import Demand
from apps.matching.holds.release import lock, retire_backups, take_back
from apps.matching.models import Match, MatchQuerySet, MatchState
from apps.supply.amending import amend_offer as amend_goods
from apps.supply.models import Offer


@transaction.atomic
def amend_demand(
    demand: Demand, *, by: User, quantity_confirmed: bool = False, now: dt.datetime | None = None, **changes: Any
) -> Demand:
    """Change a need, and end the unanswered holds that would be made differently now: they are asked anew.

    Raises as `demands.amending.amend_demand` does.
    """
    now = now or timezone.now()
    demand = lock([demand.pk])[demand.pk]  # from here on no hold is made for the need as it was
    changed = {name for name, value in changes.items() if getattr(demand, name) != value}
    held = Match.objects.held().filter(demand=demand)
    if changed & {"standard", "accepts_substitutes", "region", "needed_by"}:
        retire_backups(Match.objects.filter(demand=demand))  # the next matching chooses backups anew
    touched = list(_outdated(held, demand, changed, changes).values_list("pk", "offer_id"))
    if touched:
        lock([demand.pk], [offer_id for _pk, offer_id in touched])
        asked = held.filter(pk__in=[pk for pk, _offer_id in touched]).shown().order_by("pk")
        take_back(list(asked), MatchState.CANCELLED, now)
    return amend_need(demand, by=by, quantity_confirmed=quantity_confirmed, now=now, **changes)


@transaction.atomic
def amend_offer(
    offer: Offer, *, by: User, confirmed: bool = False, now: dt.datetime | None = None, **changes: Any
) -> Offer:
    """Change an offer. If it has less now than is reserved, unanswered holds end until the rest fits.

    The lowest tier and the newest hold go first; accepted quantities stay. Raises as `supply.amending.amend_offer`.
    """
    now = now or timezone.now()
    held = Match.objects.held().filter(offer=offer)
    asking: list[int] = []
    if changes.get("quantity") is not None:
        asking += held.values_list("demand_id", flat=True)
    if "origin_region" in changes:
        # Its matches show the region, so they are touched after the offer. A need that asks its backup has the match
        # first, and then waits for the offer.
        asking += Match.objects.filter(offer=offer, state=MatchState.STANDBY).values_list("demand_id", flat=True)
    if asking:
        lock(asking, [offer.pk])
    if changes.get("quantity") is not None:
        too_much = Offer.objects.get(pk=offer.pk).quantity_reserved - changes["quantity"]
        unmet = []
        for match in held.filter(demand__in=asking).shown().order_by("-tier", "-pk"):
            if too_much > 0:
                unmet.append(match)
                too_much -= match.quantity
        take_back(unmet, MatchState.CANCELLED, now)
    return amend_goods(offer, by=by, confirmed=confirmed, now=now, **changes)


def _outdated(held: MatchQuerySet, demand: Demand, changed: set[str], changes: Mapping[str, Any]) -> MatchQuerySet:
    """The holds that a change of their need makes wrong.

    If the need grows, only suppliers that have more to give are asked anew.
    """
    if changed & {"standard", "region", "needed_by"}:
        return held
    # Matches nothing: the conditions below add to it.
    wrong = Q(pk=None)
    if "accepts_substitutes" in changed and not changes["accepts_substitutes"]:
        wrong |= Q(is_substitute=True)
    if "quantity" in changed:
        # A need that becomes smaller than what is held or accepted asks everybody anew, with quantities that fit.
        wanted = changes["quantity"] or demand.trial_quantity or demand.item.trial_lot
        if wanted < demand.quantity_covered:
            return held
        if wanted > demand.target:
            wrong |= Q(offer__quantity__gt=F("offer__quantity_reserved"))
    return held.filter(wrong)
