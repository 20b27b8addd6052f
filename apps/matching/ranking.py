"""How well an offer fits a need: filters, terms between 0 and 1, and their weighted sum. Pure; `now` is an argument.

All quantities are in the item's base unit, distances in kilometres, times in UTC.
"""

import datetime as dt
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache

from apps.catalogue.regions import distance_km
from apps.matching.policy import PolicyValues


class Fit(Enum):
    """How the goods relate to what was asked for. The values are the scores of the standard term."""

    EQUAL = 1.0  # the very standard, or none asked for and one stated
    EXCEEDS = 0.9
    UNSTATED = 0.7  # no standard asked for, none stated
    SUBSTITUTE = 0.4  # another item, which the requester accepts


@dataclass(frozen=True, slots=True)
class Place:
    """A region: its path ("CN/420000/420100/") and, where known, its coordinates in degrees."""

    path: str
    latitude: float | None = None
    longitude: float | None = None


@dataclass(frozen=True, slots=True)
class Need:
    """An open demand as the decision sees it."""

    id: int
    organisation_id: int
    item_id: int
    target: int  # all that is asked for
    wanting: int  # what nobody was asked for or has promised yet
    tier: int  # 1 is served first; before ageing
    urgency_rank: int  # 0 is most urgent
    days_of_supply: int | None
    waiting_since: dt.datetime
    needed_by: dt.datetime | None
    place: Place
    standard_id: int | None = None
    accepts_substitutes: bool = False
    excluded: frozenset[int] = frozenset()  # offers that were asked and said no, or never answered


@dataclass(frozen=True, slots=True)
class Source:
    """A published offer as the decision sees it."""

    id: int
    organisation_id: int
    item_id: int
    free: int
    minimum_order: int
    lead_time_days: int
    place: Place
    ships_to: frozenset[str]  # region codes; empty: anywhere
    standard_id: int | None
    confirmed_at: dt.datetime
    unit_price: float | None = None
    is_donation: bool = False
    kept: int = 0  # matches of this supplier that were delivered
    broken: int = 0  # matches that it let expire, or accepted and did not deliver
    held: tuple["HeldFor", ...] = ()  # unanswered holds on it, which a higher tier may take over


@dataclass(frozen=True, slots=True)
class HeldFor:
    """An unanswered hold: whose it is and how much."""

    match_id: int
    need_id: int
    tier: int  # effective, of the need that holds
    quantity: int


@dataclass(frozen=True, slots=True)
class Term:
    """One reason: what was measured, its score between 0 and 1, and how much it weighs."""

    name: str
    value: float | int | str | None
    score: float
    weight: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """A source that passed every filter for a need, with its score and the reasons for it."""

    source: Source
    score: float
    terms: tuple[Term, ...]
    is_substitute: bool


@dataclass(frozen=True)
class Rules:
    """The relations between standards and between items, as data."""

    satisfies: frozenset[tuple[int, int]] = frozenset()  # (offered standard, demanded standard)
    substitutes: frozenset[tuple[int, int]] = frozenset()  # (offered item, demanded item)


class Refusal(Enum):
    """Why an offer of the right kind of goods cannot serve a need."""

    OWN = "own"
    ASKED_BEFORE = "asked_before"
    SUBSTITUTE = "substitute"
    STANDARD = "standard"
    REGION = "region"
    MINIMUM = "minimum"
    STOCK = "stock"


@dataclass
class Ranked:
    """The candidates of a need, best first, and how many offers each filter took out."""

    candidates: list[Candidate] = field(default_factory=list)
    refused: dict[Refusal, int] = field(default_factory=dict)


def effective_tier(tier: int, waiting_since: dt.datetime, now: dt.datetime, policy: PolicyValues) -> int:
    """The tier after ageing: one better for each full period of waiting, never better than 1."""
    waited = max(0.0, (now - waiting_since).total_seconds() / 3600)
    return max(1, tier - int(waited / policy.ageing_hours_per_tier))


def precedence(need: Need, now: dt.datetime, policy: PolicyValues) -> tuple[int, int, float, dt.datetime, int]:
    """The order in which needs are served: tier, urgency, days of supply left (unknown last), waiting time, id."""
    days = math.inf if need.days_of_supply is None else float(need.days_of_supply)
    return (
        effective_tier(need.tier, need.waiting_since, now, policy),
        need.urgency_rank,
        days,
        need.waiting_since,
        need.id,
    )


def fit_of(need: Need, source: Source, rules: Rules) -> Fit | Refusal:
    """How the goods relate to what was asked for, or why they will not do."""
    if source.item_id != need.item_id:
        if not need.accepts_substitutes or (source.item_id, need.item_id) not in rules.substitutes:
            return Refusal.SUBSTITUTE
        if need.standard_id is not None and (
            source.standard_id is None or (source.standard_id, need.standard_id) not in rules.satisfies
        ):
            return Refusal.STANDARD
        return Fit.SUBSTITUTE
    if need.standard_id is None:
        return Fit.UNSTATED if source.standard_id is None else Fit.EQUAL
    if source.standard_id == need.standard_id:
        return Fit.EQUAL
    if source.standard_id is not None and (source.standard_id, need.standard_id) in rules.satisfies:
        return Fit.EXCEEDS
    return Refusal.STANDARD


def ships_there(source: Source, place: Place) -> bool:
    return not source.ships_to or any(code in source.ships_to for code in place.path.split("/") if code)


def worth_asking(need: Need, source: Source, available: int, policy: PolicyValues) -> Refusal | None:
    """Whether `available` of the source is enough to matter, and the need enough for its minimum order."""
    if need.wanting < source.minimum_order:
        return Refusal.MINIMUM
    if available < max(1, source.minimum_order, math.ceil(min(need.wanting, need.target) * policy.matter_share)):
        return Refusal.STOCK
    return None


def refusal_of(need: Need, source: Source, rules: Rules, policy: PolicyValues) -> Fit | Refusal:
    """The hard filters, cheapest first. Stock counts what a higher tier could take over."""
    if source.organisation_id == need.organisation_id:
        return Refusal.OWN
    fit = fit_of(need, source, rules)
    if isinstance(fit, Refusal):
        return fit
    if not ships_there(source, need.place):
        return Refusal.REGION
    if source.id in need.excluded:
        return Refusal.ASKED_BEFORE
    available = source.free + sum(hold.quantity for hold in source.held)
    return worth_asking(need, source, available, policy) or fit


@lru_cache(maxsize=200_000)
def _distance(a: Place, b: Place) -> float | None:
    if a.latitude is None or a.longitude is None or b.latitude is None or b.longitude is None:
        return None
    return distance_km((a.latitude, a.longitude), (b.latitude, b.longitude))


def score(
    need: Need, source: Source, fit: Fit, *, median_price: float | None, policy: PolicyValues, now: dt.datetime
) -> Candidate:
    """The weighted sum of the terms, each between 0 and 1, rounded so that it is the same on every machine.

    coverage   free ÷ wanting, at most 1
    distance   1 ÷ (1 + km ÷ half_distance); ½ where a place has no coordinates
    lead_time  1 if it arrives by needed_by, then falling to 0 over lateness_days; with no date 1 ÷ (1 + days ÷ 7)
    standard   the value of the fit
    freshness  1 when confirmed now, falling to 0 over offer_fresh_days
    record     (kept + prior share × prior) ÷ (kept + broken + prior): additive smoothing
    price      1 at half the median or below, ½ at the median, 0 from 1½ times; donations 1; ½ where not known
    """
    weights = policy.weights
    covered = min(1.0, source.free / need.wanting) if need.wanting else 0.0

    km = _distance(need.place, source.place)
    near = 0.5 if km is None else 1 / (1 + km / policy.half_distance_km)

    if need.needed_by is None:
        timely = 1 / (1 + source.lead_time_days / 7)
    else:
        late = source.lead_time_days - (need.needed_by - now).total_seconds() / 86_400
        timely = min(1.0, max(0.0, 1 - late / policy.lateness_days))

    age_days = max(0.0, (now - source.confirmed_at).total_seconds() / 86_400)
    fresh = max(0.0, 1 - age_days / policy.offer_fresh_days)

    prior = policy.record_prior_matches
    record = (source.kept + policy.record_prior_share * prior) / (source.kept + source.broken + prior)

    relative: float | None = None
    if source.is_donation:
        cheap = 1.0
    elif source.unit_price is None or not median_price:
        cheap = 0.5
    else:
        relative = source.unit_price / median_price
        cheap = min(1.0, max(0.0, 1.5 - relative))

    terms = (
        Term("coverage", min(source.free, need.wanting), round(covered, 6), weights["coverage"]),
        Term("distance", None if km is None else round(km), round(near, 6), weights["distance"]),
        Term("lead_time", source.lead_time_days, round(timely, 6), weights["lead_time"]),
        Term("standard", fit.name.lower(), fit.value, weights["standard"]),
        Term("freshness", round(age_days, 1), round(fresh, 6), weights["freshness"]),
        Term("record", source.kept + source.broken, round(record, 6), weights["record"]),
        Term(
            "price",
            "donation" if source.is_donation else None if relative is None else round(relative, 2),
            round(cheap, 6),
            weights["price"],
        ),
    )
    total = round(sum(term.score * term.weight for term in terms), 6)
    return Candidate(source, total, terms, fit is Fit.SUBSTITUTE)


def median(prices: Iterable[float | None]) -> float | None:
    """The middle price, None where there is none."""
    known = sorted(price for price in prices if price is not None)
    if not known:
        return None
    middle = len(known) // 2
    return known[middle] if len(known) % 2 else (known[middle - 1] + known[middle]) / 2


def rank(need: Need, sources: Iterable[Source], rules: Rules, *, policy: PolicyValues, now: dt.datetime) -> Ranked:
    """The sources that can serve a need, best first; ties go to the older offer (smaller id)."""
    ranked = Ranked()
    sources = list(sources)
    median_price = median(source.unit_price for source in sources if source.item_id == need.item_id)
    for source in sources:
        fit = refusal_of(need, source, rules, policy)
        if isinstance(fit, Refusal):
            ranked.refused[fit] = ranked.refused.get(fit, 0) + 1
            continue
        ranked.candidates.append(score(need, source, fit, median_price=median_price, policy=policy, now=now))
    ranked.candidates.sort(key=lambda candidate: (-candidate.score, candidate.source.id))
    return ranked
