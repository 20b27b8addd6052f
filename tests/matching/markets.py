"""Small markets at random, and the books of a plan: for the property tests of matching."""

import datetime as dt
from collections import Counter, defaultdict
from dataclasses import replace
from functools import reduce

import numpy as np
from hypothesis import strategies as st

from apps.matching.allocation.groups import Ints
from apps.matching.allocation.market import REFUSED, Market
from apps.matching.allocation.sequential import Plan
from apps.matching.scoring.eligibility import Reason, asked_before
from apps.matching.scoring.facts import HeldFor, Location, Need, Rules, Source
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

tiers = st.integers(min_value=1, max_value=4)
quantities = st.integers(min_value=1, max_value=3000)
ages = st.integers(min_value=0, max_value=20 * 24)


@st.composite
def needs(draw: st.DrawFn, id_: int = 1) -> Need:
    wanting = draw(quantities)
    due = draw(st.none() | st.integers(min_value=-5, max_value=40))
    return Need(
        id=id_,
        organisation_id=draw(st.integers(min_value=100, max_value=104)),
        item_id=draw(st.sampled_from([1, 2])),
        target=wanting + draw(st.integers(min_value=0, max_value=1000)),
        remaining=wanting,
        tier=draw(tiers),
        urgency_rank=draw(st.integers(min_value=0, max_value=2)),
        days_of_supply=draw(st.none() | st.integers(min_value=0, max_value=30)),
        waiting_since=NOW - dt.timedelta(hours=draw(ages)),
        needed_by=None if due is None else NOW + dt.timedelta(days=due),
        location=draw(st.sampled_from(PLACES)),
        standard_id=draw(st.sampled_from([None, 1, 2])),
        accepts_substitutes=draw(st.booleans()),
        excluded={Reason.ASKED_BEFORE: draw(st.frozensets(st.integers(min_value=1, max_value=8), max_size=2))},
    )


@st.composite
def sources(draw: st.DrawFn, id_: int = 1) -> Source:
    """Some have not answered needs that are not in the market, which may want more of them."""
    held = tuple(
        HeldFor(100 * id_ + place, need_id=900 + 10 * id_ + place, tier=tier, quantity=quantity, remaining=wanting)
        for place, (tier, quantity, wanting) in enumerate(
            draw(st.lists(st.tuples(tiers, quantities, st.just(0) | quantities), max_size=3))
        )
    )
    return Source(
        id=id_,
        organisation_id=draw(st.integers(min_value=103, max_value=110)),
        item_id=draw(st.sampled_from([1, 1, 2])),
        free=draw(st.integers(min_value=0, max_value=5000)),
        minimum_order=draw(st.sampled_from([1, 1, 1, 50, 1000])),
        lead_time_days=draw(st.integers(min_value=0, max_value=30)),
        location=draw(st.sampled_from(PLACES)),
        ships_to=draw(st.sampled_from([frozenset(), frozenset({"CN"}), frozenset({"420000", "IT-25"})])),
        standard_id=draw(st.sampled_from([None, 1, 2])),
        confirmed_at=NOW - dt.timedelta(hours=draw(ages)),
        unit_price=draw(st.none() | st.floats(min_value=0.01, max_value=100)),
        is_donation=draw(st.booleans()),
        reference_price=draw(st.none() | st.floats(min_value=0.01, max_value=100)),
        kept=draw(st.integers(min_value=0, max_value=20)),
        broken=draw(st.integers(min_value=0, max_value=20)),
        held=held,
        offered_at=draw(st.none() | ages.map(lambda hours: NOW - dt.timedelta(hours=hours))),
    )


@st.composite
def markets(draw: st.DrawFn) -> tuple[list[Need], list[Source]]:
    """Some sources have not answered needs that are in the market: those want the rest of others."""
    wanted = [draw(needs(id_)) for id_ in range(1, draw(st.integers(min_value=1, max_value=6)) + 1)]
    offered = [draw(sources(id_)) for id_ in range(1, draw(st.integers(min_value=0, max_value=8)) + 1)]
    pairs = [(need.id, source.id) for need in wanted for source in offered]
    asked = draw(st.dictionaries(st.sampled_from(pairs), quantities, max_size=4)) if pairs else {}
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
