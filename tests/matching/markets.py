"""Small markets at random, and the books of a plan: for the property tests of matching."""

import datetime as dt
import random
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import reduce
from typing import TypeVar

import numpy as np
from hypothesis import strategies as st

from apps.matching.allocation.exceptions import REFUSED
from apps.matching.allocation.groups import Ints
from apps.matching.allocation.market import Market
from apps.matching.allocation.sequential import Plan
from apps.matching.scoring.eligibility import asked_before, checks
from apps.matching.scoring.facts import HeldFor, Location, Need, Rules, Source
from apps.matching.scoring.offer_sets import OfferBits, OfferSet
from apps.matching.scoring.precedence import effective_tier
from apps.policy.values import PolicyValues

NOW = dt.datetime(2020, 1, 30, 12, tzinfo=dt.UTC)
POLICY = PolicyValues()
PLACES = (
    Location("CN/110000/110102/", 39.913, 116.366),
    Location("CN/420000/420100/", 30.593, 114.305),
    Location("CN/420000/429004/", 30.362, 113.443),
    Location("CN/440000/440300/", 22.543, 114.058),
    Location("IT/IT-25/"),
)
# Standard 1 exceeds 2; item 1 may stand in for item 2.
RULES = Rules(satisfies=frozenset({(1, 1), (2, 2), (1, 2)}), substitutes=frozenset({(1, 2)}))

# What the lists of a need may name, by the attribute of a source that is looked up in them.
NAMED = {"id": range(1, 9), "organisation_id": range(103, 111)}

T = TypeVar("T")


class Dice:
    """Chance from a seed. Hypothesis draws the seed alone: drawing each fact takes it ten times as long as solving."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def number(self, low: int, high: int) -> int:
        """Any number of the range; one time in four one of its ends, or the number after the first."""
        ends = (low, min(low + 1, high), high)
        return self._chance.choice(ends) if self._chance.random() < 0.25 else self._chance.randint(low, high)

    def pick(self, choices: Sequence[T]) -> T:
        return self._chance.choice(choices)

    def some(self, choices: Sequence[T], *, most: int) -> list[T]:
        return self._chance.sample(choices, self._chance.randint(0, min(most, len(choices))))

    def yes(self) -> bool:
        return self._chance.random() < 0.5

    def price(self) -> float | None:
        return self._chance.uniform(0.01, 100) if self.yes() else None


dice = st.integers(min_value=0, max_value=2**32 - 1).map(Dice)
SHARED = OfferBits()


def needs(id_: int = 1) -> st.SearchStrategy[Need]:
    return dice.map(lambda chance: _need(chance, id_))


def sources(id_: int = 1) -> st.SearchStrategy[Source]:
    return dice.map(lambda chance: _source(chance, id_))


def _need(chance: Dice, id_: int) -> Need:
    wanting = chance.number(1, 3000)
    return Need(
        id=id_,
        organisation_id=chance.number(100, 104),
        item_id=chance.pick([1, 2]),
        target=wanting + chance.number(0, 1000),
        remaining=wanting,
        tier=chance.number(1, 4),
        urgency_rank=chance.number(0, 2),
        days_of_supply=chance.number(0, 30) if chance.yes() else None,
        waiting_since=_earlier(chance),
        needed_by=NOW + dt.timedelta(days=chance.number(-5, 40)) if chance.yes() else None,
        location=chance.pick(PLACES),
        standard_id=chance.pick([None, 1, 2]),
        accepts_substitutes=chance.yes(),
        excluded={check.reason: _named(chance, check.listed[0]) for check in checks() if check.listed},
    )


def _named(chance: Dice, attribute: str) -> Collection[int]:
    """At most two by name; or of offers also some in a list that needs share."""
    keys = NAMED[attribute]
    few = frozenset(chance.some(keys, most=2))
    if attribute != "id" or chance.yes():
        return few
    return OfferSet(few, SHARED.of(chance.some(keys, most=2)), SHARED)


def _source(chance: Dice, id_: int) -> Source:
    """Some have not answered needs that are not in the market, which may want more of them."""
    held = tuple(
        HeldFor(
            100 * id_ + place,
            need_id=900 + 10 * id_ + place,
            tier=chance.number(1, 4),
            quantity=chance.number(1, 3000),
            remaining=chance.number(1, 3000) if chance.yes() else 0,
        )
        for place in range(chance.number(0, 3))
    )
    return Source(
        id=id_,
        organisation_id=chance.number(103, 110),
        item_id=chance.pick([1, 1, 2]),
        free=chance.number(0, 5000),
        minimum_order=chance.pick([1, 1, 1, 50, 1000]),
        lead_time_days=chance.number(0, 30),
        location=chance.pick(PLACES),
        ships_to=chance.pick([frozenset(), frozenset({"CN"}), frozenset({"420000", "IT-25"})]),
        standard_id=chance.pick([None, 1, 2]),
        confirmed_at=_earlier(chance),
        unit_price=chance.price(),
        is_donation=chance.yes(),
        reference_price=chance.price(),
        kept=chance.number(0, 20),
        broken=chance.number(0, 20),
        held=held,
        offered_at=_earlier(chance) if chance.yes() else None,
    )


def _earlier(chance: Dice) -> dt.datetime:
    return NOW - dt.timedelta(hours=chance.number(0, 20 * 24))


@st.composite
def markets(draw: st.DrawFn) -> tuple[list[Need], list[Source]]:
    """Some sources have not answered needs that are in the market: those want the rest of others.

    A failing market shrinks to fewer needs and sources. All else follows from the seed.
    """
    wanted_count, offered_count = draw(st.integers(min_value=1, max_value=6)), draw(st.integers(0, 8))
    chance = draw(dice)
    wanted = [_need(chance, id_) for id_ in range(1, wanted_count + 1)]
    offered = [_source(chance, id_) for id_ in range(1, offered_count + 1)]
    pairs = [(need.id, source.id) for need in wanted for source in offered]
    asked = {pair: chance.number(1, 3000) for pair in chance.some(pairs, most=4)}
    return (
        [reduce(asked_before, (offer for id_, offer in asked if id_ == need.id), need) for need in wanted],
        [
            replace(
                source,
                held=(
                    *source.held,
                    *(
                        HeldFor(100 * source.id + 10 + need.id, need.id, tier_of(need), quantity, need.remaining)
                        for need in wanted
                        if (quantity := asked.get((need.id, source.id)))
                    ),
                ),
            )
            for source in offered
        ],
    )


def tier_of(need: Need) -> int:
    return effective_tier(need.tier, need.waiting_since, NOW, POLICY)


def every_score(market: Market, rows: Ints | None = None, columns: Ints | None = None) -> Ints:
    """The scores of all pairs, or of some, beside each other."""
    found = np.full((len(market.needs), len(market.sources)), REFUSED, dtype=np.int64)
    for some, others, scores in market.blocks(rows, columns):
        found[np.ix_(some, others)] = scores
    return found


class Books:
    """A plan added up: what each need got of each source, and what each source has left."""

    def __init__(self, plan: Plan, offers: list[Source]) -> None:
        self.given: dict[tuple[int, int], int] = defaultdict(int)
        self._got: Counter[int] = Counter()
        for hold in plan.holds:
            self.given[hold.need_id, hold.candidate.source.id] += hold.quantity
            self._got[hold.need_id] += hold.quantity
        self._yielding = set(plan.yielding)
        yielded = {
            source.id: sum(held.quantity for held in source.held if held.match_id in self._yielding)
            for source in offers
        }
        self.left = {
            source.id: source.free
            + yielded[source.id]
            - sum(quantity for (_need, offer), quantity in self.given.items() if offer == source.id)
            for source in offers
        }

    def got(self, need: Need) -> int:
        return self._got[need.id]

    def wanted_above(self, source: Source, tier: int) -> int:
        """What higher tiers still want besides what the source has not answered them yet."""
        return sum(
            held.remaining - self._got[held.need_id]
            for held in source.held
            if held.tier < tier and held.match_id not in self._yielding
        )


def usable(need: Need, source: Source, available: int, short: int, already: int) -> bool:
    """Whether `available` of the source would help a need that is `short`: its minimum order, and enough to matter."""
    quantity = min(short, available)
    matters = max(1, -(-need.remaining * POLICY.matter_share // 1))
    return (
        quantity > 0
        and quantity + already >= source.minimum_order
        and quantity + already >= min(matters, short + already)
    )
