"""Whether a coordinator reviews a need before it opens: for an absurd quantity, or because the policy says so.

Nothing is written here.
"""

from typing import Final

from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.accounts.permissions import Permission, can, is_in_charge
from apps.core import audit, plausibility
from apps.core.errors import RuleViolation
from apps.demands.models import Demand, DemandState
from apps.policy.values import PolicyValues

# How many of the newest needs a quantity is compared with: enough for a median, and old times do not count.
_HISTORY: Final = 200


def judge_quantity(demand: Demand) -> plausibility.Judgement:
    """Compare the demand with what the same kind of organisation usually asks for."""
    if demand.quantity is None:
        return plausibility.Judgement(plausibility.Plausibility.PLAUSIBLE, None)
    past = (
        Demand.objects.filter(item=demand.item, organisation__kind=demand.organisation.kind, quantity__isnull=False)
        .exclude(state__in=[DemandState.DRAFT, DemandState.CANCELLED])
        .order_by("-pk")
        .values_list("organisation_id", "quantity")[:_HISTORY]
    )
    known = [(organisation, quantity) for organisation, quantity in past if quantity]
    return plausibility.judge_for(demand.organisation_id, demand.quantity, known)


def question_about(demand: Demand, usual: float | None) -> RuleViolation:
    """The question to the owner about an unusual quantity, as a violation with the code `quantity_unusual`."""
    text = _("%(quantity)s is far from what such organisations ask for. Confirm the quantity, or correct it.")
    if usual is not None:
        text = _("%(quantity)s, not about %(usual)s? Confirm the quantity, or correct it.")
    return RuleViolation(
        "quantity_unusual",
        text % {"quantity": f"{demand.quantity:,}", "usual": f"{usual or 0:,}"},
        field="quantity",
        status=409,  # not 400: the input is valid, and goes through once it is confirmed
        usual=usual,
    )


def wants_approval(demand: Demand, policy: PolicyValues) -> bool:
    """Whether a coordinator looks at every need of its region."""
    _code, phase = policy.phase_of(demand.region.path)
    return phase.approval


def look_needed(field: str) -> RuleViolation:
    """That a need which was approved takes more than a coordinator has seen, as a violation with this code."""
    return RuleViolation(
        "look_needed",
        _(
            "In this region a coordinator reviews every need before it goes out. Ask your coordinator to make "
            "this need larger or more urgent, or post the rest as a separate need."
        ),
        field=field,
    )


def reviews(demand: Demand, user: User | None) -> bool:
    """Whether the user may send the need out whatever is doubtful: a coordinator with eyes of their own.

    That is none who posted it, changed the draft or belongs to the requester. The desk shows it to the coordinators of
    the requester's region and to those of delivery.
    """
    if user is None or user.pk == demand.posted_by_id:
        return False
    if any(grant.organisation_id == demand.organisation_id for grant in user.grants):
        return False
    if not can(user, Permission.COORDINATE, demand.organisation) and not is_in_charge(user, demand.region):
        return False
    return demand.state != DemandState.DRAFT or not audit.has_done(user, "demand.amended", demand)
