"""How well an offer fits a need: filters, terms between 0 and 1, and their weighted sum. Pure; `now` is an argument.

All quantities are in the item's base unit, distances in kilometres, times in UTC.
"""

import datetime as dt
import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, overload

from apps.catalogue.regions import distance_km
from apps.policy.values import PolicyValues

if TYPE_CHECKING:  # numpy stays out of what does without it
    import numpy as np
    import numpy.typing as npt

_Number = TypeVar("_Number", float, "npt.NDArray[np.float64]")

ROUTINE: Final = 2  # the rank of an urgency that can wait


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
    reference_price: float | None = None  # what a unit of its item usually costs, as last taken
    held: tuple["HeldFor", ...] = ()  # unanswered holds on it, which a higher tier may take over
    offered_at: dt.datetime | None = None  # since when it is on offer; None: since it was confirmed


@dataclass(frozen=True, slots=True)
class HeldFor:
    """An unanswered hold: whose it is and how much."""

    match_id: int
    need_id: int
    tier: int  # effective, of the need that holds
    quantity: int
    wanting: int = 0  # what that need still wants besides


@dataclass(frozen=True, slots=True)
class Term:
    """One reason: what was measured, its score between 0 and 1, and how much it weighs."""

    name: str
    value: float | int | str | dict[str, int | str] | None
    score: float
    weight: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """A source that passed every filter for a need, with its score and the reasons for it."""

    source: Source
    score: float
    terms: tuple[Term, ...]
    is_substitute: bool


class Distances(Protocol):
    """Kilometres between places that were measured, where coordinates are not to be had."""

    def km(self, a: Place, b: Place) -> float | None:
        """None where it is not known."""

    def table(self, here: Sequence[Place], there: Sequence[Place]) -> Any:
        """An array of `here` × `there`; NaN where it is not known."""


@dataclass(frozen=True)
class Rules:
    """The relations between standards, between items and between places, as data."""

    satisfies: frozenset[tuple[int, int]] = frozenset()  # (offered standard, demanded standard)
    substitutes: frozenset[tuple[int, int]] = frozenset()  # (offered item, demanded item)
    distances: Distances | None = None  # None: along the globe

    def offered_for(self, item_id: int, *, accepts_substitutes: bool) -> frozenset[int]:
        """The items whose offers may serve who wants this one: itself, and what stands in for it where that is
        accepted.
        """
        if not accepts_substitutes:
            return frozenset({item_id})
        return frozenset({item_id, *(offered for offered, demanded in self.substitutes if demanded == item_id)})


class Refusal(Enum):
    """Why an offer of the right kind of goods cannot serve a need."""

    OWN = "own"
    ASKED_BEFORE = "asked_before"
    SUBSTITUTE = "substitute"
    STANDARD = "standard"
    REGION = "region"
    MINIMUM = "minimum"
    STOCK = "stock"
    DISTANCE = "distance"


class BeyondRanking(Exception):
    """Whoever looks on needs to know more than the best few."""


@dataclass(frozen=True, slots=True)
class Shortlist:
    """Sources of a need that hold its best `best`; `whole` when no other source could serve it."""

    sources: Sequence[Source]
    best: int
    whole: bool


@dataclass
class Ranked:
    """The candidates of a need, best first, and how many of the sources that were looked at each filter took out."""

    candidates: "Candidates"
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


def fit_of(need: Need, item_id: int, standard_id: int | None, rules: Rules) -> Fit | Refusal:
    """How goods of this item and standard relate to what was asked for, or why they will not do."""
    if item_id != need.item_id:
        if not need.accepts_substitutes or (item_id, need.item_id) not in rules.substitutes:
            return Refusal.SUBSTITUTE
        if need.standard_id is not None and (
            standard_id is None or (standard_id, need.standard_id) not in rules.satisfies
        ):
            return Refusal.STANDARD
        return Fit.SUBSTITUTE
    if need.standard_id is None:
        return Fit.UNSTATED if standard_id is None else Fit.EQUAL
    if standard_id == need.standard_id:
        return Fit.EQUAL
    if standard_id is not None and (standard_id, need.standard_id) in rules.satisfies:
        return Fit.EXCEEDS
    return Refusal.STANDARD


def can_wait(need: Need) -> bool:
    """Whether goods may wait for a need that is nearer than this one: never while it is urgent."""
    return need.urgency_rank >= ROUTINE


def reach_km(source: Source, now: dt.datetime, policy: PolicyValues) -> float:
    """How far goods go by now to a need that can wait: gifts wait for one nearby, all else goes anywhere at once."""
    if policy.gift_reach_km is None or not source.is_donation:
        return math.inf
    days = max(0.0, (now - (source.offered_at or source.confirmed_at)).total_seconds() / 86_400)
    return policy.gift_reach_km + policy.gift_reach_km_per_day * days


def km_between(a: Place, b: Place, distances: Distances | None = None) -> float | None:
    """Along the globe, unless it was measured; None where it is not known."""
    if distances is not None:
        return distances.km(a, b)
    if a.latitude is None or a.longitude is None or b.latitude is None or b.longitude is None:
        return None
    return distance_km((a.latitude, a.longitude), (b.latitude, b.longitude))


# The terms of a score, each between 0 and 1 and rounded, so that they are the same on every machine.


def _coverage(free: int, wanting: int) -> float:
    return round(min(1.0, free / wanting), 6) if wanting else 0.0


def _nearness(km: float | None, policy: PolicyValues) -> float:
    return 0.5 if km is None else round(1 / (1 + km / policy.half_distance_km), 6)


def timeliness(lead_time_days: int, needed_by: dt.datetime | None, policy: PolicyValues, now: dt.datetime) -> float:
    if needed_by is None:
        return round(1 / (1 + lead_time_days / 7), 6)
    late = lead_time_days - (needed_by - now).total_seconds() / 86_400
    return round(min(1.0, max(0.0, 1 - late / policy.lateness_days)), 6)


def age_days(source: Source, now: dt.datetime) -> float:
    return max(0.0, (now - source.confirmed_at).total_seconds() / 86_400)


def freshness(age_days: _Number, policy: PolicyValues) -> _Number:
    """Not rounded; of one age, or of each in an array."""
    left = 1 - age_days / policy.offer_fresh_days
    return (left + abs(left)) / 2  # at least 0, exactly


def record(kept: _Number, broken: _Number, policy: PolicyValues) -> _Number:
    """Not rounded; of one supplier, or of each in an array."""
    prior = policy.record_prior_matches
    return (kept + policy.record_prior_share * prior) / (kept + broken + prior)


def _freshness(source: Source, policy: PolicyValues, now: dt.datetime) -> float:
    return round(freshness(age_days(source, now), policy), 6)


def _record(source: Source, policy: PolicyValues) -> float:
    return round(record(source.kept, source.broken, policy), 6)


def cheapness(source: Source) -> float:
    if source.is_donation:
        return 1.0
    if source.unit_price is None or not source.reference_price:
        return 0.5
    return round(min(1.0, max(0.0, 1.5 - source.unit_price / source.reference_price)), 6)


def _told(fit: Fit, need: Need) -> str:
    return "stated" if fit is Fit.EQUAL and need.standard_id is None else fit.name.lower()


def minimum_useful_quantity(need: Need, policy: PolicyValues) -> int:
    """The smallest quantity that is worth a shipment."""
    return max(1, math.ceil(min(need.wanting, need.target) * policy.matter_share))


def score(
    need: Need,
    source: Source,
    fit: Fit,
    *,
    policy: PolicyValues,
    now: dt.datetime,
    distances: Distances | None = None,
) -> Candidate:
    """The weighted sum of the terms, each between 0 and 1, rounded so that it is the same on every machine.

    coverage   free ÷ wanting, at most 1
    distance   1 ÷ (1 + km ÷ half_distance); ½ where a place has no coordinates
    lead_time  1 if it arrives by needed_by, then falling to 0 over lateness_days; with no date 1 ÷ (1 + days ÷ 7)
    standard   the value of the fit
    freshness  1 when confirmed now, falling to 0 over offer_fresh_days
    record     (kept + prior share × prior) ÷ (kept + broken + prior): additive smoothing
    price      1 at half the reference price of its item or below, ½ at it, 0 from 1½ times; donations 1; ½ if not known
    """
    weights = policy.weights
    km = km_between(need.place, source.place, distances)
    usual = None if source.is_donation else source.reference_price
    relative = source.unit_price / usual if source.unit_price and usual else None
    terms = (
        Term("coverage", min(source.free, need.wanting), _coverage(source.free, need.wanting), weights["coverage"]),
        Term("distance", None if km is None else round(km), _nearness(km, policy), weights["distance"]),
        Term(
            "lead_time",
            source.lead_time_days,
            timeliness(source.lead_time_days, need.needed_by, policy, now),
            weights["lead_time"],
        ),
        Term("standard", _told(fit, need), fit.value, weights["standard"]),
        Term("freshness", round(age_days(source, now), 1), _freshness(source, policy, now), weights["freshness"]),
        Term("record", source.kept + source.broken, _record(source, policy), weights["record"]),
        Term(
            "price",
            "donation" if source.is_donation else None if relative is None else round(relative, 2),
            cheapness(source),
            weights["price"],
        ),
    )
    total = 0.0
    for term in terms:  # from left to right, as `rank` adds them; sum() is cleverer in some versions of Python
        total += term.score * term.weight
    return Candidate(source, round(total, 6), terms, fit is Fit.SUBSTITUTE)


class SourceTable:
    """The sources of one decision, with all that does not depend on the need worked out once for all needs."""

    def __init__(self, sources: Iterable[Source], *, policy: PolicyValues, now: dt.datetime) -> None:
        self.policy = policy
        self.now = now
        self.sources = list(sources)
        # Sources of the same place, of the same item and standard, of the same record get the same answer.
        places: dict[Place, int] = {}
        kinds: dict[tuple[int, int | None], int] = {}
        records: dict[tuple[int, int], float] = {}
        fresh, price = policy.weights["freshness"], policy.weights["price"]
        self.rows = []
        for source in self.sources:
            record = records.get((source.kept, source.broken))
            if record is None:
                record = _record(source, policy) * policy.weights["record"]
                records[source.kept, source.broken] = record
            self.rows.append(
                (
                    source.id,
                    source.organisation_id,
                    kinds.setdefault((source.item_id, source.standard_id), len(kinds)),
                    source.ships_to,
                    source.free,
                    source.free + sum(hold.quantity for hold in source.held) if source.held else source.free,
                    source.minimum_order,
                    places.setdefault(source.place, len(places)),
                    source.lead_time_days,
                    _freshness(source, policy, now) * fresh,
                    record,
                    cheapness(source) * price,
                    reach_km(source, now, policy),
                )
            )
        self.places = list(places)
        self.kinds = list(kinds)


class Candidates(Sequence[Candidate]):
    """The candidates of a need, best first. Reasons are worked out for those that are looked at: few of thousands.

    Not `whole`: there may be more, which come after these.
    """

    def __init__(
        self, need: Need, shelf: SourceTable, rules: Rules, order: Sequence[int], *, whole: bool = True
    ) -> None:
        self._need = need
        self._shelf = shelf
        self._rules = rules
        self._order = order
        self._whole = whole

    def __len__(self) -> int:
        return len(self._order)

    @overload
    def __getitem__(self, index: int) -> Candidate: ...

    @overload
    def __getitem__(self, index: slice) -> list[Candidate]: ...

    def __getitem__(self, index: int | slice) -> Candidate | list[Candidate]:
        if isinstance(index, slice):
            return [self._candidate(place) for place in self._order[index]]
        return self._candidate(self._order[index])

    def giving(self, index: int, quantity: int) -> Candidate:
        """The candidate with the reasons of a source that gives so much: more than is free, where others yield."""
        place = self._order[index]
        return self._candidate(place, replace(self._shelf.sources[place], free=quantity))

    def _candidate(self, place: int, source: Source | None = None) -> Candidate:
        source = source or self._shelf.sources[place]
        fit = fit_of(self._need, source.item_id, source.standard_id, self._rules)
        assert isinstance(fit, Fit), "what does not fit is no candidate"
        shelf = self._shelf
        return score(self._need, source, fit, policy=shelf.policy, now=shelf.now, distances=self._rules.distances)

    def sources(self) -> Iterator[Source]:
        """Their sources alone, best first: the same order without the reasons. Raises `BeyondRanking` to who wants more
        than are known.
        """
        yield from map(self._shelf.sources.__getitem__, self._order)
        if not self._whole:
            raise BeyondRanking


def rank(  # noqa: C901, PLR0915  one loop over every offer of an item: a call for each would cost more than all the rest
    need: Need,
    sources: Iterable[Source] | SourceTable | Shortlist,
    rules: Rules,
    *,
    policy: PolicyValues,
    now: dt.datetime,
) -> Ranked:
    """The sources that can serve a need, best first; ties go to the older offer (smaller id). Of a shortlist that is
    not whole, as many as are certain.

    The hard filters come first, cheapest first; stock counts what a higher tier could take over. Then the same sum as
    `score` makes, without its reasons: this loop runs over every offer of an item.
    """
    shortlist = sources if isinstance(sources, Shortlist) else None
    known = sources.sources if isinstance(sources, Shortlist) else sources
    shelf = known if isinstance(known, SourceTable) else SourceTable(known, policy=policy, now=now)
    weights = policy.weights
    fits = [fit_of(need, item_id, standard_id, rules) for item_id, standard_id in shelf.kinds]
    unfit = [fit if isinstance(fit, Refusal) else None for fit in fits]
    fitting = [0.0 if isinstance(fit, Refusal) else fit.value * weights["standard"] for fit in fits]
    near: list[float | None] = [None] * len(shelf.places)
    away: list[float | None] = []
    if can_wait(need) and policy.gift_reach_km is not None:
        away = [km_between(need.place, place, rules.distances) for place in shelf.places]
    timely: dict[int, float] = {}
    codes = {code for code in need.place.path.split("/") if code}
    matters = minimum_useful_quantity(need, policy)
    own, wanting, excluded = need.organisation_id, need.wanting, need.excluded
    coverage, whole = weights["coverage"], 1.0 * weights["coverage"]

    refused: dict[Refusal, int] = {}
    found: list[tuple[float, int, int]] = []
    for index, row in enumerate(shelf.rows):
        id_, organisation, kind, ships_to, free, available, minimum, place, lead, fresh, record, cheap, reach = row
        refusal = unfit[kind]
        if organisation == own:
            refusal = Refusal.OWN
        elif refusal is not None:
            pass
        elif ships_to and ships_to.isdisjoint(codes):
            refusal = Refusal.REGION
        elif id_ in excluded:
            refusal = Refusal.ASKED_BEFORE
        elif wanting < minimum:
            refusal = Refusal.MINIMUM
        elif available < matters or available < minimum:
            refusal = Refusal.STOCK
        elif away and reach < (away[place] or 0):  # where the way is not known, it is not too far
            refusal = Refusal.DISTANCE
        if refusal is not None:
            refused[refusal] = refused.get(refusal, 0) + 1
            continue

        close = near[place]
        if close is None:
            close = (
                _nearness(km_between(need.place, shelf.places[place], rules.distances), policy) * weights["distance"]
            )
            near[place] = close
        if lead not in timely:
            timely[lead] = timeliness(lead, need.needed_by, policy, now) * weights["lead_time"]
        covered = whole if free >= wanting > 0 else _coverage(free, wanting) * coverage
        total = covered + close + timely[lead] + fitting[kind] + fresh + record + cheap
        found.append((-round(total, 6), id_, index))
    found.sort()
    whole = shortlist is None or shortlist.whole
    # What this refuses, and the database did not, may be among the best of its list.
    certain = len(found) if shortlist is None or whole else max(0, shortlist.best - sum(refused.values()))
    order = array("L", [index for _total, _id, index in found[:certain]])
    return Ranked(Candidates(need, shelf, rules, order, whole=whole), refused)
