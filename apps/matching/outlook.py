"""What there is for a need right now, and what keeps the rest from serving it."""

import datetime as dt
from dataclasses import dataclass

from django.utils import timezone

from apps.demands.models import Demand
from apps.matching.loading import (
    load_needs,
    load_rules,
    load_sources,
)
from apps.matching.ranking import Refusal, rank
from apps.policy.models import Policy


@dataclass(frozen=True)
class Outlook:
    """What the catalogue of offers holds for a need right now: for the page of a need that nobody serves."""

    candidates: int
    refused: dict[str, int]


def outlook(demand: Demand, *, now: dt.datetime | None = None) -> Outlook:
    """Count the offers that could serve a need and, by filter, those that could not."""
    now = now or timezone.now()
    rules, policy = load_rules(), Policy.objects.current().values
    needs = load_needs([demand], policy)
    if not needs:
        return Outlook(0, {})
    offered = {demand.item_id} | {offer for offer, demanded in rules.substitutes if demanded == demand.item_id}
    ranked = rank(needs[0], load_sources(offered, now, policy), rules, policy=policy, now=now)
    return Outlook(
        len(ranked.candidates),
        {reason.value: count for reason, count in ranked.refused.items() if reason is not Refusal.OWN},
    )
