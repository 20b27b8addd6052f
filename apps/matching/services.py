"""The verbs of matching: sweep, match, reallocate, expire, decline, amend.

The micro-batch stands in the room `contests`. Acceptance is `holds.acceptance`, called by fulfilment alone. What
coordinators and both sides are notified of stands in `escalation.py` and `notices.py`. Plans are carried out and holds
ended in the room `holds`.
"""

import datetime as dt
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import structlog
from django.db import transaction
from django.db.models import Q
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
from apps.matching import escalation, notices
from apps.matching.allocation.sequential import Plan, decide
from apps.matching.allocation.shortage import Shortage
from apps.matching.amending import amend_demand, amend_offer
from apps.matching.contests.claims import note_contested
from apps.matching.contests.reallocation import allocate_next, reallocate
from apps.matching.explanation import shortfalls
from apps.matching.holds.acceptance import still_held
from apps.matching.holds.plans import Done, describe, write_plan
from apps.matching.holds.release import end_holds, lock, retire_backups, take_back
from apps.matching.levers.counting import count_levers, last_count_of_levers
from apps.matching.levers.pulling import pull_lever
from apps.matching.loading import apart, items_for, load_needs, load_rules, load_sources, need_of, source_of
from apps.matching.models import DeclineReason, Match, MatchQuerySet, MatchState
from apps.matching.scoring.eligibility import Reason, why_not
from apps.matching.scoring.facts import Need, Rules
from apps.matching.scoring.ranking import BeyondRanking, Ranked
from apps.matching.search.best import LONGER, load_shortlists
from apps.matching.trials import raise_trials
from apps.notifications.promises import Promise, observe
from apps.notifications.services import News, queue_all
from apps.policy.models import Policy
from apps.policy.values import PolicyValues
from apps.supply import quantities as supply_quantities
from apps.supply import services as supply_services
from apps.supply.models import OfferState

__all__ = [
    "allocate_next",
    "amend_demand",
    "amend_offer",
    "check_holds",
    "count_due",
    "count_levers",
    "decline",
    "expire_holds",
    "last_count_of_levers",
    "match_due",
    "note_contested",
    "pull_lever",
    "reallocate",
    "recheck_changed_offers",
    "sweep",
    "take_back_invalid",
]

log = structlog.get_logger(__name__)

# A worker that dies loses what it claimed after this long. A slow one may lose it, too, and then loses only its work:
# commits drop what changed meanwhile.
LEASE: Final = dt.timedelta(seconds=20)
# Holds that end in one transaction: few enough that their locks are short.
HOLDS_AT_ONCE = 500
# Needs, offers or holds that are claimed or locked together. More would keep others waiting for the same locks.
BATCH: Final = 50
# A gift that waits for a need nearby goes farther each day.
GIFTS_EVERY: Final = dt.timedelta(days=1)


def sweep(*, now: dt.datetime | None = None, limit: int = 1000) -> Done:
    """Do everything that matching has to do now: what time does to holds and needs, and `match_waiting`.

    Returns what was done, in numbers.
    """
    return _all(expire_holds, now) + match_waiting(now=now, limit=limit) + _all(escalation.escalate_due, now)


def match_waiting(*, now: dt.datetime | None = None, limit: int = 1000) -> Done:
    """Match what waits, for about `limit` needs. Returns what was done, in numbers.

    Changed offers and needs take turns until neither has work, because a hold that yields sets stock free for others.
    So one run makes up for everything that happened before it, and a second one would change nothing.
    """
    notices.announce_verifications(now=now)
    done = Done()
    while done.demands < limit:
        step = recheck_changed_offers(now=now) + match_due(now=now)
        done += step
        if not (step.offers or step.demands):
            break
    notices.notify_withdrawn()
    return done


def _all(step: Callable[..., Done], now: dt.datetime | None) -> Done:
    """Repeat a step until it has nothing left to do."""
    done = Done()
    while part := step(now=now):
        done += part
    return done


@transaction.atomic
def count_due(*, up_to: int, now: dt.datetime | None = None) -> int:
    """How many needs wait to be matched and could be claimed; not counted beyond `up_to`."""
    # Locked rows are passed over as in a claim. A need that somebody keeps locked would otherwise be waited for in a
    # loop of empty sweeps.
    return len(Demand.objects.next_to_match(now or timezone.now()).values_list("pk")[:up_to])


def match_due(*, now: dt.datetime | None = None, limit: int = BATCH) -> Done:
    """Claim up to `limit` needs of the queue, decide item by item, and carry out the plans together.

    Safe to run twice and side by side: a claim is a lease, and commits drop what changed meanwhile.
    """
    now = now or timezone.now()
    claimed = demands_services.claim_for_matching(now=now, lease=LEASE, limit=limit)
    done = Done(demands=len(claimed))
    if not claimed:
        return done
    # A claim takes whatever is queued. A need that is not open or not verified any more is only taken off.
    open_ones = [demand for demand in claimed if demand.state == "open" and demand.organisation.is_verified]
    if open_ones:
        rules, policy = load_rules(), Policy.objects.current()
        for items in apart(items_for(open_ones, rules)):
            done += _match([demand for demand in open_ones if demand.item_id in items], items, rules, policy, now)
    if closed := [demand.pk for demand in claimed if demand not in open_ones]:
        done += _all(partial(take_back_invalid, Match.objects.filter(demand__in=closed)), now)
        retire_backups(Match.objects.filter(demand__in=closed))
        shortfalls.forget(closed)
    notices.notify_nobody_left(open_ones)
    demands_services.finish_matching(claimed)
    return done


def _match(
    demands: Sequence[Demand], items: Mapping[int, set[int]], rules: Rules, policy: Policy, now: dt.datetime
) -> Done:
    """Decide item by item, and carry out all plans at once. `items`, as of `items_for`, share no offers."""
    needs = load_needs(demands, policy.values)
    # The best few offers of each need. Where these do not suffice, all offers are read: the plan is the same.
    shortlists = load_shortlists(needs, rules, policy, now)
    if raised := raise_trials(demands, needs, shortlists, rules, policy, now):
        needs = load_needs(demands, policy.values)
        shortlists |= load_shortlists([need for need in needs if need.id in raised], rules, policy, now)
    plan = Plan()
    shortages: dict[int, Shortage] = {}
    for item_id, offered in items.items():
        own = [need for need in needs if need.item_id == item_id]
        part = _decide(own, offered, {need.id: shortlists[need.id] for need in own}, rules, policy, now)
        # Before the plan is written, because each hold stores among its reasons why its need got no more.
        why = shortfalls.judge(part, own, demands, policy, now)
        part.explain(why)
        plan.add(part)
        shortages |= why
    done = write_plan(plan, {demand.pk: demand for demand in demands}, policy, now)
    _count_waits(plan, demands)
    shortfalls.note_plan(plan, shortages, demands, policy, now)
    return done


def _count_waits(plan: Plan, demands: Sequence[Demand]) -> None:
    """Count how long the needs waited for which somebody was asked."""
    served, moment = {hold.need_id for hold in plan.holds}, timezone.now()
    since = [demand.match_requested_at for demand in demands if demand.pk in served]
    observe(Promise.POST_TO_ASKED, [(moment - queued).total_seconds() for queued in since if queued])


def _decide(
    needs: Sequence[Need],
    item_ids: set[int],
    shortlists: Mapping[int, Ranked],
    rules: Rules,
    policy: Policy,
    now: dt.datetime,
) -> Plan:
    """From the shortlists; where these do not suffice from longer ones, then from all offers: the plan is the same."""

    def decide_from(lists: Mapping[int, Ranked]) -> Plan:
        few = {source.id: source for one in lists.values() for source in one.candidates.known_sources()}
        return decide(needs, list(few.values()), rules, policy=policy.values, now=now, shortlists=lists)

    with suppress(BeyondRanking):
        return decide_from(shortlists)
    with suppress(BeyondRanking):
        return decide_from(load_shortlists(needs, rules, policy, now, best=LONGER))
    return decide(needs, load_sources(item_ids, now, policy.values), rules, policy=policy.values, now=now)


def take_back_invalid(among: MatchQuerySet | None = None, *, now: dt.datetime | None = None) -> Done:
    """End unanswered holds that became invalid: need not open, offer or certificate gone, a side not verified.

    Whatever makes a hold invalid queues its need or its offer, so a sweep looks only `among` the matches of these. The
    last day of a certificate limits the time to answer (`holds.plans`).
    """
    now = now or timezone.now()
    holds = Match.objects.all() if among is None else among
    return _take_back_each(holds.invalid(now.date()).order_by("pk"), now, HOLDS_AT_ONCE)


def check_holds(*, now: dt.datetime | None = None) -> Done:
    """Look at all holds for invalid ones. There are none, unless rows were changed past the services."""
    done = _all(take_back_invalid, now)
    if done:
        log.warning("invalid_holds_found", taken_back=done.taken_back)
    return done


def _take_back_each(holds: MatchQuerySet, now: dt.datetime, limit: int) -> Done:
    return Done(taken_back=_end(holds, limit, lambda matches: take_back(matches, MatchState.CANCELLED, now)))


def expire_holds(*, now: dt.datetime | None = None) -> Done:
    """End holds that were not answered in time. The next matching asks a backup."""
    now = now or timezone.now()
    done = Done()

    def expire(matches: Sequence[Match]) -> None:
        # A supplier whose request became invalid meanwhile has not broken its promise.
        gone = set(Match.objects.invalid(now.date()).filter(pk__in=[match.pk for match in matches]))
        take_back([match for match in matches if match in gone], MatchState.CANCELLED, now)
        late = [match for match in matches if match not in gone]
        end_holds(late, MatchState.EXPIRED, now)
        queue_all(
            [
                News("match.expired", match.offer.organisation, describe(match), key=f"match.expired:{match.pk}")
                for match in late
            ]
        )
        done.taken_back += len(gone)
        done.expired += len(late)

    # By their deadline, the order of the index that has only holds. By key, all matches would be read.
    _end(Match.objects.overdue(now).order_by("respond_by"), HOLDS_AT_ONCE, expire)
    return done


def _end(due: MatchQuerySet, limit: int, act: Callable[[Sequence[Match]], None]) -> int:
    """Lock the needs and offers of due holds in batches, and act on the holds that are still due. Returns how many."""
    found = list(due.values_list("pk", "demand_id", "offer_id")[:limit])
    starts = list(range(0, len(found), BATCH))
    # Two workers that find the same holds would wait for each other's locks at every batch.
    random.shuffle(starts)
    ended = 0
    for start in starts:
        # The first query only finds candidates. What is acted on is read again under the locks.
        keys, demands, offers = zip(*found[start : start + BATCH], strict=True)
        with transaction.atomic():
            lock(demands, offers)
            matches = list(due.filter(pk__in=keys).shown().order_by("pk"))
            act(matches)
        ended += len(matches)
    return ended


def recheck_changed_offers(*, now: dt.datetime | None = None, limit: int = BATCH) -> Done:
    """End holds that changed offers do not fit any more, and queue the open needs that these offers may help.

    An offer without free stock can help too, because its unanswered holds may have to yield. Donations come again the
    next day, when their reach has grown.
    """
    now = now or timezone.now()
    offers = supply_services.claim_for_matching(now=now, lease=LEASE, limit=limit)
    done = Done(offers=len(offers))
    if not offers:
        return done
    policy = Policy.objects.current().values
    held = Match.objects.held().filter(offer__in=offers)
    if held.exists():
        done += _all(partial(take_back_invalid, held), now)
        rules = load_rules()
        unfit = [match.pk for match in held.shown() if not _fits(match, rules, policy, now)]
        done += _take_back_each(held.filter(pk__in=unfit), now, limit=len(unfit))

    live = [offer for offer in offers if offer.state == OfferState.PUBLISHED]
    if off := [offer.pk for offer in offers if offer not in live]:
        retire_backups(Match.objects.filter(offer__in=off))
    asked = set(held.values_list("offer_id", flat=True))
    able = [offer for offer in live if offer.quantity_free > 0 or offer.pk in asked]
    if able:
        items = {offer.item_id for offer in able}
        # Needs for these items, and needs for items that these may stand in for.
        helped = items | set(Substitution.objects.filter(offered__in=items).values_list("demanded_id", flat=True))
        # A need that is being decided this moment may have been read before the offer changed: it is decided once more.
        unaware = Q(match_requested_at=None) | Q(match_claimed_until__isnull=False)
        needs = Demand.objects.open().short().filter(unaware, item__in=helped)
        demands_services.request_matching(list(needs.values_list("pk", flat=True)), now=now)
    # This holds under any policy, because the next one may give gifts a reach.
    gifts = [offer.pk for offer in able if offer.is_donation]
    supply_services.finish_matching(offers, again=gifts, at=now + GIFTS_EVERY)
    return done


def _fits(match: Match, rules: Rules, policy: PolicyValues, now: dt.datetime) -> bool:
    """Whether a changed offer may still serve the need that holds it: as if nothing but the held quantity were asked
    for and free. A gift may go as far as it was asked to.
    """
    need = need_of(match.demand, policy, remaining=match.quantity)
    source = source_of(match.offer, free=match.quantity)
    return why_not(need, source, rules, policy=policy, now=now, ignoring={Reason.FAR}) is None


@transaction.atomic
def decline(
    match: Match,
    *,
    by: User | None,
    reason: str = DeclineReason.OTHER,
    note: str = "",
    now: dt.datetime | None = None,
) -> Match:
    """The supplier says no, and why. The next matching asks a backup.

    If the goods are gone, the offer is suspended until its supplier confirms it by one click, and its other unanswered
    holds end; the same message says so. Raises `reason_unknown`, and `match_not_held` as `still_held` does.
    """
    now = now or timezone.now()
    if reason not in DeclineReason.values:
        raise RuleViolation("reason_unknown", _("Choose one of the reasons."), field="reason")
    # All needs are locked at once and in one order. Locking those of the other holds later could deadlock.
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
        # Holds that were made since then end in the next sweep.
        emptied = list(others.filter(demand__in=also).shown().order_by("pk"))
        if supply_services.suspend_gone(match.offer_id, withdrawn=len(emptied), now=now):
            end_holds(emptied, MatchState.CANCELLED, now)  # the same message says so
        else:
            take_back(emptied, MatchState.CANCELLED, now)
    return match
