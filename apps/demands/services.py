"""The verbs of need: with `quantities.py`, `amending.py` and `freshness.py` the only writer of this app's tables.

Every change that matters to matching sets `match_requested_at`: the row itself is the queue.
"""

import datetime as dt
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Organisation, User
from apps.core import audit
from apps.core.errors import RuleViolation
from apps.core.plausibility import Plausibility
from apps.core.posts import change_state, check_not_blocked, hold_for_review
from apps.demands.lines import DemandLine, check_lines
from apps.demands.models import AWAITS_REVIEW, Demand, DemandState, DemandStateCode
from apps.demands.outcomes import LineOutcome, PostOutcome
from apps.demands.quantities import sync_state
from apps.demands.review import judge_quantity, question_about, reviews, wants_approval
from apps.notifications.services import queue
from apps.policy.models import Policy
from apps.policy.values import PolicyValues

# Needs that are looked through for each that is claimed, for more of the same items.
LOOK_AHEAD: Final = 10
# Without I, L, O and U: a reference is read out over the phone.
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_reference() -> str:
    """A name for a post that can be read out: N- and eight characters, one of 2^40."""
    return "N-" + "".join(secrets.choice(_ALPHABET) for _i in range(8))


@transaction.atomic
def post_demands(
    organisation: Organisation, lines: Sequence[DemandLine], *, by: User | None, now: dt.datetime | None = None
) -> list[Demand]:
    """Draft the lines of one post, all or none, under one reference."""
    now = now or timezone.now()
    if not lines:
        raise RuleViolation("lines_missing", _("Add at least one line."), status=400)
    if not organisation.can_request:
        raise RuleViolation("not_a_requester", _("This kind of organisation does not post needs."))

    check_lines(lines, now)
    reference = new_reference()
    # A line without a region goes to the organisation itself.
    rows = []
    for line in lines:
        values = line.fields()
        region = values["region"] = line.region or organisation.region
        # The organisation's address is right only if one of the two regions contains the other.
        if not line.address and (region.is_within(organisation.region) or organisation.region.is_within(region)):
            values["address"] = organisation.address
        rows.append(Demand(reference=reference, organisation=organisation, posted_by=by, **values))
    demands = Demand.objects.bulk_create(rows)
    audit.record(by, "demand.posted", organisation, reference=reference, demands=[demand.pk for demand in demands])
    return demands


@transaction.atomic
def post_needs(
    organisation: Organisation,
    lines: Sequence[DemandLine],
    *,
    by: User,
    open_now: Collection[int] | None = None,
    confirmed: Collection[int] = (),
    now: dt.datetime | None = None,
) -> list[LineOutcome]:
    """Draft the lines of one post (`post_demands`) and send them out (`send_out`): what became of each, in order.

    `open_now` holds the indices of the lines to send out (None: all), `confirmed` the indices of those whose unusual
    quantity is right. If any quantity is to be confirmed first, nothing is posted, and the outcomes say which.
    """
    with transaction.atomic():
        demands = post_demands(organisation, lines, by=by, now=now)
        policy = Policy.objects.current().values
        outcomes = [
            send_out(demand, by=by, quantity_confirmed=index in confirmed, policy=policy, now=now)
            if open_now is None or index in open_now
            else LineOutcome(demand, PostOutcome.DRAFTED)
            for index, demand in enumerate(demands)
        ]
        # The inner transaction is undone without an exception, because the outcomes are the answer to the person.
        if any(one.outcome is PostOutcome.NEEDS_CONFIRMATION for one in outcomes):
            transaction.set_rollback(True)
    return outcomes


@transaction.atomic
def send_out(
    demand: Demand,
    *,
    by: User,
    quantity_confirmed: bool = False,
    policy: PolicyValues | None = None,
    now: dt.datetime | None = None,
) -> LineOutcome:
    """Put a draft to work as soon as that may be, and say what became of it. Raises `illegal_move` and `state_changed`.

    A draft of an organisation that is not verified goes out by itself with the verification.
    """
    now = now or timezone.now()
    policy = policy or Policy.objects.current().values
    verdict = _may_go_out(demand, policy, by=by, quantity_confirmed=quantity_confirmed)
    if verdict.outcome is PostOutcome.WAITS_FOR_VERIFICATION:
        await_verification(demand, by=by)
    elif verdict.violation is None:
        demand = _put_to_work(demand, verdict, policy, by=by, now=now)
    return LineOutcome(demand, verdict.outcome, verdict.violation)


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
    """Open a draft: from this commit on it is matched.

    If the quantity is absurd, or the policy requires review in its region, the draft waits for a coordinator instead,
    who opens or returns it. Code that opens many drafts passes the values of the current `policy`. `seen` is the
    `updated_at` of the draft that the person looked at. Raises `organisation_unverified`, `item_unlisted`,
    `state_changed` if the draft changed since `seen`, and `quantity_unusual` unless the quantity is confirmed.
    """
    now = now or timezone.now()
    if seen is not None:
        demand = Demand.objects.select_for_update(of=["self"], no_key=True).shown().get(pk=demand.pk)
        if demand.updated_at != seen:
            raise RuleViolation("state_changed", _("This need has just changed. Check it and try again."))
    policy = policy or Policy.objects.current().values
    verdict = _may_go_out(demand, policy, by=by, quantity_confirmed=quantity_confirmed)
    if verdict.violation is not None:
        raise verdict.violation
    return _put_to_work(demand, verdict, policy, by=by, now=now)


def _may_go_out(demand: Demand, policy: PolicyValues, *, by: User | None, quantity_confirmed: bool) -> "_GoingOut":
    """Whether a draft may go out now. A draft that a coordinator sends out counts as reviewed.

    Raises `illegal_move` for what is no draft: `MOVES` lets other states go back to open, by verbs with checks of their
    own.
    """
    if demand.state != DemandState.DRAFT:
        raise RuleViolation("illegal_move", _("This is not a draft any more."), state=demand.state)
    # First what nobody can change here, then what the owner can answer, then what a coordinator decides.
    if not demand.organisation.is_verified:
        text = _("“%(name)s” is not verified yet. Nothing goes out until it is.") % {"name": demand.organisation}
        return _GoingOut(PostOutcome.WAITS_FOR_VERIFICATION, RuleViolation("organisation_unverified", text))
    if demand.item.is_unlisted:
        missing = RuleViolation("item_unlisted", _("Choose an item from the catalogue first."), field="item")
        return _GoingOut(PostOutcome.NEEDS_ITEM, missing)
    if reviews(demand, by):
        return _GoingOut(PostOutcome.OPENED)

    judgement = judge_quantity(demand)
    if judgement.plausibility is Plausibility.ABSURD:
        return _GoingOut(PostOutcome.HELD_FOR_REVIEW, review=DemandStateCode.QUANTITY_UNUSUAL, usual=judgement.usual)
    if judgement.plausibility is Plausibility.UNUSUAL and not quantity_confirmed:
        return _GoingOut(PostOutcome.NEEDS_CONFIRMATION, question_about(demand, judgement.usual))
    if wants_approval(demand, policy):
        return _GoingOut(PostOutcome.HELD_FOR_REVIEW, review=DemandStateCode.APPROVAL_REQUIRED)
    return _GoingOut(PostOutcome.OPENED)


@dataclass(frozen=True)
class _GoingOut:
    """The decision about a draft: why it may not go out (`violation`), or which `review` holds it back."""

    outcome: PostOutcome
    violation: RuleViolation | None = None
    review: DemandStateCode | None = None
    usual: float | None = None


def _put_to_work(
    demand: Demand, verdict: _GoingOut, policy: PolicyValues, *, by: User | None, now: dt.datetime
) -> Demand:
    if verdict.review is not None:
        return _hold_back(demand, verdict.review, policy, by=by, now=now, usual=verdict.usual)
    change_state(
        demand,
        DemandState.OPEN,
        now=now,
        changes={
            "opened_at": now,
            "review_requested_at": None,
            **demand.escalation_from(now, policy),
            **demand.clocks_from(now, policy),
        },
    )
    audit.record(by, "demand.opened", demand)
    return demand


def _hold_back(
    demand: Demand,
    code: DemandStateCode,
    policy: PolicyValues,
    *,
    by: User | None,
    now: dt.datetime,
    usual: float | None,
) -> Demand:
    """Leave a draft waiting for the nearest coordinator, who is notified.

    If nobody looks in time, its clock escalates it to the next coordinator up. A draft that waits already keeps its
    place and its clock.
    """
    if hold_for_review(demand, code, now=now, changes=demand.escalation_from(now, policy)):
        audit.record(by, "demand.held_for_review", demand, quantity=demand.quantity, usual=usual, why=code)
        # The nearest one is notified first (`coordinating` sorts them).
        coordinator = Organisation.objects.coordinating(demand.region).first()
        if coordinator:
            event = "demand.held_for_review"
            if code == DemandStateCode.APPROVAL_REQUIRED:
                event = "demand.awaits_approval"
            context = {**describe(demand), "usual": usual}
            # The time is part of the key, because a draft may wait for review several times.
            queue(event, coordinator, context, key=f"{event}:{demand.pk}:{now:%Y%m%d%H%M%S}")
    demand.refresh_from_db()
    return demand


def await_verification(demand: Demand, *, by: User | None) -> None:
    """Have a draft go out by itself as soon as its organisation is verified. A draft that waits for review stays so."""
    await_verifications([demand], by=by)


@transaction.atomic
def await_verifications(demands: Sequence[Demand], *, by: User | None) -> None:
    """The same for many."""
    keys = [demand.pk for demand in demands]
    drafts = Demand.objects.filter(pk__in=keys, state=DemandState.DRAFT).exclude(AWAITS_REVIEW)
    drafts.update(state_code=DemandStateCode.ORGANISATION_UNVERIFIED, state_note="")
    audit.record_each(by, "demand.opening_asked", [(demand, {}) for demand in demands])


def open_awaiting(organisations: Sequence[Organisation], *, now: dt.datetime) -> int:
    """Open the drafts that waited for the verification of these organisations. Returns how many.

    A draft about which its owner has to answer a question first stays a draft.
    """
    waiting = Demand.objects.filter(
        state=DemandState.DRAFT,
        state_code=DemandStateCode.ORGANISATION_UNVERIFIED,
        organisation__in=organisations,
    )
    policy = Policy.objects.current().values if organisations else None
    opened = 0
    for demand in waiting.shown().select_related("organisation__region", "posted_by").order_by("pk"):
        # A draft whose quantity is to be confirmed stays one: its owner is asked on its page.
        try:
            open_demand(demand, by=demand.posted_by, policy=policy, now=now)
        except RuleViolation:
            continue
        # It may be waiting for review instead.
        opened += demand.state == DemandState.OPEN
    return opened


@transaction.atomic
def pause_demand(demand: Demand, *, by: User, reason: str = "", now: dt.datetime | None = None) -> Demand:
    """Ask no supplier for a while. The next matching takes back the requests that are not answered."""
    change_state(demand, DemandState.PAUSED, now=now or timezone.now(), note=reason)
    audit.record(by, "demand.paused", demand, reason=reason)
    return demand


@transaction.atomic
def resume_demand(demand: Demand, *, by: User, now: dt.datetime | None = None) -> Demand:
    """Open a paused or stale need again. It counts as confirmed now."""
    now = now or timezone.now()
    check_not_blocked(demand)
    if not demand.can_be_resumed:
        raise RuleViolation("illegal_move", _("Only a paused need can be resumed."))
    policy = Policy.objects.current().values
    change_state(
        demand,
        DemandState.OPEN,
        now=now,
        changes={**demand.escalation_from(now, policy), **demand.clocks_from(now, policy)},
    )
    sync_state(demand.pk, now=now)
    audit.record(by, "demand.resumed", demand)
    demand.refresh_from_db()
    return demand


@transaction.atomic
def confirm_demand(demand: Demand, *, by: User, now: dt.datetime | None = None) -> Demand:
    """Confirm that a need still stands: its freshness starts anew. A stale need opens again."""
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
    """Cancel a need. Accepted quantities are orders by now, and are cancelled as orders."""
    change_state(demand, DemandState.CANCELLED, now=now or timezone.now(), note=reason)
    audit.record(by, "demand.cancelled", demand, reason=reason)
    return demand


# Sweeps: what time does to a demand.


@transaction.atomic
def claim_for_matching(*, now: dt.datetime, lease: dt.timedelta, limit: int) -> list[Demand]:
    """Claim up to `limit` needs for `lease`: those of the item that waits longest, then those of the next item.

    Needs of one item are decided together, so that hospitals come first among them. If the worker dies, a sweep after
    the lease finds them. Any of them may have been the cause, so each is then claimed alone.
    """
    waiting = Demand.objects.awaiting_match(now).order_by("match_requested_at", "pk")
    by_item: dict[int, list[int]] = {}
    for pk, item, claimed_until in waiting.values_list("pk", "item_id", "match_claimed_until")[: limit * LOOK_AHEAD]:
        if claimed_until and by_item:
            break
        by_item.setdefault(item, []).append(pk)
        if claimed_until:
            break
    chosen = list(chain.from_iterable(by_item.values()))[:limit]
    # Another worker may have claimed some since they were read.
    claimed = list(Demand.objects.next_to_match(now).filter(pk__in=chosen).shown()) if chosen else []
    if claimed:
        Demand.objects.claim(claimed, until=now + lease)
    return claimed


def finish_matching(demands: Sequence[Demand]) -> None:
    """Take claimed needs off the queue, unless matching was requested again meanwhile."""
    Demand.objects.finish(demands)


def request_matching(demand_ids: Collection[int], *, now: dt.datetime) -> int:
    """Put open needs into the queue of matching, e.g. because a supplier has something new."""
    return Demand.objects.open().filter(pk__in=demand_ids).update_in_order(match_requested_at=now)


def set_escalations(times: Mapping[int, dt.datetime | None]) -> None:
    """Set the time of the next escalation by need, or None if there is no coordinator further up."""
    Demand.objects.all().set_escalations(times)


def describe(demand: Demand) -> dict[str, Any]:
    """The facts of a demand for a message, without contacts. Texts are in both languages, for readers of either."""
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
