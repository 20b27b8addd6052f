"""The verbs of matching. With `writing.py`, `alerts.py` and `previews.py` the only writer of this app's tables."""

import datetime as dt
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, Final

import structlog
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.catalogue.models import Substitution
from apps.core import audit
from apps.core.errors import RuleViolation
from apps.core.states import move
from apps.demands import quantities as demands_quantities
from apps.demands import services as demands_services
from apps.demands.models import Demand
from apps.matching.alerts import escalate_due
from apps.matching.allocation import decide
from apps.matching.loading import (
    contested_items,
    items_for,
    load_contest,
    load_needs,
    load_rules,
    load_sources,
)
from apps.matching.models import (
    DeclineReason,
    Match,
    MatchQuerySet,
    MatchState,
)
from apps.matching.writing import Done, describe, end_holds, lock, take_back, write_difference, write_plan
from apps.notifications.services import News, queue, queue_all
from apps.policy.models import Policy
from apps.supply import quantities as supply_quantities
from apps.supply import services as supply_services
from apps.supply.models import OfferState

log = structlog.get_logger(__name__)

# A worker that dies loses what it claimed after this long.
LEASE: Final = dt.timedelta(seconds=60)
BATCH: Final = 50
# A gift that waits for a need nearby goes farther each day.
GIFTS_EVERY: Final = dt.timedelta(days=1)


def sweep(*, now: dt.datetime | None = None, limit: int = 1000) -> Done:
    """Everything that matching has to do now: expire, take back, look whom changed offers help, match, escalate."""
    done = expire_holds(now=now) + take_back_without_ground(now=now)
    done += look_at_offers(now=now)
    while done.demands < limit:
        batch = match_due(now=now)
        done += batch
        if not batch.demands:
            break
    return done + escalate_due(now=now)


def match_due(*, now: dt.datetime | None = None, limit: int = BATCH) -> Done:
    """Claim needs that ask to be matched, decide item by item, and write. Safe to run twice and side by side."""
    now = now or timezone.now()
    claimed = demands_services.claim_for_matching(now=now, lease=LEASE, limit=limit)
    done = Done(demands=len(claimed))
    open_ones = [demand for demand in claimed if demand.state == "open" and demand.organisation.is_verified]
    if open_ones:
        rules = load_rules()
        policy = Policy.objects.current()
        for item_id, offered in items_for(open_ones, rules).items():
            demands = [demand for demand in open_ones if demand.item_id == item_id]
            needs, sources = load_needs(demands, policy.values), load_sources(offered, now, policy.values)
            plan = decide(needs, sources, rules, policy=policy.values, now=now)
            done += write_plan(plan, {demand.pk: demand for demand in demands}, policy, now)
    demands_services.finish_matching(claimed)
    return done


def reallocate(*, now: dt.datetime | None = None, seconds: float = 20) -> Done:
    """The micro-batch: solve what is contested together and change what nobody has answered yet, where that is worth
    it. `seconds` is how long each item may be improved on. Safe to run twice and side by side.
    """
    from apps.matching.contest import allocate

    now = now or timezone.now()
    rules, policy = load_rules(), Policy.objects.current()
    done = Done()
    for items in contested_items(rules):
        contest = load_contest(items, now, policy.values)
        outcome = allocate(
            contest.needs,
            contest.sources,
            rules,
            policy=policy.values,
            now=now,
            present=contest.asked,
            expired=_after(seconds),
        )
        changed = write_difference(outcome.plan, contest, policy, now)
        done += changed
        log.info("reallocated", items=sorted(items), changed=changed.held, **asdict(outcome.report))
    return done


def _after(seconds: float) -> Callable[[], bool]:
    """Whether so many seconds have passed from now on."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


def take_back_without_ground(*, now: dt.datetime | None = None, limit: int = 500) -> Done:
    """Holds whose need was paused or cancelled, whose offer went, or one of whose sides lost its verification."""
    now = now or timezone.now()
    ended = _end(Match.objects.without_ground(), limit, lambda matches: take_back(matches, MatchState.CANCELLED, now))
    return Done(taken_back=ended)


def expire_holds(*, now: dt.datetime | None = None, limit: int = 500) -> Done:
    """Suppliers who did not answer in time: the hold ends, the next best is asked by the next matching."""
    now = now or timezone.now()

    def expire(matches: Sequence[Match]) -> None:
        end_holds(matches, MatchState.EXPIRED, now)
        queue_all(
            [
                News("match.expired", match.offer.organisation, describe(match), key=f"match.expired:{match.pk}")
                for match in matches
            ]
        )

    return Done(expired=_end(Match.objects.overdue(now), limit, expire))


def _end(due: MatchQuerySet, limit: int, act: Callable[[Sequence[Match]], None]) -> int:
    """Act on what is due, in batches: those that still are when their needs and offers are locked. Returns how many."""
    found = list(due.order_by("pk").values_list("pk", "demand_id", "offer_id")[:limit])
    ended = 0
    for start in range(0, len(found), BATCH):
        keys, demands, offers = zip(*found[start : start + BATCH], strict=True)
        with transaction.atomic():
            lock(demands, offers)
            matches = list(due.filter(pk__in=keys).shown().order_by("pk"))
            act(matches)
        ended += len(matches)
    return ended


def look_at_offers(*, now: dt.datetime | None = None, limit: int = BATCH) -> Done:
    """For each changed offer with something to give, put the open needs it may help into the queue. Gifts come again
    the next day, as they go farther then.
    """
    now = now or timezone.now()
    offers = supply_services.claim_for_matching(now=now, lease=LEASE, limit=limit)
    able = [offer for offer in offers if offer.state == OfferState.PUBLISHED and offer.quantity_free > 0]
    if able:
        items = {offer.item_id for offer in able}
        helped = items | set(Substitution.objects.filter(offered__in=items).values_list("demanded_id", flat=True))
        needs = Demand.objects.open().short().filter(item__in=helped, match_requested_at=None)
        demands_services.request_matching(list(needs.values_list("pk", flat=True)), now=now)
    supply_services.finish_matching(offers)
    gifts = [offer.pk for offer in able if offer.is_donation]
    if gifts and Policy.objects.current().values.gift_reach_km is not None:
        supply_services.look_again(gifts, at=now + GIFTS_EVERY)
    return Done(offers=len(offers))


def _still_held(match: Match, now: dt.datetime) -> Match:
    """The match, locked with its demand and offer, if it can still be answered; else says why it cannot."""
    lock([match.demand_id], [match.offer_id])
    match = Match.objects.shown().get(pk=match.pk)
    if match.state == MatchState.HELD and match.respond_by and match.respond_by > now:
        return match
    why = {
        MatchState.HELD: _("The time to answer has passed. The need has gone to the next supplier."),
        MatchState.EXPIRED: _("The time to answer has passed. The need has gone to the next supplier."),
        MatchState.ACCEPTED: _("This is already accepted."),
        MatchState.DECLINED: _("This is already declined."),
        MatchState.SUPERSEDED: _("A hospital needed it more urgently: this request is withdrawn."),
        MatchState.CANCELLED: _("This request is withdrawn."),
        MatchState.STANDBY: _("You have not been asked yet."),
    }
    raise RuleViolation("match_not_held", why[MatchState(match.state)], state=match.state)


@transaction.atomic
def record_acceptance(
    match: Match,
    *,
    by: User | None,
    quantity: int | None = None,
    lead_time_days: int | None = None,
    now: dt.datetime | None = None,
) -> Match:
    """The supplier accepts all (None) or part of what it was asked for; the rest goes to others.

    Edges call `fulfilment.services.accept_match`, which makes the order in the same transaction.
    """
    now = now or timezone.now()
    match = _still_held(match, now)
    held = match.quantity
    accepted = held if quantity is None else quantity
    if not 0 < accepted <= held:
        raise RuleViolation(
            "quantity_out_of_range",
            _("You can accept from 1 to %(held)s.") % {"held": f"{held:,}"},
            field="quantity",
            held=held,
        )
    if not (match.demand.organisation.is_verified and match.offer.organisation.is_verified):
        # The next sweep takes the hold back; until then nobody gets a contact by it.
        raise RuleViolation("organisation_unverified", _("One side is not verified any more."))
    if not demands_quantities.record_acceptance(match.demand_id, held=held, accepted=accepted, now=now):
        raise RuleViolation("demand_not_open", _("The need is not open any more."))
    if accepted < held:
        supply_quantities.release({match.offer_id: held - accepted}, now=now)
    move(
        match,
        MatchState.ACCEPTED,
        quantity=accepted,
        lead_time_days=match.offer.lead_time_days if lead_time_days is None else lead_time_days,
        responded_at=now,
        responded_by=by,
    )
    audit.record(by, "match.accepted", match, quantity=accepted)
    queue("match.accepted", match.demand.organisation, describe(match), key=f"match.accepted:{match.pk}")
    return match


@transaction.atomic
def decline(
    match: Match,
    *,
    by: User | None,
    reason: str = DeclineReason.OTHER,
    note: str = "",
    now: dt.datetime | None = None,
) -> Match:
    """The supplier says no, and why; the next best is asked by the next matching."""
    now = now or timezone.now()
    if reason not in DeclineReason.values:
        raise RuleViolation("reason_unknown", _("Choose one of the reasons."), field="reason")
    match = _still_held(match, now)
    demands_quantities.release({match.demand_id: match.quantity}, now=now)
    supply_quantities.release({match.offer_id: match.quantity}, now=now)
    move(
        match,
        MatchState.DECLINED,
        decline_reason=reason,
        decline_note=note,
        responded_at=now,
        responded_by=by,
    )
    audit.record(by, "match.declined", match, reason=reason)
    return match


@transaction.atomic
def call_off(match: Match, *, by: User | None) -> None:
    """An accepted match whose order was cancelled. The quantities are the order's business."""
    move(match, MatchState.CANCELLED)
    audit.record(by, "match.called_off", match)


@transaction.atomic
def amend_demand(demand: Demand, *, by: User, now: dt.datetime | None = None, **changes: Any) -> Demand:
    """Change a need: what suppliers were asked and have not answered is taken back first, and asked anew as it now
    stands.
    """
    now = now or timezone.now()
    matters = {"quantity", "quantity_kind", "standard", "accepts_substitutes", "region", "needed_by", "address"}
    held = list(Match.objects.held().filter(demand=demand).values_list("pk", "offer_id"))
    if held and any(name in matters and getattr(demand, name) != value for name, value in changes.items()):
        lock([demand.pk], [offer_id for _pk, offer_id in held])
        asked = Match.objects.held().filter(demand=demand)
        take_back(list(asked.shown().order_by("pk")), MatchState.CANCELLED, now)
    return demands_services.amend_demand(demand, by=by, now=now, **changes)
