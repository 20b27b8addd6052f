"""Where ordered goods go, and whom their supplier calls: a change of it after acceptance is told.

Whoever has the account of a requester could otherwise lead goods elsewhere that were promised to a known address.
"""

import datetime as dt
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from apps.accounts import services as accounts
from apps.accounts.models import Organisation, User
from apps.core import audit
from apps.demands.models import Demand
from apps.fulfilment.models import Order, OrderState
from apps.fulfilment.services import describe
from apps.matching import services as matching
from apps.notifications.services import queue


@transaction.atomic
def amend_demand(demand: Demand, *, by: User, now: dt.datetime | None = None, **changes: Any) -> Demand:
    """Change a need, and tell the suppliers whose goods go elsewhere by it. Raises as `matching.services` does."""
    now = now or timezone.now()
    # Locked, so that of two changes at once the second is compared with the first.
    before = Demand.objects.select_for_update(of=["self"], no_key=True).select_related("organisation").get(pk=demand.pk)
    leads_elsewhere = before.leads_elsewhere(changes)
    amended = matching.amend_demand(demand, by=by, now=now, **changes)
    if leads_elsewhere:
        _tell_suppliers(Q(match__demand=demand), by, now)
    return amended


@transaction.atomic
def amend_organisation(
    organisation: Organisation, *, by: User, now: dt.datetime | None = None, **changes: Any
) -> Organisation:
    """Change an organisation, and tell the suppliers who would call somebody else by it. Raises as `accounts` does."""
    before = Organisation.objects.get(pk=organisation.pk).contact
    amended = accounts.amend_organisation(organisation, by=by, **changes)
    if amended.contact != before:
        _tell_suppliers(Q(match__demand__organisation=organisation), by, now or timezone.now())
    return amended


def _tell_suppliers(concerned: Q, by: User, now: dt.datetime) -> None:
    """Note at each open order that its goods go elsewhere, and tell its supplier once of each need."""
    orders = Order.objects.filter(concerned, state__in=[OrderState.CONFIRMED, OrderState.SHIPPED])
    for order in orders.shown().order_by("pk"):
        # The order changes, so that a page or a program that shows the old place does not ship by it.
        Order.objects.filter(pk=order.pk).update(redirected_at=now)
        audit.record(by, "order.redirected", order)
        queue(
            "order.redirected",
            order.match.offer.organisation,
            {**describe(order), "changed_at": now.isoformat()},
            key=f"order.redirected:{order.match.demand_id}:{now.isoformat()}",
        )
