"""What coordinators decide: a draft that waits for them goes out, or back to its owner; a clock gets more time."""

import datetime as dt
from typing import Final

from django.db import transaction
from django.db.models import F, Value
from django.db.models.functions import Greatest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.core import audit
from apps.core.errors import RuleViolation
from apps.core.posts import return_to_owner
from apps.demands.models import Demand
from apps.demands.review import reviews
from apps.demands.services import describe, open_demand
from apps.notifications.services import queue

# What a coordinator who is at it adds to the clock.
MORE_TIME: Final = dt.timedelta(hours=2)


@transaction.atomic
def approve_demand(
    demand: Demand, *, by: User, seen: dt.datetime | None = None, now: dt.datetime | None = None
) -> Demand:
    """Open a draft after a look.

    Raises `needs_other_eyes` (403) if it waits for the look of somebody else, and what `open_demand` raises.
    """
    if demand.awaits_review and not reviews(demand, by):
        raise RuleViolation(
            "needs_other_eyes",
            _("You posted or changed this need, or belong to its requester: another coordinator has to look at it."),
            status=403,
        )
    return open_demand(demand, by=by, quantity_confirmed=True, seen=seen, now=now)


@transaction.atomic
def return_demand(demand: Demand, *, by: User, reason: str, now: dt.datetime | None = None) -> Demand:
    """Return a draft that waits for review to its owner, who is told why and may send it out again."""
    now = now or timezone.now()
    if not reason.strip():
        raise RuleViolation("reason_missing", _("Say what the requester should change."), field="reason")
    return_to_owner(demand, reason=reason, changes={"escalates_at": None})
    audit.record(by, "demand.returned", demand, reason=reason)
    context = {**describe(demand), "reason": demand.state_note}
    queue("demand.returned", demand.organisation, context, key=f"demand.returned:{demand.pk}:{now:%Y%m%d%H%M%S}")
    return demand


@transaction.atomic
def give_more_time(demand: Demand, *, by: User, now: dt.datetime | None = None) -> None:
    """Two hours more before the next coordinator up is told: somebody is at it. Raises `no_clock` where none runs."""
    now = now or timezone.now()
    running = Demand.objects.open().filter(pk=demand.pk, escalates_at__isnull=False)
    if not running.update(escalates_at=Greatest(F("escalates_at"), Value(now)) + Value(MORE_TIME)):
        raise RuleViolation("no_clock", _("No clock runs: nobody further up is to be told."))
    audit.record(by, "demand.given_time", demand)
    demand.refresh_from_db()
