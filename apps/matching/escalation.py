"""Escalation: what waits too long goes to the coordinator of the city, then the province, then the nation.

That is a need that is not covered, and a need or an offer that nobody has reviewed. Its owner is told at once. The desk
is told by `desks.notices`, one message for many.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final

import structlog
from django.db import transaction
from django.db.models import Count
from django.utils import timezone

from apps.accounts.models import Organisation
from apps.catalogue.models import Region
from apps.core.posts import AT_ONCE, PostQuerySet, PostRow
from apps.demands import clocks
from apps.demands import services as demands_services
from apps.demands.models import Demand
from apps.matching.desks import notices as desk_notices
from apps.matching.desks.notices import facts_of_need, facts_of_offer, why_nothing
from apps.matching.holds.plans import Done
from apps.matching.models import WAS_ASKED, Escalation, EscalationQuerySet, Match
from apps.notifications.services import News, queue_all
from apps.policy.models import Policy
from apps.policy.values import PolicyValues
from apps.supply import services as supply_services
from apps.supply.models import Offer

log = structlog.get_logger(__name__)


# Fewer are escalated one by one, each with why it got nothing: a second each in a large and busy market.
_CROWD: Final = 20


def escalate_due(*, now: dt.datetime | None = None, limit: int = AT_ONCE) -> Done:
    """Escalate up to `limit` needs whose clock ran out to the next coordinator up, with all that was tried.

    The clock also runs for needs and offers that wait for a coordinator's review; of each kind, `limit` counts anew.
    Safe to run side by side.
    """
    now = now or timezone.now()
    policy = cache(lambda: Policy.objects.current().values)  # read if anything is due, and once
    # Each kind has an index of its own. Both kinds of needs together would be sorted again for each batch.
    needs = Demand.objects.escalation_due(now)
    kinds: list[tuple[PostQuerySet[Any], Any]] = [
        (needs.open(), _escalate_demands),
        (needs.awaiting_review(), _escalate_demands),
        (Offer.objects.escalation_due(now), _escalate_offers),
    ]
    done = Done(escalated=sum(_escalate_each(due, escalate, policy, now, limit) for due, escalate in kinds))
    # While more is due, also by another worker that has not committed yet, one message will tell of all of it.
    is_over = not any(due.exists() for due, _escalate in kinds)
    return done + Done(told=desk_notices.tell_desks(now=now, policy=policy, is_over=is_over))


def _escalate_each(
    due: PostQuerySet[PostRow],
    escalate: Callable[[Sequence[PostRow], PolicyValues, dt.datetime, bool], int],
    policy: Callable[[], PolicyValues],
    now: dt.datetime,
    limit: int,
) -> int:
    pks = list(due.order_by("escalates_at").values_list("pk", flat=True)[:limit])
    if not pks:
        return 0
    if len(pks) >= min(limit, _CROWD):
        # All are told soon, and the page of each says why it got nothing.
        with transaction.atomic():
            return escalate(due.first_locked("escalates_at", limit), policy(), now, False)
    escalated = 0
    for pk in pks:
        with transaction.atomic():
            # The clock is looked at again under the lock, because another worker may have been first.
            escalated += escalate(due.filter(pk=pk).first_locked("escalates_at", 1), policy(), now, True)
    return escalated


class _Before:
    """Who is to be told of some posts, and who was told in this run of the clock."""

    def __init__(self, regions: Sequence[Region], escalations: EscalationQuerySet) -> None:
        self.coordinators = list(Organisation.objects.coordinating(*regions))
        self.told: dict[tuple[int, bool, dt.datetime], set[int]] = defaultdict(set)
        for row in escalations:
            self.told[row.demand_id or row.offer_id or 0, row.for_approval, row.since].add(row.organisation_id)

    def left(self, key: int, region: Region, since: dt.datetime, *, in_review: bool) -> tuple[list[Organisation], int]:
        """The coordinators who are still to be told, nearest first, and the level of the first of them.

        A post that waits again starts from the nearest coordinator.
        """
        told = self.told[key, in_review, since]
        here = {*region.ancestor_codes, region.code}
        # The nearest coordinator was told of a post in review when the review began.
        chain = [each for each in self.coordinators if each.region_id in here][1 if in_review else 0 :]
        return [coordinator for coordinator in chain if coordinator.pk not in told], len(told) + 1


def _escalate_demands(demands: Sequence[Demand], policy: PolicyValues, now: dt.datetime, explained: bool) -> int:
    """Put needs before the next coordinators, notify the requesters, and set the clocks again. Returns how many.

    The number of queries does not depend on how many there are, unless it is `explained` why suppliers cannot serve
    them: that counts the offers for each.
    """
    before = _Before([demand.region for demand in demands], Escalation.objects.filter(demand__in=demands))
    asked = Match.objects.filter(WAS_ASKED, demand__in=demands).order_by("state").values_list("demand_id", "state")
    tried: dict[int, dict[str, int]] = defaultdict(dict)
    for key, state, count in asked.annotate(count=Count("pk")):
        tried[key][str(state)] = count
    next_at: dict[int, dt.datetime | None] = {}
    rows, news = [], []
    for demand in demands:
        in_review = demand.awaits_review
        since = demand.escalating_since
        assert since is not None, "a clock that rings has begun to run"
        left, level = before.left(demand.pk, demand.region, since, in_review=in_review)
        # The last coordinator of the chain ends it: there is nobody further up.
        next_at[demand.pk] = clocks.escalates_at(demand.urgency, now, policy) if len(left) > 1 else None
        if not left:
            log.warning("escalation_without_coordinator", demand=demand.pk, region=demand.region_id)
            continue
        coordinator = left[0]
        rows.append(
            Escalation(
                demand=demand,
                organisation=coordinator,
                level=level,
                tried=tried[demand.pk],
                for_approval=in_review,
                since=since,
                notice_pending=True,
            )
        )
        context = facts_of_need(rows[-1], why_nothing(demand, policy, now) if explained else [])
        news.append(News("demand.passed_on", demand.organisation, context, key=f"demand.passed_on:{rows[-1].run}"))
    demands_services.set_escalations(next_at)
    Escalation.objects.bulk_create(rows)
    queue_all(news)
    return len(rows)


def _escalate_offers(offers: Sequence[Offer], policy: PolicyValues, now: dt.datetime, _explained: bool) -> int:
    """Put offers before the next coordinators, notify the suppliers, and set the clocks again. Returns how many."""
    before = _Before([offer.origin_region for offer in offers], Escalation.objects.filter(offer__in=offers))
    next_at: dict[int, dt.datetime | None] = {}
    rows, news = [], []
    for offer in offers:
        since = offer.review_requested_at
        assert since is not None, "a clock that rings has begun to run"
        left, level = before.left(offer.pk, offer.origin_region, since, in_review=True)
        next_at[offer.pk] = now + policy.offer_escalates_after if len(left) > 1 else None
        if not left:
            log.warning("escalation_without_coordinator", offer=offer.pk, region=offer.origin_region_id)
            continue
        coordinator = left[0]
        rows.append(
            Escalation(
                offer=offer,
                organisation=coordinator,
                level=level,
                for_approval=True,
                since=since,
                notice_pending=True,
            )
        )
        context = facts_of_offer(rows[-1])
        news.append(News("offer.passed_on", offer.organisation, context, key=f"offer.passed_on:{rows[-1].run}"))
    supply_services.set_escalations(next_at)
    Escalation.objects.bulk_create(rows)
    queue_all(news)
    return len(rows)
