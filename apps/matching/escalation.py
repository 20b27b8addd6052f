"""Escalation: what waits too long goes to the coordinator of the city, then the province, then the nation.

That is a need that is not covered, and a need or an offer that nobody has reviewed.
"""

import datetime as dt
from collections import Counter
from collections.abc import Callable

import structlog
from django.db import transaction
from django.utils import timezone

from apps.accounts.models import Organisation
from apps.catalogue.models import Region
from apps.core.posts import PostQuerySet, PostRow
from apps.demands import clocks
from apps.demands import services as demands_services
from apps.demands.models import Demand
from apps.matching.explanation import outlook_wording
from apps.matching.explanation.outlook import outlook
from apps.matching.holds.plans import Done
from apps.matching.models import WAS_ASKED, Escalation, EscalationQuerySet, Match
from apps.notifications.services import queue
from apps.policy.models import Policy
from apps.policy.values import PolicyValues
from apps.supply import services as supply_services
from apps.supply.models import Offer

log = structlog.get_logger(__name__)


def escalate_due(*, now: dt.datetime | None = None, limit: int = 200) -> Done:
    """Escalate up to `limit` needs whose clock ran out to the next coordinator up, with all that was tried.

    The clock also runs for needs and offers that wait for a coordinator's review. Of offers, `limit` counts anew. Safe
    to run side by side.
    """
    now = now or timezone.now()
    return Done(
        escalated=_escalate_each(Demand.objects.escalation_due(now), _escalate_demand, now, limit)
        + _escalate_each(Offer.objects.escalation_due(now), _escalate_offer, now, limit)
    )


def _escalate_each(
    due: PostQuerySet[PostRow],
    escalate: Callable[[PostRow, PolicyValues, dt.datetime], int],
    now: dt.datetime,
    limit: int,
) -> int:
    pks = list(due.order_by("escalates_at").values_list("pk", flat=True)[:limit])
    if not pks:
        return 0
    policy = Policy.objects.current().values
    escalated = 0
    for pk in pks:
        with transaction.atomic():
            # The clock is looked at again under the lock, because another worker may have been first.
            rows = due.select_for_update(of=["self"], skip_locked=True, no_key=True).shown()
            post = rows.filter(pk=pk).first()
            if post is not None:
                escalated += escalate(post, policy, now)
    return escalated


def _left(region: Region, before: EscalationQuerySet, *, in_review: bool) -> tuple[list[Organisation], int]:
    """The coordinators who are still to be told, nearest first, and the level of the first of them.

    `before` is who was told in this run of the clock: a post that waits again starts from the nearest coordinator.
    """
    told = set(before.values_list("organisation_id", flat=True))
    # The nearest coordinator was told of a post in review when the review began.
    chain = list(Organisation.objects.coordinating(region))[1 if in_review else 0 :]
    return [coordinator for coordinator in chain if coordinator.pk not in told], len(told) + 1


def _escalate_demand(demand: Demand, policy: PolicyValues, now: dt.datetime) -> int:
    """Notify the next coordinator and the requester, and set the clock again. Returns 1, or 0 if nobody is left."""
    in_review = demand.awaits_review
    since = demand.escalating_since
    assert since is not None, "a clock that rings has begun to run"
    before = Escalation.objects.filter(demand=demand, for_approval=in_review, since=since)
    left, level = _left(demand.region, before, in_review=in_review)
    # The last coordinator of the chain ends it: there is nobody further up.
    next_at = clocks.escalates_at(demand.urgency, now, policy) if len(left) > 1 else None
    demands_services.set_escalation(demand.pk, next_at)
    if not left:
        log.warning("escalation_without_coordinator", demand=demand.pk, region=demand.region_id)
        return 0

    coordinator = left[0]
    states = Counter(Match.objects.filter(WAS_ASKED, demand=demand).values_list("state", flat=True))
    tried = {str(state): count for state, count in sorted(states.items())}
    Escalation.objects.create(
        demand=demand, organisation=coordinator, level=level, tried=tried, for_approval=in_review, since=since
    )
    context = {
        **demands_services.describe(demand),
        "coordinator": coordinator.name,
        "level": level,
        "tried": tried,
        "why": why_nothing(demand, policy, now) if demand.quantity_remaining and not in_review else [],
        "quantity_matched": demand.quantity_matched,
        "waits": in_review,
    }
    # The run of the clock is part of the key, so a later run may notify the same coordinator again.
    about = f"{demand.pk}:{coordinator.pk}{':look' if in_review else ''}:{since:%Y%m%d%H%M%S%f}"
    queue("demand.escalated", coordinator, context, key=f"demand.escalated:{about}")
    queue("demand.passed_on", demand.organisation, context, key=f"demand.passed_on:{about}")
    return 1


def _escalate_offer(offer: Offer, policy: PolicyValues, now: dt.datetime) -> int:
    """Notify the next coordinator and the supplier, and set the clock again. Returns 1, or 0 if nobody is left."""
    since = offer.review_requested_at
    assert since is not None, "a clock that rings has begun to run"
    before = Escalation.objects.filter(offer=offer, since=since)
    left, level = _left(offer.origin_region, before, in_review=True)
    supply_services.set_escalation(offer.pk, now + policy.offer_escalates_after if len(left) > 1 else None)
    if not left:
        log.warning("escalation_without_coordinator", offer=offer.pk, region=offer.origin_region_id)
        return 0

    coordinator = left[0]
    Escalation.objects.create(offer=offer, organisation=coordinator, level=level, for_approval=True, since=since)
    context = {**supply_services.describe(offer), "coordinator": coordinator.name, "level": level}
    about = f"{offer.pk}:{coordinator.pk}:{since:%Y%m%d%H%M%S%f}"
    queue("offer.escalated", coordinator, context, key=f"offer.escalated:{about}")
    queue("offer.passed_on", offer.organisation, context, key=f"offer.passed_on:{about}")
    return 1


def why_nothing(demand: Demand, policy: PolicyValues, now: dt.datetime) -> list[dict[str, str]]:
    """Why suppliers that were not asked cannot serve the need, and what would help, as sentences in every language."""
    seen = outlook(demand, now=now, policy=policy)

    def write() -> list[str]:
        return [*outlook_wording.why(seen), *(outlook_wording.help_of(seen, way) for way in seen.ways)]

    return outlook_wording.in_every_language(write)
