"""What a decision does to rows: ask, reserve, stand by, take back, and say so, inside one transaction.

The other half of `services.py`: it writes this app's tables too, and only services call it.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.db import transaction

from apps.core.states import move
from apps.demands import quantities as demands_quantities
from apps.demands import services as demands_services
from apps.demands.models import Demand
from apps.matching.allocation import Hold, Plan, Standby
from apps.matching.loading import (
    Contest,
)
from apps.matching.models import (
    PENDING,
    Match,
    MatchQuerySet,
    MatchState,
)
from apps.matching.ranking import Candidate, effective_tier
from apps.matching.wording import explain_in_every_language
from apps.notifications.services import News, queue_all
from apps.policy.models import Policy
from apps.supply import quantities as supply_quantities
from apps.supply.models import Offer


@dataclass
class Done:
    """What a sweep did, in numbers."""

    demands: int = 0
    offers: int = 0
    held: int = 0
    standby: int = 0
    yielded: int = 0
    taken_back: int = 0
    expired: int = 0
    escalated: int = 0

    def __add__(self, other: "Done") -> "Done":
        return Done(**{name: value + getattr(other, name) for name, value in asdict(self).items()})

    def __bool__(self) -> bool:
        return any(asdict(self).values())


def lock(demand_ids: Iterable[int], offer_ids: Iterable[int] = ()) -> dict[int, Demand]:
    """Take the rows of a decision in the order that everybody takes them."""
    demands = Demand.objects.select_for_update(of=["self"], no_key=True).filter(pk__in=set(demand_ids)).order_by("pk")
    locked = {demand.pk: demand for demand in demands.shown()}
    list(Offer.objects.select_for_update(no_key=True).filter(pk__in=set(offer_ids)).order_by("pk").values_list("pk"))
    return locked


@transaction.atomic
def write_plan(plan: Plan, demands: dict[int, Demand], policy: Policy, now: dt.datetime) -> Done:
    """Carry out a plan; what went meanwhile is dropped, and its need asks again."""
    done = Done()
    if not plan.holds:
        return done
    yielding = list(Match.objects.filter(pk__in=plan.yielding).values_list("pk", "demand_id", "offer_id"))
    locked = lock(
        [*demands, *(demand_id for _pk, demand_id, _offer in yielding)],
        [*(hold.candidate.source.id for hold in plan.holds), *(offer for _pk, _demand, offer in yielding)],
    )
    for match in Match.objects.held().filter(pk__in=plan.yielding).shown().order_by("pk"):
        take_back(match, MatchState.SUPERSEDED, now)
        done.yielded += 1
    return done + _carry_out(plan, demands, locked, policy, now)


def _carry_out(
    plan: Plan, demands: Mapping[int, Demand], locked: dict[int, Demand], policy: Policy, now: dt.datetime
) -> Done:
    """Ask whom the plan says, write down the next best, and tell the requesters. `demands` are as they were decided
    upon, `locked` as they are.
    """
    done = Done()
    offers = Offer.objects.shown().in_bulk(
        [*(hold.candidate.source.id for hold in plan.holds), *(one.candidate.source.id for one in plan.standbys)]
    )
    pending = {
        (match.demand_id, match.offer_id): match
        for match in Match.objects.filter(demand__in=list(locked), state__in=PENDING)
    }
    asked: dict[int, list[Match]] = defaultdict(list)
    for hold in plan.holds:
        need, offer = locked[hold.need_id], offers[hold.candidate.source.id]
        present = pending.get((need.pk, offer.pk))
        # Whoever amends a need asks anew, and whoever amends an offer confirms it: then this was decided on old facts.
        # The micro-batch may have asked the same meanwhile.
        as_decided = (
            (present is None or present.state == MatchState.STANDBY)
            and need.match_requested_at == demands[need.pk].match_requested_at
            and offer.confirmed_at == hold.candidate.source.confirmed_at
        )
        made = _hold(hold, need, offer, pending, policy, now) if as_decided else None
        if made is None:
            demands_services.request_matching([hold.need_id], now=now)
            continue
        asked[hold.need_id].append(made)
        done.held += 1
    new = [match for matches in asked.values() for match in matches if match._state.adding]  # noqa: SLF001  Django's word
    Match.objects.bulk_create(new)
    done.standby += _stand_by([one for one in plan.standbys if one.need_id in asked], locked, pending, policy, now)
    _clear_old_standbys(plan, asked)
    queue_all(
        [
            news
            for need_id, matches in asked.items()
            for news in (*map(_news_for_supplier, matches), _news_for_requester(locked[need_id], matches))
        ]
    )
    return done


@transaction.atomic
def write_difference(plan: Plan, contest: Contest, policy: Policy, now: dt.datetime) -> Done:
    """What stays the same stays untouched. Who is asked for another quantity is told that, not to forget it first."""
    planned = {(hold.need_id, hold.candidate.source.id): hold for hold in plan.holds}
    gone = [
        pair for pair, quantity in contest.asked.items() if pair not in planned or planned[pair].quantity != quantity
    ]
    new = [pair for pair, hold in planned.items() if hold.quantity != contest.asked.get(pair)]
    if not new:
        return Done()

    touched = {*gone, *new}
    locked = lock({demand for demand, _offer in touched}, {offer for _demand, offer in touched})
    steady = {pk for pk, demand in locked.items() if _asks_the_same(demand, contest.demands[pk])}
    done = Done()
    held = Match.objects.held().filter(demand__in={demand for demand, _offer in gone}).shown().order_by("pk")
    for match in held:
        pair = (match.demand_id, match.offer_id)
        if pair not in gone or match.quantity != contest.asked[pair] or match.demand_id not in steady:
            continue
        take_back(match, MatchState.SUPERSEDED, now, told=pair not in planned)
        done.yielded += 1
    still = set(Match.objects.held().filter(demand__in=steady).values_list("demand_id", "offer_id"))
    holds = [planned[pair] for pair in new if pair[0] in steady and pair not in still]
    return done + _carry_out(Plan(holds=holds, standbys=plan.standbys), locked, locked, policy, now)


def _asks_the_same(demand: Demand, before: Demand) -> bool:
    facts = ("state", "target", "standard_id", "accepts_substitutes", "region_id", "needed_by", "quantity_matched")
    return all(getattr(demand, name) == getattr(before, name) for name in facts)


def _facts(candidate: Candidate, demand: Demand, policy: Policy, now: dt.datetime) -> dict[str, Any]:
    return {
        "score": candidate.score,
        "terms": [asdict(term) for term in candidate.terms],
        "policy_version": policy.version,
        "is_substitute": candidate.is_substitute,
        "tier": effective_tier(demand.organisation.tier, demand.opened_at or demand.created_at, now, policy.values),
    }


def _hold(
    hold: Hold,
    demand: Demand,
    offer: Offer,
    pending: dict[tuple[int, int], Match],
    policy: Policy,
    now: dt.datetime,
) -> Match | None:
    """Reserve, by two conditional UPDATEs; None when stock or need went meanwhile.

    A match that was not next best before is new, and saved by the caller together with the others.
    """
    with transaction.atomic():
        admitted = demands_quantities.hold(demand.pk, hold.quantity) and supply_quantities.reserve(
            offer.pk, hold.quantity
        )
        if not admitted:
            transaction.set_rollback(True)
            return None

    facts = {
        "quantity": hold.quantity,
        "quantity_asked": hold.quantity,
        "rank": hold.rank,
        "respond_by": now + policy.values.hold(demand.urgency),
        **_facts(hold.candidate, demand, policy, now),
    }
    match = pending.get((demand.pk, offer.pk))
    if match is not None and match.state == MatchState.STANDBY:
        move(match, MatchState.HELD, **facts)
    else:
        match = Match(state=MatchState.HELD, **facts)
    match.demand, match.offer = demand, offer
    return match


def _stand_by(
    standbys: Sequence[Standby],
    demands: dict[int, Demand],
    pending: dict[tuple[int, int], Match],
    policy: Policy,
    now: dt.datetime,
) -> int:
    """Write down the next best; those that are so already stay. Returns how many there are."""
    new = []
    for standby in standbys:
        demand, source = demands[standby.need_id], standby.candidate.source
        if (demand.pk, source.id) in pending:
            continue
        quantity = max(1, min(demand.target, source.free))
        new.append(
            Match(
                demand=demand,
                offer_id=source.id,
                state=MatchState.STANDBY,
                quantity=quantity,
                quantity_asked=quantity,
                rank=standby.rank,
                **_facts(standby.candidate, demand, policy, now),
            )
        )
    Match.objects.bulk_create(new)
    return len(standbys)


def _clear_old_standbys(plan: Plan, asked: Iterable[int]) -> None:
    """Who is next best was decided anew: earlier next bests that are not among them any more stand down."""
    keep = {(standby.need_id, standby.candidate.source.id) for standby in plan.standbys}
    for match in Match.objects.filter(demand__in=list(asked), state=MatchState.STANDBY):
        if (match.demand_id, match.offer_id) not in keep:
            move(match, MatchState.SUPERSEDED)


def _news_for_supplier(match: Match) -> News:
    return News("match.proposed", match.offer.organisation, describe(match), key=f"match.proposed:{match.pk}")


def _news_for_requester(demand: Demand, matches: Sequence[Match]) -> News:
    return News(
        "demand.suppliers_asked",
        demand.organisation,
        {
            **demands_services.describe(demand),
            "suppliers": [
                {
                    "match_id": match.pk,
                    "name": match.offer.organisation.name,
                    "quantity": match.quantity,
                    "region": match.offer.origin_region.full_names,
                    "reasons": explain_in_every_language(match.terms),
                    "is_substitute": match.is_substitute,
                    "item": match.offer.item.names,
                }
                for match in matches
            ],
        },
        key=f"demand.suppliers_asked:{min(match.pk for match in matches)}",
    )


def describe(match: Match) -> dict[str, Any]:
    """The facts of a match for a message: no contacts."""
    return {
        **demands_services.describe(match.demand),
        "match_id": match.pk,
        "supplier": match.offer.organisation.name,
        "offered_item": match.offer.item.names,
        "is_substitute": match.is_substitute,
        "asked": match.quantity,
        "respond_by": match.respond_by.isoformat() if match.respond_by else None,
        "reasons": explain_in_every_language(match.terms),
    }


def take_back(match: Match, to: MatchState, now: dt.datetime, *, told: bool = True) -> None:
    """End an unanswered hold from our side and give both quantities back. The supplier is to be told not to bother when
    the need has been matched again (`alerts.tell_withdrawn`), as it may be asked anew.
    """
    move(match, to, withdrawal_untold=told)
    demands_quantities.release(match.demand_id, match.quantity, now=now)
    supply_quantities.release(match.offer_id, match.quantity, now=now)


def stand_down(standbys: MatchQuerySet) -> None:
    """End being next in line: the need wants nothing more, or the offer is not there any more."""
    standbys.filter(state=MatchState.STANDBY).update(state=MatchState.SUPERSEDED)
