"""What a decision knows of needs and offers, and the numbers that terms and checks read of it. Pure.

All quantities are in the item's base unit, distances in kilometres, times in UTC. `now` is an argument.

A *fact* is a number with a name. `NEED` and `SOURCE` say how to read it of one need and of one source; `PAIR` names
those that say how the two relate. A formula of `terms` or `eligibility` is given each fact that it names as a
parameter: as a number, or as an array for many needs and sources. NaN stands for what is not known.
"""

import datetime as dt
import inspect
import math
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Protocol

from apps.matching.scoring.either import Either
from apps.policy.values import PolicyValues

if TYPE_CHECKING:  # numpy stays out of what does without it
    import numpy as np
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float64]


class Fit(Enum):
    """How the goods relate to what was asked for. The values are the scores of the standard term."""

    EQUAL = 1.0  # the very standard, or none asked for and one stated
    EXCEEDS = 0.9
    UNSTATED = 0.7  # no standard asked for, none stated
    SUBSTITUTE = 0.4  # another item, which the requester accepts


@dataclass(frozen=True, slots=True)
class Location:
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
    remaining: int  # asked for, not held and not accepted
    tier: int  # 1 is served first; before ageing
    urgency_rank: int  # 0 is most urgent
    days_of_supply: int | None
    waiting_since: dt.datetime
    needed_by: dt.datetime | None
    location: Location
    standard_id: int | None = None
    accepts_substitutes: bool = False
    # Who is out of the question: ids, by the reason of the check that looks them up.
    excluded: Mapping[str, Collection[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Source:
    """A published offer as the decision sees it."""

    id: int
    organisation_id: int
    item_id: int
    free: int  # offered less reserved
    minimum_order: int
    lead_time_days: int
    location: Location
    ships_to: frozenset[str]  # region codes; empty: anywhere
    standard_id: int | None
    confirmed_at: dt.datetime
    unit_price: float | None = None
    is_donation: bool = False
    kept: int = 0  # matches that this supplier accepted (`models.KEPT`)
    broken: int = 0  # matches on which it failed (`models.BROKEN`)
    reference_price: float | None = None  # what a unit of its item usually costs, as last taken
    held: tuple["HeldFor", ...] = ()  # unanswered holds on it, which a higher tier may take over
    offered_at: dt.datetime | None = None  # since when it is on offer; None: since it was confirmed

    @property
    def available(self) -> int:
        """What is free, and what a higher tier could take over."""
        return self.free + sum(hold.quantity for hold in self.held) if self.held else self.free


@dataclass(frozen=True, slots=True)
class HeldFor:
    """An unanswered hold: whose it is and how much."""

    match_id: int
    need_id: int
    tier: int  # effective, of the need that holds
    quantity: int
    remaining: int = 0  # what that need still wants besides


class Distances(Protocol):
    """Kilometres between locations that were measured, where coordinates are not to be had."""

    def km(self, a: Location, b: Location) -> float | None:
        """None where it is not known."""

    def table(self, here: Sequence[Location], there: Sequence[Location]) -> Any:
        """An array of `here` × `there`; NaN where it is not known."""


@dataclass(frozen=True)
class Rules:
    """The relations between standards, between items and between locations, as data."""

    satisfies: frozenset[tuple[int, int]] = frozenset()  # (offered standard, demanded standard)
    substitutes: frozenset[tuple[int, int]] = frozenset()  # (offered item, demanded item)
    distances: Distances | None = None  # None: along the globe

    def offered_for(self, item_id: int, *, accepts_substitutes: bool) -> frozenset[int]:
        """The items whose offers may serve a need for this one: itself, and what stands in for it where that is
        accepted.
        """
        if not accepts_substitutes:
            return frozenset({item_id})
        return frozenset({item_id, *(offered for offered, demanded in self.substitutes if demanded == item_id)})


def region_codes(location: Location) -> frozenset[str]:
    """The region and all that it lies in."""
    return frozenset(code for code in location.path.split("/") if code)


def days_between(earlier: dt.datetime, later: dt.datetime) -> float:
    return (later - earlier).total_seconds() / 86_400


def known(value: float | None) -> float:
    """NaN for None."""
    return math.nan if value is None else value


def minimum_useful_quantity(need: Need, policy: PolicyValues) -> int:
    """The smallest quantity that is worth a shipment to a need."""
    return max(1, math.ceil(min(need.remaining, need.target) * policy.matter_share))


def reach_km(source: Source, now: dt.datetime, policy: PolicyValues) -> float:
    """How far goods go by now to a need that can wait: gifts wait for one nearby, all else goes anywhere at once."""
    if policy.gift_reach_km is None or not source.is_donation:
        return math.inf
    days = max(0.0, days_between(source.offered_at or source.confirmed_at, now))
    return policy.gift_reach_km + policy.gift_reach_km_per_day * days


@dataclass(frozen=True, slots=True)
class SourceFact:
    """How a number is read of a source, at a time and under a policy.

    `steady` facts change only when the supplier edits the offer, or when statistics are counted anew: what is made of
    them can be kept in the offer index. What changes with each hold or with the clock is not steady.
    """

    read: Callable[[Source, dt.datetime, PolicyValues], float]
    steady: bool = True


NEED: Final[dict[str, Callable[[Need, dt.datetime, PolicyValues], float]]] = {
    "remaining": lambda need, _now, _policy: need.remaining,
    "minimum_useful": lambda need, _now, policy: minimum_useful_quantity(need, policy),
    "urgency_rank": lambda need, _now, _policy: need.urgency_rank,
    "days_left": lambda need, now, _policy: math.nan if need.needed_by is None else days_between(now, need.needed_by),
}

SOURCE: Final[dict[str, SourceFact]] = {
    "source_id": SourceFact(lambda source, _now, _policy: source.id),
    "free": SourceFact(lambda source, _now, _policy: source.free, steady=False),
    "available": SourceFact(lambda source, _now, _policy: source.available, steady=False),
    "minimum_order": SourceFact(lambda source, _now, _policy: source.minimum_order),
    "lead_time_days": SourceFact(lambda source, _now, _policy: source.lead_time_days),
    "age_days": SourceFact(lambda source, now, _policy: max(0.0, days_between(source.confirmed_at, now)), steady=False),
    "reach_km": SourceFact(reach_km, steady=False),
    "kept": SourceFact(lambda source, _now, _policy: source.kept),
    "broken": SourceFact(lambda source, _now, _policy: source.broken),
    "unit_price": SourceFact(lambda source, _now, _policy: known(source.unit_price)),
    "reference_price": SourceFact(lambda source, _now, _policy: source.reference_price or math.nan),
    "is_donation": SourceFact(lambda source, _now, _policy: source.is_donation),
}

# How a need and a source relate. `fit` is the value of their `Fit`, NaN where there is none. `accepted` is whether the
# item will do, `meets` whether its standard does; `ships_here` is whether the supplier ships to the need.
PAIR: Final = frozenset({"fit", "accepted", "meets", "ships_here", "km"})


def facts_read(formula: Callable[..., Either]) -> tuple[str, ...]:
    """The facts that a formula names as parameters, all but the policy. A `ValueError` for a name that is no fact."""
    names = tuple(name for name in inspect.signature(formula).parameters if name != "policy")
    if unknown := [name for name in names if not (name in NEED or name in SOURCE or name in PAIR)]:
        raise ValueError(f"{formula.__name__} reads {', '.join(unknown)}: no such fact")
    return names


def of_need(names: Iterable[str], need: Need, now: dt.datetime, policy: PolicyValues) -> dict[str, float]:
    """The facts among `names` that a need decides, as numbers by name."""
    return {name: NEED[name](need, now, policy) for name in names if name in NEED}


def of_source(names: Iterable[str], source: Source, now: dt.datetime, policy: PolicyValues) -> dict[str, float]:
    """The facts among `names` that a source decides, as numbers by name."""
    return {name: SOURCE[name].read(source, now, policy) for name in names if name in SOURCE}


def of_needs(
    names: Iterable[str], needs: Collection[Need], now: dt.datetime, policy: PolicyValues
) -> dict[str, "Floats"]:
    """The facts among `names` that needs decide, each as an array of shape (n_needs,)."""
    readers = {name: NEED[name] for name in names if name in NEED}
    return {name: _column([read(need, now, policy) for need in needs]) for name, read in readers.items()}


def of_sources(
    names: Iterable[str], sources: Collection[Source], now: dt.datetime, policy: PolicyValues
) -> dict[str, "Floats"]:
    """The facts among `names` that sources decide, each as an array of shape (n_sources,)."""
    readers = {name: SOURCE[name].read for name in names if name in SOURCE}
    return {name: _column([read(source, now, policy) for source in sources]) for name, read in readers.items()}


def ships_here(ships_to: frozenset[str], codes: frozenset[str]) -> bool:
    """Whether what ships to these regions (none: anywhere) ships to one of these `region_codes`."""
    return not ships_to or not ships_to.isdisjoint(codes)


def classify(keys: Iterable[Hashable]) -> tuple["Ints", "Ints"]:
    """Number equal keys alike, in the order of their first occurrence.

    Returns the index of the first of each class, and the class number of each key.
    """
    import numpy as np

    # `map` and `fromiter` avoid a Python loop: this runs for each fact of thousands of needs and sources.
    number: defaultdict[Hashable, int] = defaultdict(count().__next__)
    kind = np.fromiter(map(number.__getitem__, keys), dtype=np.int64)
    # New numbers only grow, so each class begins where the highest number so far reaches its own.
    return np.searchsorted(np.maximum.accumulate(kind), np.arange(len(number))), kind


def _column(values: list[float]) -> "Floats":
    import numpy as np

    return np.array(values, dtype=np.float64)
