"""The verb that changes what a need asks for. Only matching may call it, which a contract of import-linter checks.

Suppliers may have been asked for the need as it was. Matching takes those requests back first; otherwise suppliers
would keep goods for a need that does not want them any more.
"""

import copy
import datetime as dt
import math
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.core import audit
from apps.core.errors import RuleViolation
from apps.core.plausibility import Plausibility
from apps.demands import clocks
from apps.demands.lines import check_line, check_quantity
from apps.demands.models import URGENCY_RANK, Demand, DemandState, DemandStateCode, Urgency
from apps.demands.quantities import sync_state
from apps.demands.review import judge_quantity, look_needed, question_about, reviews, wants_approval
from apps.policy.models import Policy
from apps.policy.values import PolicyValues


@transaction.atomic
def amend_demand(
    demand: Demand, *, by: User, quantity_confirmed: bool = False, now: dt.datetime | None = None, **changes: Any
) -> Demand:
    """Change what a need asks for. The quantity cannot go below what suppliers were asked for or have accepted.

    An amendment cannot bring in what a new need would be stopped for. It raises `quantity_unusual` unless the quantity
    is confirmed, and `look_needed` if a coordinator has to review the change first. It also raises `quantity_promised`,
    `item_fixed` and the faults of a line.

    Only `matching.services.amend_demand` calls this, after it has taken back the unanswered requests that do not fit.
    """
    now = now or timezone.now()
    demand = (
        Demand.objects.select_for_update(of=["self"], no_key=True)
        .select_related("item", "organisation", "region")
        .get(pk=demand.pk)
    )
    if not demand.can_be_amended:
        raise RuleViolation("illegal_move", _("This need is cancelled."))
    if "item" in changes and changes["item"] != demand.item and demand.state != DemandState.DRAFT:
        raise RuleViolation("item_fixed", _("The item is fixed once a need is open. Post a new one."), field="item")

    changed = {name: value for name, value in changes.items() if getattr(demand, name) != value}
    before = copy.copy(demand)
    for name, value in changed.items():
        setattr(demand, name, value)
    check_quantity(demand.quantity, demand.quantity_kind)
    # A date that does not change is not checked again, so a need can be amended after its date.
    check_line(demand.item, demand.standard, changed.get("needed_by"), now)
    # Held quantities count too: the constraint `demand_not_overserved` refuses less.
    promised = demand.quantity_covered
    if demand.quantity is not None and demand.quantity < promised:
        raise RuleViolation(
            "quantity_promised",
            _("Suppliers have already accepted %(promised)s.") % {"promised": f"{promised:,}"},
            field="quantity",
        )

    if not changed:
        return demand
    policy = Policy.objects.current().values
    if demand.state != DemandState.DRAFT and not reviews(demand, by):
        _check_needs_no_review(demand, before, policy, quantity_confirmed=quantity_confirmed)
    # The coordinator's note stays, and the code says that the owner has changed the need since.
    if demand.state_code == DemandStateCode.RETURNED:
        changed["state_code"] = demand.state_code = DemandStateCode.RETURNED_AND_AMENDED
    demand.save(update_fields=list(changed))
    if demand.state == DemandState.OPEN:
        # An amendment counts as a confirmation, because its author has looked at the need.
        fresh = demand.clocks_from(now, policy)
        # Another urgency has another time to escalation. It is counted from the old start, so that nobody restarts the
        # clock.
        if "urgency" in changed and demand.escalating_since:
            fresh["escalates_at"] = clocks.escalates_at(demand.urgency, demand.escalating_since, policy)
        Demand.objects.filter(pk=demand.pk).update(**fresh)
    sync_state(demand.pk, now=now)
    audit.record(by, "demand.amended", demand, fields=sorted(changed.keys() - {"state_code"}))
    demand.refresh_from_db()
    return demand


def _check_needs_no_review(demand: Demand, before: Demand, policy: PolicyValues, *, quantity_confirmed: bool) -> None:
    """Raise if an amendment, not saved yet, would need a review or a confirmation as a new need."""
    if wants_approval(demand, policy):
        _check_approved(demand, before)
    if demand.quantity == before.quantity:
        return
    judgement = judge_quantity(demand)
    if judgement.plausibility is Plausibility.ABSURD:
        raise RuleViolation(
            "look_needed",
            _("This quantity is unusual. Post it as a separate need, so that a coordinator can review it first."),
            field="quantity",
        )
    if judgement.plausibility is Plausibility.UNUSUAL and not quantity_confirmed:
        raise question_about(demand, judgement.usual)


def _check_approved(demand: Demand, before: Demand) -> None:
    """Raise `look_needed` if an amendment goes beyond what a coordinator has approved.

    An approval holds for one region, quantity and order of service. The owner may change which goods would do, and may
    make the need smaller or less urgent.
    """
    if demand.region_id != before.region_id:
        raise RuleViolation(
            "look_needed",
            _("In that region a coordinator reviews every need before it goes out. Post it as a separate need."),
            field="region",
        )
    burdens, reviewed = _burden(demand), _burden(before)
    for field, burden in burdens.items():
        if burden > reviewed[field]:
            raise look_needed(field)


def _burden(demand: Demand) -> dict[str, float]:
    """What an approval limits: how much a need takes, and what puts it before others. A larger number is more."""
    # An unknown number of days ranks last (`precedence`), so it is the lightest.
    days = math.inf if demand.days_of_supply is None else demand.days_of_supply
    # Matching may try more than a trial lot, which nobody has reviewed.
    quantity = demand.quantity or demand.item.trial_lot
    return {"quantity": quantity, "urgency": -URGENCY_RANK[Urgency(demand.urgency)], "days_of_supply": -days}
