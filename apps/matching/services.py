"""The verbs of matching. With `writing.py`, `ending.py`, `notices.py`, `previews.py` the only writer of its tables."""

import datetime as dt
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

import structlog
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.catalogue.models import Substitution
from apps.core import audit
from apps.core.errors import RuleViolation
from apps.core.states import move
from apps.demands import quantities as demands_quantities
from apps.demands import services as demands_services
from apps.demands.amending import amend_demand as amend_need
from apps.demands.models import Demand
from apps.matching import notices
from apps.matching.acceptance import still_held
from apps.matching.allocation.sequential import Plan, decide
from apps.matching.explanation import shortfalls
from apps.matching.holds.plans import Done, describe, write_difference, write_plan
from apps.matching.holds.release import end_holds, lock, retire_backups, take_back
from apps.matching.loading import (
    contested_items,
    items_for,
    load_contest,
    load_needs,
    load_rules,
    load_sources,
    need_of,
)
from apps.matching.models import (
    DeclineReason,
    Match,
    MatchQuerySet,
    MatchState,
)
from apps.matching.scoring.facts import Fit, Need, Rules, fit_of
from apps.matching.scoring.ranking import BeyondRanking
from apps.matching.search.best import load_shortlists
from apps.notifications.services import News, queue_all
from apps.policy.models import Policy
from apps.policy.values import PolicyValues
from apps.supply import quantities as supply_quantities
from apps.supply import services as supply_services
from apps.supply.amending import amend_offer as amend_goods
from apps.supply.models import Offer, OfferState

log = structlog.get_logger(__name__)

# A worker that dies loses what it claimed after this long.
LEASE: Final = dt.timedelta(seconds=60)
# Holds that end in one transaction: few enough that their locks are short.
HOLDS_AT_ONCE = 500
BATCH: Final = 50
# A gift that waits for a need nearby goes farther each day.
GIFTS_EVERY: Final = dt.timedelta(days=1)


def sweep(*, now: dt.datetime | None = None, limit: int = 1000) -> Done:
    """Everything that matching has to do now: hear who is verified, take back, expire, look whom changed offers help,
    match, tell whose request was taken back, escalate.

    What a match sets free (a hold that yields) may help others, so the two steps in the middle take turns until there
    is nothing more to do: one sweep settles all that happened before it.
    """
    notices.announce_verifications(now=now)
    # A need that ended in time breaks no promise of who was asked.
    done = _all(take_back_invalid, now) + _all(expire_holds, now)
    while done.demands < limit:
        step = look_at_offers(now=now) + match_due(now=now)
        done += step
        if not (step.offers or step.demands):
            break
    notices.notify_withdrawn()
    return done + notices.escalate_due(now=now)


def _all(step: Callable[..., Done], now: dt.datetime | None) -> Done:
    """Take a step again and again until there is nothing left for it to do."""
    done = Done()
    while part := step(now=now):
        done += part
    return done


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
            needs = load_needs(demands, policy.values)
            plan = _decide(needs, offered, rules, policy, now)
            shortages = shortfalls.judge(plan, needs, demands, policy, now)
            plan.explain(shortages)
            done += write_plan(plan, {demand.pk: demand for demand in demands}, policy, now)
            shortfalls.note_plan(plan, shortages, demands, policy, now)
    if closed := [demand.pk for demand in claimed if demand not in open_ones]:
        retire_backups(Match.objects.filter(demand__in=closed))
        shortfalls.forget(closed)
    notices.notify_nobody_left(open_ones)
    demands_services.finish_matching(claimed)
    return done


def _decide(needs: Sequence[Need], item_ids: set[int], rules: Rules, policy: Policy, now: dt.datetime) -> Plan:
    """By the best few offers of each need where they decide, by all offers where they do not: the same plan."""
    shortlists = load_shortlists(needs, rules, policy, now)
    few = {source.id: source for shortlist in shortlists.values() for source in shortlist.sources}
    try:
        return decide(needs, list(few.values()), rules, policy=policy.values, now=now, shortlists=shortlists)
    except BeyondRanking:
        return decide(needs, load_sources(item_ids, now, policy.values), rules, policy=policy.values, now=now)


def reallocate(*, now: dt.datetime | None = None, seconds: float = 20) -> Done:
    """The micro-batch: solve what is contested together and change what nobody has answered yet, where that is worth
    it. `seconds` is how long each item may be improved on. Safe to run twice and side by side.
    """
    from apps.matching.allocation.contested import Effort, allocate

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
            held=contest.asked,
            effort=Effort(_after(seconds)),
        )
        changed = write_difference(outcome.plan, contest, policy, now)
        shortfalls.note(outcome.shortages.values(), contest.demands.values(), policy, now)
        done += changed
        log.info("reallocated", items=sorted(items), changed=changed.held, **asdict(outcome.report))
    notices.notify_withdrawn()
    return done


def _after(seconds: float) -> Callable[[], bool]:
    """Whether so many seconds have passed from now on."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


def take_back_invalid(*, now: dt.datetime | None = None) -> Done:
    """Holds whose need was paused or cancelled, whose offer or its certificate went, or one of whose sides lost its
    verification.
    """
    now = now or timezone.now()
    return _take_back_each(Match.objects.invalid(now.date()), now, HOLDS_AT_ONCE)


def _take_back_each(holds: MatchQuerySet, now: dt.datetime, limit: int) -> Done:
    return Done(taken_back=_end(holds, limit, lambda matches: take_back(matches, MatchState.CANCELLED, now)))


def expire_holds(*, now: dt.datetime | None = None) -> Done:
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

    return Done(expired=_end(Match.objects.overdue(now), HOLDS_AT_ONCE, expire))


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
    """Take back what changed offers do not fit any more, and put the open needs that they may help into the queue. What
    is held and not answered helps too: it may have to yield. Gifts come again the next day, as they go farther then.
    """
    now = now or timezone.now()
    offers = supply_services.claim_for_matching(now=now, lease=LEASE, limit=limit)
    done = Done(offers=len(offers))
    if not offers:
        return done
    policy = Policy.objects.current().values
    held = Match.objects.held().filter(offer__in=offers)
    if waiting := list(held.shown()):
        rules = load_rules()
        unfit = [match.pk for match in waiting if not _fits(match, rules, policy)]
        done += _take_back_each(held.filter(pk__in=unfit), now, limit=len(unfit))

    live = [offer for offer in offers if offer.state == OfferState.PUBLISHED]
    if off := [offer.pk for offer in offers if offer not in live]:
        retire_backups(Match.objects.filter(offer__in=off))
    asked = set(held.values_list("offer_id", flat=True))
    able = [offer for offer in live if offer.quantity_free > 0 or offer.pk in asked]
    if able:
        items = {offer.item_id for offer in able}
        helped = items | set(Substitution.objects.filter(offered__in=items).values_list("demanded_id", flat=True))
        # What somebody is deciding this moment may have been read before the offer was there: it is decided once more.
        unaware = Q(match_requested_at=None) | Q(match_claimed_until__isnull=False)
        needs = Demand.objects.open().short().filter(unaware, item__in=helped)
        demands_services.request_matching(list(needs.values_list("pk", flat=True)), now=now)
    # Under whatever policy: the next one may let gifts go farther each day.
    gifts = [offer.pk for offer in able if offer.is_donation]
    supply_services.finish_matching(offers, again=gifts, at=now + GIFTS_EVERY)
    return done


def _fits(match: Match, rules: Rules, policy: PolicyValues) -> bool:
    """Whether the offer as it is now may still serve the need that holds it."""
    demand, offer = match.demand, match.offer
    fit = fit_of(need_of(demand, policy, remaining=match.quantity), offer.item_id, offer.standard_id, rules)
    reached = not offer.ships_to or not set(offer.ships_to).isdisjoint(demand.region.path.split("/"))
    return isinstance(fit, Fit) and reached and match.quantity >= offer.minimum_order


@transaction.atomic
def decline(
    match: Match,
    *,
    by: User | None,
    reason: str = DeclineReason.OTHER,
    note: str = "",
    now: dt.datetime | None = None,
) -> Match:
    """The supplier says no, and why; the next best is asked by the next matching.

    If the goods are gone, nobody else is sent to the empty shelf: the offer is suspended until its supplier confirms it
    by one click, and what else was asked of it and not answered is taken back, which the same message says.
    """
    now = now or timezone.now()
    if reason not in DeclineReason.values:
        raise RuleViolation("reason_unknown", _("Choose one of the reasons."), field="reason")
    others = Match.objects.held().filter(offer=match.offer_id).exclude(pk=match.pk)
    also = list(others.values_list("demand_id", flat=True)) if reason == DeclineReason.GONE else []
    match = still_held(match, now, also)
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
    if reason == DeclineReason.GONE:
        # What was asked since then is taken back by the next sweep.
        emptied = list(others.filter(demand__in=also).shown().order_by("pk"))
        if supply_services.suspend_gone(match.offer_id, withdrawn=len(emptied), now=now):
            end_holds(emptied, MatchState.CANCELLED, now)  # the same message says so
        else:
            take_back(emptied, MatchState.CANCELLED, now)
    return match


@transaction.atomic
def amend_demand(
    demand: Demand, *, by: User, quantity_confirmed: bool = False, now: dt.datetime | None = None, **changes: Any
) -> Demand:
    """Change a need: what suppliers were asked, have not answered and would be asked differently now is taken back, and
    asked anew as the need now stands. Raises as `demands.amending.amend_demand` does.
    """
    now = now or timezone.now()
    demand = lock([demand.pk])[demand.pk]  # nothing more is asked for it as it was
    changed = {name for name, value in changes.items() if getattr(demand, name) != value}
    held = Match.objects.held().filter(demand=demand)
    if changed & {"standard", "accepts_substitutes", "region", "needed_by"}:
        retire_backups(Match.objects.filter(demand=demand))  # who is next best is decided anew
    touched = list(_outdated(held, demand, changed, changes).values_list("pk", "offer_id"))
    if touched:
        lock([demand.pk], [offer_id for _pk, offer_id in touched])
        asked = held.filter(pk__in=[pk for pk, _offer_id in touched]).shown().order_by("pk")
        take_back(list(asked), MatchState.CANCELLED, now)
    return amend_need(demand, by=by, quantity_confirmed=quantity_confirmed, now=now, **changes)


@transaction.atomic
def amend_offer(offer: Offer, *, by: User, now: dt.datetime | None = None, **changes: Any) -> Offer:
    """Change an offer. Where less is there now than was promised and asked for, requests without an answer are taken
    back, those that go last first, until the rest fits; what was accepted is promised.
    """
    now = now or timezone.now()
    if changes.get("quantity") is not None:
        held = Match.objects.held().filter(offer=offer)
        asking = list(held.values_list("demand_id", flat=True))
        lock(asking, [offer.pk])
        too_much = Offer.objects.get(pk=offer.pk).quantity_reserved - changes["quantity"]
        unmet = []
        for match in held.filter(demand__in=asking).shown().order_by("-tier", "-pk"):
            if too_much > 0:
                unmet.append(match)
                too_much -= match.quantity
        take_back(unmet, MatchState.CANCELLED, now)
    return amend_goods(offer, by=by, now=now, **changes)


def _outdated(held: MatchQuerySet, demand: Demand, changed: set[str], changes: Mapping[str, Any]) -> MatchQuerySet:
    """Of what is held for a need, what a change of it makes wrong.

    A larger quantity is asked of who can give more; who gives all it has is left alone.
    """
    if changed & {"standard", "region", "needed_by"}:
        return held
    wrong = Q(pk=None)
    if "accepts_substitutes" in changed and not changes["accepts_substitutes"]:
        wrong |= Q(is_substitute=True)
    if "quantity" in changed:
        wanted = changes["quantity"] if changes["quantity"] is not None else demand.item.trial_lot
        if wanted < demand.quantity_held + demand.quantity_matched:
            return held
        if wanted > demand.target:
            wrong |= Q(offer__quantity__gt=F("offer__quantity_reserved"))
    return held.filter(wrong)
