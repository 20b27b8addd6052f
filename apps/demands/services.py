"""The verbs of need: with `quantities.py` and `amending.py` the only writer of this app's tables.

Every change that matters to matching sets `match_requested_at`: the row itself is the queue.
"""

import datetime as dt
import secrets
from collections.abc import Collection, Sequence
from typing import Any, Final

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from apps.accounts.models import Organisation, User
from apps.core import audit
from apps.core.errors import RuleViolation
from apps.core.states import move
from apps.demands.lines import Line, check_lines
from apps.demands.models import Demand, DemandState
from apps.demands.quantities import settle
from apps.demands.review import (
    HELD_FOR_APPROVAL,
    QUANTITY_HELD_FOR_REVIEW,
    far_from_usual,
    is_coordinator_of,
    wants_approval,
)
from apps.notifications.services import queue
from apps.policy.models import Policy
from apps.policy.values import PolicyValues

# Without I, L, O and U: a reference is read out over the phone.
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LIKELY_DUPLICATE_WITHIN: Final = dt.timedelta(days=7)


def new_reference() -> str:
    """A name for a post that can be read out: N- and eight characters, one in a million million."""
    return "N-" + "".join(secrets.choice(_ALPHABET) for _i in range(8))


@transaction.atomic
def post_demands(
    organisation: Organisation, lines: Sequence[Line], *, by: User | None, now: dt.datetime | None = None
) -> list[Demand]:
    """Draft the lines of one post, all or none, under one reference."""
    now = now or timezone.now()
    if not lines:
        raise RuleViolation("lines_missing", _("Add at least one line."), status=400)
    if not organisation.can_request:
        raise RuleViolation("not_a_requester", _("This kind of organisation does not post needs."))

    check_lines(lines, now)
    reference = new_reference()
    rows = []
    for line in lines:
        values = line.fields()
        region = values["region"] = line.region or organisation.region
        # The address of the organisation is none in another town.
        if not line.address and (region.is_within(organisation.region) or organisation.region.is_within(region)):
            values["address"] = organisation.address
        rows.append(Demand(reference=reference, organisation=organisation, posted_by=by, **values))
    demands = Demand.objects.bulk_create(rows)
    audit.record(by, "demand.posted", organisation, reference=reference, demands=[demand.pk for demand in demands])
    return demands


@transaction.atomic
def open_demand(
    demand: Demand,
    *,
    by: User | None,
    quantity_confirmed: bool = False,
    policy: PolicyValues | None = None,
    seen: dt.datetime | None = None,
    now: dt.datetime | None = None,
) -> Demand:
    """Put a draft to work: from this commit on it is matched.

    Raises `organisation_unverified`, and `quantity_unusual` unless the unusual quantity is confirmed. An absurd
    quantity, and any need of a region where the policy demands it, leaves the draft waiting for a coordinator, who
    opens or returns it. Whoever opens many passes the values of the current `policy`. `seen`: the `updated_at` that
    whoever decided this looked at; if the draft changed since, `state_changed`.
    """
    now = now or timezone.now()
    if seen is not None:
        demand = Demand.objects.select_for_update(of=["self"], no_key=True).shown().get(pk=demand.pk)
        if demand.updated_at != seen:
            raise RuleViolation("state_changed", _("This need changed a moment ago. Look again and decide."))
    organisation = demand.organisation
    if not organisation.is_verified:
        raise RuleViolation(
            "organisation_unverified",
            _("“%(name)s” is not verified yet: nothing of it goes out before.") % {"name": organisation},
        )
    if demand.item.is_unlisted:
        raise RuleViolation("item_unlisted", _("Choose an item from the catalogue first."), field="item")

    policy = policy or Policy.objects.current().values
    if not is_coordinator_of(demand, by):
        if absurd := far_from_usual(demand, confirmed=quantity_confirmed):
            return _hold_back(demand, QUANTITY_HELD_FOR_REVIEW, policy, by=by, now=now, usual=absurd.usual)
        if wants_approval(demand, policy):
            return _hold_back(demand, HELD_FOR_APPROVAL, policy, by=by, now=now)

    move(
        demand,
        DemandState.OPEN,
        state_reason="",
        opened_at=now,
        review_requested_at=None,
        match_requested_at=now,
        **demand.escalation_from(now, policy),
        **demand.clocks_from(now, policy),
    )
    audit.record(by, "demand.opened", demand)
    return demand


def _hold_back(
    demand: Demand, why: str, policy: PolicyValues, *, by: User | None, now: dt.datetime, usual: int | None = None
) -> Demand:
    """Leave a draft waiting for a coordinator, who is told; its clock brings it before the next one up. A draft that
    waits already goes on waiting since then.
    """
    if demand.state != DemandState.DRAFT:
        raise RuleViolation("illegal_move", _("This need is not a draft any more."))
    drafts = Demand.objects.filter(pk=demand.pk, state=DemandState.DRAFT, review_requested_at=None)
    if drafts.update(review_requested_at=now, state_reason=why, **demand.escalation_from(now, policy)):
        audit.record(by, "demand.held_for_review", demand, quantity=demand.quantity, usual=usual, why=why)
        coordinator = Organisation.objects.coordinating(demand.region).first()
        if coordinator:
            event = "demand.held_for_review"
            if why == HELD_FOR_APPROVAL:
                event = "demand.awaits_approval"
            context = {**describe(demand), "usual": usual}
            queue(event, coordinator, context, key=f"{event}:{demand.pk}:{now:%Y%m%d%H%M%S}")
    demand.refresh_from_db()
    return demand


@transaction.atomic
def return_demand(demand: Demand, *, by: User, reason: str, now: dt.datetime | None = None) -> Demand:
    """A coordinator does not let a draft go out as it is: its owner is told why, mends it and asks again."""
    now = now or timezone.now()
    if not reason.strip():
        raise RuleViolation("reason_missing", _("Say what its owner can do."), field="reason")
    waiting = Demand.objects.awaiting_review().filter(pk=demand.pk)
    if not waiting.update(
        review_requested_at=None, escalates_at=None, opens_when_verified=False, state_reason=reason.strip()
    ):
        raise RuleViolation("illegal_move", _("This need does not wait for a coordinator any more."))
    demand.refresh_from_db()
    audit.record(by, "demand.returned", demand, reason=reason)
    context = {**describe(demand), "reason": demand.state_reason}
    queue("demand.returned", demand.organisation, context, key=f"demand.returned:{demand.pk}:{now:%Y%m%d%H%M%S}")
    return demand


@transaction.atomic
def open_when_verified(demand: Demand, *, by: User | None) -> None:
    """Send a draft out by itself as soon as its organisation is verified."""
    Demand.objects.filter(pk=demand.pk, state=DemandState.DRAFT).update(opens_when_verified=True)
    audit.record(by, "demand.opening_asked", demand)


def open_awaiting(organisations: Sequence[Organisation], *, now: dt.datetime) -> int:
    """Open the drafts that waited for these to be verified. What needs an answer first stays a draft."""
    waiting = Demand.objects.filter(
        state=DemandState.DRAFT, opens_when_verified=True, organisation__in=organisations, review_requested_at=None
    )
    policy = Policy.objects.current().values if organisations else None
    opened = 0
    for demand in waiting.shown().select_related("organisation__region", "posted_by").order_by("pk"):
        try:
            open_demand(demand, by=demand.posted_by, policy=policy, now=now)
        except RuleViolation:
            continue
        opened += demand.state == DemandState.OPEN
    return opened


@transaction.atomic
def pause_demand(demand: Demand, *, by: User, reason: str = "", now: dt.datetime | None = None) -> Demand:
    """Ask nobody for a while. What has been asked and not answered is taken back by the next matching."""
    move(demand, DemandState.PAUSED, state_reason=reason, match_requested_at=now or timezone.now())
    audit.record(by, "demand.paused", demand, reason=reason)
    return demand


@transaction.atomic
def resume_demand(demand: Demand, *, by: User, now: dt.datetime | None = None) -> Demand:
    """Paused or stale, back to open and freshly confirmed."""
    now = now or timezone.now()
    if demand.state not in {DemandState.PAUSED, DemandState.STALE}:
        raise RuleViolation("illegal_move", _("Only a paused need can be resumed."))
    policy = Policy.objects.current().values
    move(
        demand,
        DemandState.OPEN,
        state_reason="",
        match_requested_at=now,
        **demand.escalation_from(now, policy),
        **demand.clocks_from(now, policy),
    )
    settle(demand.pk, now=now)
    audit.record(by, "demand.resumed", demand)
    demand.refresh_from_db()
    return demand


@transaction.atomic
def confirm_demand(demand: Demand, *, by: User, now: dt.datetime | None = None) -> Demand:
    """Still needed: freshness starts again. A stale need opens again."""
    now = now or timezone.now()
    if demand.state == DemandState.STALE:
        return resume_demand(demand, by=by, now=now)
    fresh = demand.clocks_from(now, Policy.objects.current().values)
    if not Demand.objects.open().filter(pk=demand.pk).update(**fresh):
        raise RuleViolation("illegal_move", _("Only an open need can be confirmed."))
    audit.record(by, "demand.confirmed", demand)
    demand.refresh_from_db()
    return demand


@transaction.atomic
def cancel_demand(demand: Demand, *, by: User, reason: str = "", now: dt.datetime | None = None) -> Demand:
    """Not needed any more. What was accepted is an order by now and is cancelled as an order."""
    move(demand, DemandState.CANCELLED, state_reason=reason, match_requested_at=now or timezone.now())
    audit.record(by, "demand.cancelled", demand, reason=reason)
    return demand


# Sweeps: what time does to a demand.


@transaction.atomic
def ask_whether_still_needed(*, now: dt.datetime | None = None, limit: int = 200) -> int:
    """Ask, once, the owners of needs whose freshness is running out. Returns how many were asked."""
    now = now or timezone.now()
    due = (
        Demand.objects.to_be_asked(now)
        .shown()
        .select_for_update(of=["self"], skip_locked=True, no_key=True)
        .order_by("pk")
    )
    demands = list(due[:limit])
    for demand in demands:
        queue(
            "demand.freshness_asked",
            demand.organisation,
            describe(demand),
            key=f"demand.freshness_asked:{demand.pk}:{demand.confirmed_at:%Y%m%d%H%M%S}",
        )
    Demand.objects.filter(pk__in=[demand.pk for demand in demands]).update(asked_at=now)
    return len(demands)


@transaction.atomic
def suspend_stale(*, now: dt.datetime | None = None, limit: int = 200) -> int:
    """Suspend the needs that nobody confirmed in time, and say so. Returns how many."""
    now = now or timezone.now()
    due = (
        Demand.objects.gone_stale(now)
        .shown()
        .select_for_update(of=["self"], skip_locked=True, no_key=True)
        .order_by("pk")
    )
    demands = list(due[:limit])
    for demand in demands:
        move(
            demand,
            DemandState.STALE,
            state_reason=gettext_noop("Nobody confirmed that this is still needed."),
            match_requested_at=now,
        )
        queue(
            "demand.suspended",
            demand.organisation,
            describe(demand),
            key=f"demand.suspended:{demand.pk}:{demand.confirmed_at:%Y%m%d%H%M%S}",
        )
    return len(demands)


@transaction.atomic
def claim_for_matching(*, now: dt.datetime, lease: dt.timedelta, limit: int) -> list[Demand]:
    """Take off the queue, for `lease`, the need that waits longest and those that want the same item.

    So they are decided together, the offers of the item are read once, and no two workers are after the same goods. A
    worker that dies loses them to the next sweep when the lease ends.
    """
    due = Demand.objects.next_to_match(now)
    first = due.only("item_id").first()
    if first is None:
        return []
    claimed = list(due.filter(item=first.item_id).shown()[:limit])
    Demand.objects.claim(claimed, until=now + lease)
    return claimed


def finish_matching(demands: Sequence[Demand]) -> None:
    """Take what was claimed off the queue, unless it was asked for again meanwhile."""
    Demand.objects.finish(demands)


def request_matching(demand_ids: Collection[int], *, now: dt.datetime) -> int:
    """Put open needs into the queue of matching, e.g. because a supplier has something new."""
    return Demand.objects.open().filter(pk__in=demand_ids).update_in_order(match_requested_at=now)


def set_escalation(demand_id: int, at: dt.datetime | None) -> None:
    """When the clock rings next; None when there is nobody further up to ask."""
    Demand.objects.filter(pk=demand_id).update(escalates_at=at)


def describe(demand: Demand) -> dict[str, Any]:
    """The facts of a demand for a message: no contacts."""
    return {
        "demand_id": demand.pk,
        "reference": demand.reference,
        "organisation": demand.organisation.name,
        "item": demand.item.names,
        "unit": demand.item.unit.short_names,
        "quantity": demand.quantity,
        "quantity_kind": demand.quantity_kind,
        "region": demand.region.full_names,
        "urgency": demand.urgency,
        "needed_by": demand.needed_by.isoformat() if demand.needed_by else None,
    }
