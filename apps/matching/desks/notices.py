"""What desks are told of escalations: one message for many, and of a few emergencies each at once.

An escalation is written with the mark that its desk is still to be told, and the mark goes with the message. So a
worker that dies between the two loses nothing: the next look finds the mark. A desk's own systems (webhooks) hear of
each escalation by itself.
"""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, Final

from django.db import transaction

from apps.accounts.models import Organisation
from apps.catalogue.models import Item, Region
from apps.demands import services as demands_services
from apps.demands.models import Demand, Urgency
from apps.matching.explanation import outlook_wording
from apps.matching.explanation.outlook import outlook
from apps.matching.models import DESKS_TOLD_EVERY, Escalation
from apps.notifications.models import WebhookEndpoint
from apps.notifications.services import News, queue_all
from apps.policy.models import Policy
from apps.policy.values import PolicyValues
from apps.supply import services as supply_services

# Of so many emergencies each is told by a message of its own, with why it got nothing. Of more, one tells all.
FEW: Final = 5
# The longest that a message waits for the end of a run of escalations.
_LONGEST_RUN: Final = dt.timedelta(minutes=5)
# Places and items that a message names.
_NAMED: Final = 12
# Of the path of a region: country, province, city.
_CITY: Final = 3


def tell_desks(*, now: dt.datetime, policy: Callable[[], PolicyValues] | None = None, is_over: bool = True) -> int:
    """Tell desks of the escalations that they were not told of, as far as they are due. Returns how many messages.

    Unless the run of escalations `is_over`, only desks are told that have waited for minutes.
    """
    due = Escalation.objects.notice_due(now)
    if not is_over:
        due = due.filter(created_at__lt=now - _LONGEST_RUN)
    desks = sorted(set(due.values_list("organisation_id", flat=True)))
    values = policy or cache(lambda: Policy.objects.current().values)
    return sum(_tell(desk, values, now) for desk in desks)


@transaction.atomic
def _tell(desk: int, policy: Callable[[], PolicyValues], now: dt.datetime) -> int:
    # The row of the desk is the lock: of two workers one tells all, so the desk does not get two messages of an hour.
    rows = Organisation.objects.select_for_update(no_key=True, skip_locked=True)
    coordinator = rows.filter(pk=desk).first()
    if coordinator is None:
        return 0
    pending = Escalation.objects.notice_pending().filter(organisation=coordinator)
    alone = list(pending.filter(demand__urgency=Urgency.EMERGENCY).values_list("pk", flat=True))
    together, others = [], []
    if len(alone) > FEW:
        alone, together = [], alone
    # Emergencies put off no other message, so only others say when the desk was told last.
    lately = Escalation.objects.filter(organisation=coordinator, told_at__gt=now - DESKS_TOLD_EVERY)
    if not lately.exists():
        others = list(pending.exclude(pk__in=[*alone, *together]).values_list("pk", flat=True))
        together += others
    if len(together) == 1:
        alone, together = [*alone, *together], []

    news = [_one(row, _why(row, policy, now)) for row in _shown(alone)]
    if together:
        news.append(_many(coordinator, together))
    told = len(news)
    # Systems count for themselves, and partners rely on one event for each need.
    if together and WebhookEndpoint.objects.filter(organisation=coordinator, is_active=True).exists():
        news += (replace(_one(row, []), to_people=False) for row in _shown(together))
    queue_all(news)
    Escalation.objects.filter(pk__in=others).update(told_at=now)
    Escalation.objects.filter(pk__in=[*alone, *together]).update(notice_pending=False)
    return told


def _shown(keys: Sequence[int]) -> Iterable[Escalation]:
    rows = Escalation.objects.filter(pk__in=keys).select_related("organisation", "demand", "offer").order_by("pk")
    demands = Demand.objects.shown().in_bulk([row.demand_id for row in rows if row.demand_id])
    for row in rows:
        if row.demand_id:
            row.demand = demands[row.demand_id]
        yield row


def _one(row: Escalation, why: Sequence[dict[str, str]]) -> News:
    if row.demand is None:
        return News("offer.escalated", row.organisation, facts_of_offer(row), key=f"offer.escalated:{row.run}")
    return News("demand.escalated", row.organisation, facts_of_need(row, why), key=f"demand.escalated:{row.run}")


def _why(row: Escalation, policy: Callable[[], PolicyValues], now: dt.datetime) -> list[dict[str, str]]:
    return [] if row.demand is None else why_nothing(row.demand, policy(), now)


def _many(coordinator: Organisation, keys: Sequence[int]) -> News:
    """One message of all these: how many of whom, emergencies first, by city and item."""
    columns = ("demand", "for_approval", "demand__organisation", "demand__urgency", "demand__region", "demand__item")
    rows = list(Escalation.objects.filter(pk__in=keys).values_list(*columns))
    stuck = [row for row in rows if row[0] and not row[1]]
    pressing = [row for row in stuck if row[3] == Urgency.EMERGENCY]
    regions = Region.objects.in_bulk({row[4] for row in stuck})
    cities = {code: _city_of(region) for code, region in regions.items()}
    places = _counted(stuck, lambda row: cities[row[4]])
    items = _counted(stuck, lambda row: row[5])
    named = Region.objects.in_bulk([code for code, _of in places])
    goods = Item.objects.in_bulk([key for key, _of in items])
    context = {
        "coordinator": coordinator.name,
        "needs": len(stuck),
        "bodies": len({row[2] for row in stuck}),
        "emergencies": len(pressing),
        "unreviewed": len(rows) - len(stuck),
        "unreviewed_needs": sum(1 for row in rows if row[0] and row[1]),
        "unreviewed_offers": sum(1 for row in rows if not row[0]),
        "places": [{"name": named[code].full_names, **of} for code, of in places],
        "items": [{"name": goods[key].names, **of} for key, of in items],
        "urgency": Urgency.EMERGENCY if pressing else Urgency.URGENT,
    }
    key = f"escalations.gathered:{coordinator.pk}:{max(keys)}"
    return News("escalations.gathered", coordinator, context, key=key, to_systems=False)


def _counted(rows: Iterable[tuple[Any, ...]], by: Any) -> list[tuple[Any, dict[str, int]]]:
    """Needs, bodies and emergencies of the first groups: those with an emergency first, then by bodies that wait."""
    needs, pressing, bodies = Counter[Any](), Counter[Any](), defaultdict[Any, set[int]](set)
    for row in rows:
        key = by(row)
        needs[key] += 1
        pressing[key] += row[3] == Urgency.EMERGENCY
        bodies[key].add(row[2])
    first = sorted(needs, key=lambda key: (-pressing[key], -len(bodies[key]), -needs[key], str(key)))[:_NAMED]
    return [(key, {"needs": needs[key], "bodies": len(bodies[key]), "emergencies": pressing[key]}) for key in first]


def _city_of(region: Region) -> str:
    """The code of the city that a place lies in, or of the place itself if it is larger."""
    return region.path.strip("/").split("/")[:_CITY][-1]


def facts_of_need(row: Escalation, why: Sequence[dict[str, str]]) -> dict[str, Any]:
    assert row.demand is not None
    return {
        **demands_services.describe(row.demand),
        "coordinator": row.organisation.name,
        "level": row.level,
        "tried": row.tried,
        "why": list(why),
        "quantity_matched": row.demand.quantity_matched,
        "waits": row.for_approval,
    }


def facts_of_offer(row: Escalation) -> dict[str, Any]:
    assert row.offer is not None
    return {**supply_services.describe(row.offer), "coordinator": row.organisation.name, "level": row.level}


def why_nothing(demand: Demand, policy: PolicyValues, now: dt.datetime) -> list[dict[str, str]]:
    """Why suppliers that were not asked cannot serve the need, and what would help, as sentences in every language.

    Nothing of a need in review, or that has all it wants.
    """
    if demand.awaits_review or not demand.quantity_remaining:
        return []
    seen = outlook(demand, now=now, policy=policy)

    def write() -> list[str]:
        return [*outlook_wording.why(seen), *(outlook_wording.help_of(seen, way) for way in seen.ways)]

    return outlook_wording.in_every_language(write)
