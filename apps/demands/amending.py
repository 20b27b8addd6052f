"""The verb that changes what a need asks for. Matching calls it, nobody else: import-linter holds that.

Suppliers may have been asked for the need as it was. Whoever changes it without taking that back leaves requests out
for goods that nobody wants any more.
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
from apps.demands import clocks
from apps.demands.lines import check_line, check_quantity
from apps.demands.models import URGENCY_RANK, Demand, DemandState, DemandStateCode, Urgency
from apps.demands.plausibility import Plausibility
from apps.demands.quantities import sync_state
from apps.demands.review import is_coordinator_of, judge_quantity, question_about, wants_approval
from apps.policy.models import Policy
from apps.policy.values import PolicyValues


@transaction.atomic
def amend_demand(
    demand: Demand, *, by: User, quantity_confirmed: bool = False, now: dt.datetime | None = None, **changes: Any
) -> Demand:
    """Change what is asked for. Accepted quantities are promises: the quantity cannot go below them.

    What would not go out by itself does not come in by an amendment either: raises `quantity_unusual` unless that is
    confirmed, and `look_needed` for what a coordinator has to look at first.

    Called by `matching.services.amend_demand` only, which first takes back what suppliers have been asked and have not
    answered. Raises also `quantity_promised`, `item_fixed` and the faults of a line.
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
    check_line(demand.item, demand.standard, changed.get("needed_by"), now)
    promised = demand.quantity_covered
    if demand.quantity is not None and demand.quantity < promised:
        raise RuleViolation(
            "quantity_promised",
            _("Suppliers have already promised %(promised)s.") % {"promised": f"{promised:,}"},
            field="quantity",
        )

    if not changed:
        return demand
    policy = Policy.objects.current().values
    if demand.state != DemandState.DRAFT and not is_coordinator_of(demand, by):
        _check_needs_no_review(demand, before, policy, quantity_confirmed=quantity_confirmed)
    if demand.state_code == DemandStateCode.RETURNED:
        changed["state_code"] = demand.state_code = DemandStateCode.RETURNED_AND_AMENDED
    demand.save(update_fields=list(changed))
    if demand.state == DemandState.OPEN:
        # Whoever amends a need has looked at it: that is as good as a confirmation.
        fresh = demand.clocks_from(now, policy)
        if "urgency" in changed and demand.escalating_since:
            fresh["escalates_at"] = clocks.escalates_at(demand.urgency, demand.escalating_since, policy)
        Demand.objects.filter(pk=demand.pk).update(**fresh)
    sync_state(demand.pk, now=now)
    audit.record(by, "demand.amended", demand, fields=sorted(changed.keys() - {"state_code"}))
    demand.refresh_from_db()
    return demand


def _check_needs_no_review(demand: Demand, before: Demand, policy: PolicyValues, *, quantity_confirmed: bool) -> None:
    """Whether an amendment, here not yet saved, brings in what would not go out by itself."""
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
    """Where a coordinator looks at every need, what was looked at is bound for that place, takes no more, and goes
    before no others than then. Which goods would do, and everything that makes it less, is its owner's business.
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
            raise RuleViolation(
                "look_needed",
                _(
                    "In this region a coordinator reviews every need before it goes out. Ask your coordinator to make "
                    "this need larger or more urgent, or post the rest as a separate need."
                ),
                field=field,
            )


def _burden(demand: Demand) -> dict[str, float]:
    """How much a need takes, and by what it goes before others of its tier; more is heavier."""
    days = math.inf if demand.days_of_supply is None else demand.days_of_supply
    return {"quantity": demand.target, "urgency": -URGENCY_RANK[Urgency(demand.urgency)], "days_of_supply": -days}
