"""Escalation: needs whose clock ran out go to the coordinator of the city, then the province, then the nation."""

import datetime as dt
from collections import Counter

import structlog
from django.db import transaction
from django.utils import timezone

from apps.accounts.models import Organisation
from apps.demands import clocks
from apps.demands import services as demands_services
from apps.demands.models import Demand
from apps.matching.explanation import outlook_wording
from apps.matching.explanation.outlook import outlook
from apps.matching.holds.plans import Done
from apps.matching.models import WAS_ASKED, Escalation, Match
from apps.notifications.services import queue
from apps.policy.models import Policy
from apps.policy.values import PolicyValues

log = structlog.get_logger(__name__)


def escalate_due(*, now: dt.datetime | None = None, limit: int = 200) -> Done:
    """Escalate up to `limit` needs whose clock ran out to the next coordinator up, with all that was tried.

    The clock also runs for needs that wait for a coordinator's review. Safe to run side by side.
    """
    now = now or timezone.now()
    done = Done()
    pks = list(Demand.objects.escalation_due(now).order_by("escalates_at").values_list("pk", flat=True)[:limit])
    policy = Policy.objects.current().values if pks else None
    for pk in pks:
        with transaction.atomic():
            # The clock is looked at again under the lock, because another worker may have been first.
            due = Demand.objects.escalation_due(now).select_for_update(of=["self"], skip_locked=True, no_key=True)
            demand = due.shown().filter(pk=pk).first()
            if demand is not None and policy is not None:
                done.escalated += _escalate(demand, policy, now)
    return done


def _escalate(demand: Demand, policy: PolicyValues, now: dt.datetime) -> int:
    """Notify the next coordinator and the requester, and set the clock again. Returns 1, or 0 if nobody is left."""
    in_review = demand.awaits_review
    since = demand.escalating_since
    assert since is not None, "a clock that rings has begun to run"
    # Only this run of the clock counts: a need that was opened again starts from the nearest coordinator.
    before = Escalation.objects.filter(demand=demand, for_approval=in_review, since=since)
    notified = set(before.values_list("organisation_id", flat=True))
    # The nearest coordinator was notified of a need in review when the review began.
    chain = list(Organisation.objects.coordinating(demand.region))[1 if in_review else 0 :]
    left = [coordinator for coordinator in chain if coordinator.pk not in notified]
    # The last coordinator of the chain ends it: there is nobody further up.
    next_at = clocks.escalates_at(demand.urgency, now, policy) if len(left) > 1 else None
    demands_services.set_escalation(demand.pk, next_at)
    if not left:
        log.warning("escalation_without_coordinator", demand=demand.pk, region=demand.region_id)
        return 0

    coordinator = left[0]
    states = Counter(Match.objects.filter(WAS_ASKED, demand=demand).values_list("state", flat=True))
    tried = {str(state): count for state, count in sorted(states.items())}
    level = len(notified) + 1
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


def why_nothing(demand: Demand, policy: PolicyValues, now: dt.datetime) -> list[dict[str, str]]:
    """Why suppliers that were not asked cannot serve the need, and what would help, as sentences in every language."""
    seen = outlook(demand, now=now, policy=policy)

    def write() -> list[str]:
        return [*outlook_wording.why(seen), *(outlook_wording.help_of(seen, way) for way in seen.ways)]

    return outlook_wording.in_every_language(write)
