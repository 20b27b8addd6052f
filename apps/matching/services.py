"""The verbs of matching: the only writer of this app's tables."""

import datetime as dt
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import structlog
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.accounts import services as accounts_services
from apps.accounts.models import Organisation, OrganisationState, User
from apps.catalogue.models import Substitution
from apps.core import audit
from apps.core.errors import RuleViolation
from apps.core.states import move
from apps.demands import clocks
from apps.demands import services as demands_services
from apps.demands.models import Demand
from apps.matching.allocation import Hold, Plan, Standby, decide
from apps.matching.loading import (
    Contest,
    contested_items,
    items_for,
    load_contest,
    load_needs,
    load_rules,
    load_sources,
)
from apps.matching.models import (
    BUILT_IN_POLICY,
    PENDING,
    DeclineReason,
    Escalation,
    Match,
    MatchState,
    Policy,
)
from apps.matching.policy import PolicyValues
from apps.matching.ranking import Candidate, Refusal, effective_tier, rank
from apps.matching.wording import explain_in_every_language
from apps.notifications.services import News, queue, queue_all
from apps.supply import services as supply_services
from apps.supply.models import Offer, OfferState

log = structlog.get_logger(__name__)

# A worker that dies loses what it claimed after this long.
LEASE: Final = dt.timedelta(seconds=60)
BATCH: Final = 50


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
            plan = decide(load_needs(demands), load_sources(offered, now), rules, policy=policy.values, now=now)
            done += _write(plan, {demand.pk: demand for demand in demands}, policy, now)
    demands_services.finish_matching(claimed)
    return done


def _lock(demand_ids: Iterable[int], offer_ids: Iterable[int] = ()) -> dict[int, Demand]:
    """Take the rows of a decision in the order that everybody takes them."""
    demands = Demand.objects.select_for_update(of=["self"], no_key=True).filter(pk__in=set(demand_ids)).order_by("pk")
    locked = {demand.pk: demand for demand in demands.shown()}
    list(Offer.objects.select_for_update(no_key=True).filter(pk__in=set(offer_ids)).order_by("pk").values_list("pk"))
    return locked


@transaction.atomic
def _write(plan: Plan, demands: dict[int, Demand], policy: Policy, now: dt.datetime) -> Done:
    """Carry out a plan; what went meanwhile is dropped, and its need asks again."""
    done = Done()
    if not plan.holds:
        return done
    yielding = list(Match.objects.filter(pk__in=plan.yielding).values_list("pk", "demand_id", "offer_id"))
    locked = _lock(
        [*demands, *(demand_id for _pk, demand_id, _offer in yielding)],
        [*(hold.candidate.source.id for hold in plan.holds), *(offer for _pk, _demand, offer in yielding)],
    )
    for match in Match.objects.held().filter(pk__in=plan.yielding).shown().order_by("pk"):
        _take_back(match, MatchState.SUPERSEDED, now)
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
        # Whoever amends a need asks anew, and whoever amends an offer confirms it: then this was decided on old facts.
        as_decided = (
            need.match_requested_at == demands[need.pk].match_requested_at
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


def reallocate(*, now: dt.datetime | None = None, seconds: float = 20) -> Done:
    """The micro-batch: solve what is contested together and change what nobody has answered yet, where that is worth
    it. `seconds` is how long each item may be improved on. Safe to run twice and side by side.
    """
    from apps.matching.contest import allocate

    now = now or timezone.now()
    rules, policy = load_rules(), Policy.objects.current()
    done = Done()
    for items in contested_items(rules):
        contest = load_contest(items, now)
        outcome = allocate(
            contest.needs,
            contest.sources,
            rules,
            policy=policy.values,
            now=now,
            present=contest.asked,
            expired=_after(seconds),
        )
        changed = _write_difference(outcome.plan, contest, policy, now)
        done += changed
        log.info("reallocated", items=sorted(items), changed=changed.held, **asdict(outcome.report))
    return done


def _after(seconds: float) -> Callable[[], bool]:
    """Whether so many seconds have passed from now on."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


@transaction.atomic
def _write_difference(plan: Plan, contest: Contest, policy: Policy, now: dt.datetime) -> Done:
    """What stays the same stays untouched. Who is asked for another quantity is told that, not to forget it first."""
    planned = {(hold.need_id, hold.candidate.source.id): hold for hold in plan.holds}
    gone = [
        pair for pair, quantity in contest.asked.items() if pair not in planned or planned[pair].quantity != quantity
    ]
    new = [pair for pair, hold in planned.items() if hold.quantity != contest.asked.get(pair)]
    if not new:
        return Done()

    touched = {*gone, *new}
    locked = _lock({demand for demand, _offer in touched}, {offer for _demand, offer in touched})
    steady = {pk for pk, demand in locked.items() if _asks_the_same(demand, contest.demands[pk])}
    done = Done()
    held = Match.objects.held().filter(demand__in={demand for demand, _offer in gone}).shown().order_by("pk")
    for match in held:
        pair = (match.demand_id, match.offer_id)
        if pair not in gone or match.quantity != contest.asked[pair] or match.demand_id not in steady:
            continue
        _take_back(match, MatchState.SUPERSEDED, now, told=pair not in planned)
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
        admitted = demands_services.hold(demand.pk, hold.quantity) and supply_services.reserve(offer.pk, hold.quantity)
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
                    "region": match.offer.origin_region.names,
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


def _take_back(match: Match, to: MatchState, now: dt.datetime, *, told: bool = True) -> None:
    """End an unanswered hold from our side, give both quantities back and tell the supplier not to bother."""
    move(match, to)
    demands_services.release(match.demand_id, match.quantity, now=now)
    supply_services.release(match.offer_id, match.quantity, now=now)
    if told:
        queue("match.withdrawn", match.offer.organisation, describe(match), key=f"match.withdrawn:{match.pk}")


def take_back_without_ground(*, now: dt.datetime | None = None, limit: int = 500) -> Done:
    """Holds whose need was paused or cancelled, whose offer went, or one of whose sides lost its verification."""
    now = now or timezone.now()
    done = Done()
    found = Match.objects.without_ground().order_by("pk").values_list("pk", "demand_id", "offer_id")[:limit]
    for pk, demand_id, offer_id in found:
        with transaction.atomic():
            _lock([demand_id], [offer_id])
            match = Match.objects.without_ground().filter(pk=pk).shown().first()
            if match is not None:
                _take_back(match, MatchState.CANCELLED, now)
                done.taken_back += 1
    return done


def expire_holds(*, now: dt.datetime | None = None, limit: int = 500) -> Done:
    """Suppliers who did not answer in time: the hold ends, the next best is asked by the next matching."""
    now = now or timezone.now()
    done = Done()
    overdue = Match.objects.overdue(now).order_by("pk").values_list("pk", "demand_id", "offer_id")[:limit]
    for pk, demand_id, offer_id in overdue:
        with transaction.atomic():
            _lock([demand_id], [offer_id])
            match = Match.objects.overdue(now).filter(pk=pk).shown().first()
            if match is None:
                continue
            move(match, MatchState.EXPIRED)
            demands_services.release(demand_id, match.quantity, now=now)
            supply_services.release(offer_id, match.quantity, now=now)
            queue("match.expired", match.offer.organisation, describe(match), key=f"match.expired:{pk}")
            done.expired += 1
    return done


def look_at_offers(*, now: dt.datetime | None = None, limit: int = BATCH) -> Done:
    """For each changed offer with something to give, put the open needs it may help into the queue."""
    now = now or timezone.now()
    offers = supply_services.claim_for_matching(now=now, lease=LEASE, limit=limit)
    items = {offer.item_id for offer in offers if offer.state == OfferState.PUBLISHED and offer.quantity_free > 0}
    if items:
        helped = items | set(Substitution.objects.filter(offered__in=items).values_list("demanded_id", flat=True))
        needs = Demand.objects.open().short().filter(item__in=helped, match_requested_at=None)
        demands_services.request_matching(list(needs.values_list("pk", flat=True)), now=now)
    supply_services.finish_matching(offers)
    return Done(offers=len(offers))


def _still_held(match: Match, now: dt.datetime) -> Match:
    """The match, locked with its demand and offer, if it can still be answered; else says why it cannot."""
    _lock([match.demand_id], [match.offer_id])
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
    if not demands_services.record_acceptance(match.demand_id, held=held, accepted=accepted, now=now):
        raise RuleViolation("demand_not_open", _("The need is not open any more."))
    if accepted < held:
        supply_services.release(match.offer_id, held - accepted, now=now)
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
    demands_services.release(match.demand_id, match.quantity, now=now)
    supply_services.release(match.offer_id, match.quantity, now=now)
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
        _lock([demand.pk], [offer_id for _pk, offer_id in held])
        for match in Match.objects.held().filter(demand=demand).shown().order_by("pk"):
            _take_back(match, MatchState.CANCELLED, now)
    return demands_services.amend_demand(demand, by=by, now=now, **changes)


def escalate_due(*, now: dt.datetime | None = None, limit: int = 200) -> Done:
    """Put needs whose clock ran out before the next coordinator up, with all that was tried."""
    now = now or timezone.now()
    done = Done()
    for pk in Demand.objects.escalation_due(now).order_by("pk").values_list("pk", flat=True)[:limit]:
        with transaction.atomic():
            due = Demand.objects.escalation_due(now).select_for_update(of=["self"], skip_locked=True, no_key=True)
            demand = due.shown().filter(pk=pk).first()
            if demand is not None:
                done.escalated += _escalate(demand, now)
    return done


def _escalate(demand: Demand, now: dt.datetime) -> int:
    chain = list(Organisation.objects.coordinating(demand.region))
    told = set(Escalation.objects.filter(demand=demand).values_list("organisation_id", flat=True))
    nobody_told = [coordinator for coordinator in chain if coordinator.pk not in told]
    further = now + clocks.ESCALATES_AFTER[demand.urgency] if len(nobody_told) > 1 else None
    demands_services.set_escalation(demand.pk, further)
    if not nobody_told:
        log.warning("escalation_without_coordinator", demand=demand.pk, region=demand.region_id)
        return 0

    coordinator = nobody_told[0]
    states = Counter(Match.objects.filter(demand=demand).values_list("state", flat=True))
    tried = {str(state): count for state, count in sorted(states.items())}
    Escalation.objects.create(demand=demand, organisation=coordinator, level=len(told) + 1, tried=tried)
    context = {
        **demands_services.describe(demand),
        "coordinator": coordinator.name,
        "level": len(told) + 1,
        "tried": tried,
        "quantity_matched": demand.quantity_matched,
    }
    key = f"demand.escalated:{demand.pk}:{coordinator.pk}"
    queue("demand.escalated", coordinator, context, key=key)
    queue("demand.passed_on", demand.organisation, context, key=f"demand.passed_on:{demand.pk}:{coordinator.pk}")
    return 1


@transaction.atomic
def announce_verifications(*, now: dt.datetime | None = None, limit: int = 200) -> int:
    """Tell organisations what became of their verification, and coordinators who asks for one. Returns how many news.

    Accounts stands below the outbox and cannot tell anybody anything itself. What a newly verified organisation has
    posted meanwhile goes out, and what it has open is matched again, as matching passed over it until then.
    """
    now = now or timezone.now()
    organisations = accounts_services.take_unannounced(limit)
    verified = [organisation for organisation in organisations if organisation.is_verified]
    demands_services.open_awaiting(verified, now=now)
    needs = Demand.objects.open().filter(organisation__in=verified)
    demands_services.request_matching(list(needs.values_list("pk", flat=True)), now=now)
    offers = Offer.objects.published().filter(organisation__in=verified)
    supply_services.request_matching(list(offers.values_list("pk", flat=True)), now=now)
    return sum(_announce(organisation, now) for organisation in organisations)


def _announce(organisation: Organisation, now: dt.datetime) -> bool:
    recipient: Organisation | None = organisation
    match OrganisationState(organisation.state):
        case OrganisationState.PENDING:
            event, recipient = "organisation.submitted", Organisation.objects.coordinating(organisation.region).first()
        case OrganisationState.VERIFIED if organisation.verified_by_id:
            event = "organisation.verified"
        case OrganisationState.REJECTED:
            event = "organisation.rejected"
        case OrganisationState.UNVERIFIED if organisation.state_reason:
            event = "organisation.unverified"
        case _:
            return False  # imported as verified, or never anything else than unverified
    if recipient is None:
        log.warning("verification_without_coordinator", organisation=organisation.pk, region=organisation.region_id)
        return False
    queue(
        event,
        recipient,
        {
            "organisation_id": organisation.pk,
            "name": organisation.name,
            "region": organisation.region.names,
            "reason": organisation.state_reason,
            "verified_until": organisation.verified_until.isoformat() if organisation.verified_until else None,
            "can_request": organisation.can_request,
        },
        key=f"{event}:{organisation.pk}:{now:%Y%m%d%H%M%S}",
    )
    return True


@transaction.atomic
def make_policy(settings: dict[str, Any], *, note: str, by: User) -> Policy:
    """Put a new version of the policy into force, from the next matching on.

    `settings` are what differs from the built-in values. Raises `policy_invalid` for numbers that make no sense.
    """
    try:
        PolicyValues.from_json(settings)
    except (ValueError, TypeError, AttributeError) as error:
        raise RuleViolation("policy_invalid", str(error), field="settings") from error
    newest = Policy.objects.select_for_update().order_by("-version").first()
    version = (newest.version if newest else BUILT_IN_POLICY) + 1
    policy = Policy.objects.create(version=version, settings=settings, note=note, made_by=by)
    audit.record(by, "policy.made", policy, version=version)
    return policy


@dataclass(frozen=True)
class Outlook:
    """What the catalogue of offers holds for a need right now: for the page of a need that nobody serves."""

    candidates: int
    refused: dict[str, int]


def outlook(demand: Demand, *, now: dt.datetime | None = None) -> Outlook:
    """Count the offers that could serve a need and, by filter, those that could not."""
    now = now or timezone.now()
    rules = load_rules()
    needs = load_needs([demand])
    if not needs:
        return Outlook(0, {})
    offered = {demand.item_id} | {offer for offer, demanded in rules.substitutes if demanded == demand.item_id}
    ranked = rank(needs[0], load_sources(offered, now), rules, policy=Policy.objects.current().values, now=now)
    return Outlook(
        len(ranked.candidates),
        {reason.value: count for reason, count in ranked.refused.items() if reason is not Refusal.OWN},
    )
