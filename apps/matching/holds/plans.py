"""Carries out a plan: gives yielding holds back, commits the new ones, writes backups, and notifies both sides.

One transaction for a plan. It writes this app's tables, and only `services` calls it.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.db import transaction

from apps.demands import services as demands_services
from apps.demands.models import Demand
from apps.matching.allocation.sequential import Backup, Hold, Plan
from apps.matching.explanation.wording import explain_in_every_language
from apps.matching.holds.commit import KEPT, HoldRequest, commit_holds
from apps.matching.holds.release import lock, take_back
from apps.matching.loading import Pair
from apps.matching.models import Match, MatchState
from apps.matching.scoring.precedence import effective_tier
from apps.matching.scoring.ranking import Candidate
from apps.notifications.services import News, queue_all
from apps.policy.models import Policy
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
    told: int = 0  # messages to desks

    def __add__(self, other: "Done") -> "Done":
        return Done(**{name: value + getattr(other, name) for name, value in asdict(self).items()})

    def __bool__(self) -> bool:
        return any(asdict(self).values())


@transaction.atomic
def write_plan(plan: Plan, demands: Mapping[int, Demand], policy: Policy, now: dt.datetime) -> Done:
    """Carry out a plan. Holds whose need or offer changed meanwhile are dropped, and their needs ask again.

    `demands`, by key, are as they were when the plan was made.
    """
    # Holds yield only for a new hold, so there is nothing else to do.
    if not plan.holds:
        return Done()
    requested = {pk: demand.match_requested_at for pk, demand in demands.items()}
    done = Done()
    if plan.yielding:
        yielding = Match.objects.held().filter(pk__in=plan.yielding)
        # Read before locking, to know what to lock, and once more after it: some may have been answered meanwhile.
        pairs = list(yielding.values_list("demand_id", "offer_id"))
        locked = lock(
            [*demands, *(demand for demand, _offer in pairs)],
            [*(hold.candidate.source.id for hold in plan.holds), *(offer for _demand, offer in pairs)],
        )
        given_way = list(yielding.shown().order_by("pk"))
        take_back(given_way, MatchState.SUPERSEDED, now)
        requested = requested_since(requested, given_way, locked, now)
        done.yielded = len(given_way)
    return done + carry_out(plan, demands, requested, policy, now)


def requested_since(
    requested: Mapping[int, dt.datetime | None],
    given_way: Iterable[Match],
    locked: Mapping[int, Demand],
    now: dt.datetime,
) -> dict[int, dt.datetime | None]:
    """When matching of each need was last asked for, as `commit_holds` compares it with the row.

    A hold that gave way a moment ago has made its need ask again. That is our own doing and must not count as a change.
    """
    since = dict(requested)
    for pk in {match.demand_id for match in given_way}:
        if pk in since and locked[pk].match_requested_at == since[pk]:
            since[pk] = now
    return since


def carry_out(
    plan: Plan,
    demands: Mapping[int, Demand],
    requested: Mapping[int, dt.datetime | None],
    policy: Policy,
    now: dt.datetime,
) -> Done:
    """Hold what the plan says, write its backups, and notify both sides."""
    offers = Offer.objects.shown().in_bulk([hold.candidate.source.id for hold in plan.holds])
    requests = [
        _request(hold, demands[hold.need_id], offers[hold.candidate.source.id], requested[hold.need_id], policy, now)
        for hold in plan.holds
    ]
    # What went meanwhile is not among them, and its need asks again.
    made = commit_holds(requests)
    asked: dict[int, list[Match]] = defaultdict(list)
    for request in requests:
        if pk := made.get((request.need_id, request.offer_id)):
            asked[request.need_id].append(_match(pk, request, demands[request.need_id], offers[request.offer_id]))
    dropped = [request.need_id for request in requests if (request.need_id, request.offer_id) not in made]
    if dropped:
        demands_services.request_matching(dropped, now=now)

    # A need of which nobody is asked keeps its earlier backups.
    backups = [backup for backup in plan.backups if backup.need_id in asked]
    _write_backups(backups, demands, policy, now)
    _retire_old_backups(backups, asked)
    replaced = _replaced(match for matches in asked.values() for match in matches)
    queue_all(
        [
            news
            for need_id, matches in asked.items()
            for news in (*_news_for_suppliers(matches, replaced), _news_for_requester(demands[need_id], matches))
        ]
    )
    return Done(held=len(made), standby=len(backups))


def hold_one(
    candidate: Candidate,
    quantity: int,
    demand: Demand,
    offer: Offer,
    policy: Policy,
    now: dt.datetime,
    *,
    rank: int,
    tells_supplier: bool,
) -> Match | None:
    """Hold so much of one offer, under the locks of both sides, and notify them; None if that cannot be any more.

    What is asked of others for the need, and its backups, stay as they are.
    """
    hold = Hold(demand.pk, candidate, quantity, rank)
    request = _request(hold, demand, offer, demand.match_requested_at, policy, now)
    made = commit_holds([request])
    if (demand.pk, offer.pk) not in made:
        return None
    match = _match(made[demand.pk, offer.pk], request, demand, offer)
    news = list(_news_for_suppliers([match], _replaced([match]))) if tells_supplier else []
    queue_all([*news, _news_for_requester(demand, [match])])
    return match


def _request(
    hold: Hold, demand: Demand, offer: Offer, requested_at: dt.datetime | None, policy: Policy, now: dt.datetime
) -> HoldRequest:
    return HoldRequest(
        need_id=demand.pk,
        offer_id=offer.pk,
        requested_at=requested_at,
        confirmed_at=hold.candidate.source.confirmed_at,
        quantity=hold.quantity,
        rank=hold.rank,
        respond_by=_respond_by(demand, offer, policy, now),
        **_facts(hold.candidate, demand, policy, now),
    )


def _respond_by(demand: Demand, offer: Offer, policy: Policy, now: dt.datetime) -> dt.datetime:
    """When the supplier must have answered: not later than the last day of the certificate ends."""
    by_urgency = now + policy.values.hold(demand.urgency)
    if offer.certificate_valid_until is None:
        return by_urgency
    day_after = offer.certificate_valid_until + dt.timedelta(days=1)
    return min(by_urgency, dt.datetime.combine(day_after, dt.time.min, tzinfo=dt.UTC))


def _match(pk: int, request: HoldRequest, demand: Demand, offer: Offer) -> Match:
    """The match as the database wrote it, with both sides, made without another query."""
    facts = {name: getattr(request, name) for name in KEPT}
    return Match(pk=pk, demand=demand, offer=offer, state=MatchState.HELD, quantity_asked=request.quantity, **facts)


def _facts(candidate: Candidate, demand: Demand, policy: Policy, now: dt.datetime) -> dict[str, Any]:
    return {
        "score": candidate.score,
        "terms": [asdict(term) for term in candidate.terms],
        "policy_version": policy.version,
        "is_substitute": candidate.is_substitute,
        # As of now: later holds of a higher tier are compared with it, and it may only get better by waiting.
        "tier": effective_tier(
            policy.values.tier(demand.organisation.kind), demand.opened_at or demand.created_at, now, policy.values
        ),
    }


def _write_backups(backups: Sequence[Backup], demands: Mapping[int, Demand], policy: Policy, now: dt.datetime) -> None:
    """Write the backups of needs; those that are backups already stay."""
    new = []
    for backup in backups:
        demand, source = demands[backup.need_id], backup.candidate.source
        # At least 1, as the table demands: an offer without stock may be a backup. Its stock counts when it is asked.
        quantity = max(1, min(demand.target, source.free))
        new.append(
            Match(
                demand=demand,
                offer_id=source.id,
                state=MatchState.STANDBY,
                quantity=quantity,
                quantity_asked=quantity,
                rank=backup.rank,
                **_facts(backup.candidate, demand, policy, now),
            )
        )
    # A pair that is a backup already meets the unique index and is left as it is.
    Match.objects.bulk_create(new, ignore_conflicts=True)


def _retire_old_backups(backups: Sequence[Backup], asked: Iterable[int]) -> None:
    """Backups were decided anew: end earlier ones that are not among them any more."""
    keep = {(backup.need_id, backup.candidate.source.id) for backup in backups}
    waiting = Match.objects.filter(demand__in=list(asked), state=MatchState.STANDBY)
    pairs = waiting.values_list("pk", "demand_id", "offer_id")
    old = [pk for pk, demand_id, offer_id in pairs if (demand_id, offer_id) not in keep]
    if old:
        waiting.filter(pk__in=old).update(state=MatchState.SUPERSEDED)


def _replaced(asked: Iterable[Match]) -> dict[Pair, int]:
    """By pair, the quantities of requests that were just taken back and that these requests replace.

    Their suppliers are not notified of the withdrawal yet, so one message can name the old and the new quantity.
    """
    matches = list(asked)
    pending = Match.objects.filter(
        withdrawal_notice_pending=True,
        demand__in=[match.demand_id for match in matches],
        offer__in=[match.offer_id for match in matches],
    )
    return {
        (need, offer): quantity
        for need, offer, quantity in pending.order_by("pk").values_list("demand_id", "offer_id", "quantity")
    }


def _news_for_suppliers(matches: Iterable[Match], replaced: Mapping[Pair, int]) -> Iterator[News]:
    for match in matches:
        context = {**describe(match), "instead_of": replaced.get((match.demand_id, match.offer_id))}
        yield News("match.proposed", match.offer.organisation, context, key=f"match.proposed:{match.pk}")


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
        # The first new match names this round, so a repeated task does not send the message twice.
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
        "less": match.less_would_do,
        "respond_by": match.respond_by.isoformat() if match.respond_by else None,
        "reasons": explain_in_every_language(match.terms),
    }
