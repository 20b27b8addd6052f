"""Make a plan of a flow: whole minimum orders, few shipments, nothing left lying that somebody can use, and no change
that is not worth one. Pure.
"""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from apps.matching.allocation.arcs import Arcs
from apps.matching.allocation.consolidation import charge, consolidate_shipments
from apps.matching.allocation.flow import solve, total
from apps.matching.allocation.greedy import Assignment, greedy
from apps.matching.allocation.groups import Floats, Ints
from apps.matching.allocation.market import THOUSAND, Market
from apps.matching.allocation.priority import PriorityLevels

_REPAIRS: Final = 6
_SMOOTHINGS: Final = 2
_SMOOTH: Final = 200_000  # arcs, up to which that is done


def repair_rounding(
    market: Market, ladder: PriorityLevels, arcs: Arcs, quantity: Ints, expired: Callable[[], bool]
) -> tuple[Assignment, int]:
    """Make a plan of the flow: nothing below a minimum order, few shipments, nothing left lying that somebody can use.

    Arcs that carry less than an eighth of the minimum order go, the others must carry it from now on if it fits, and
    it is solved again. Shipments cost by slope scaling: each arc is charged, per unit, what a shipment costs divided
    by what it carried last time (D. Kim, P. Pardalos, Operations Research Letters 24, 1999).
    """
    cost_of = charge(market)
    carried = np.minimum(market.free[arcs.column], market.wanting[arcs.row])
    least = np.zeros(len(arcs), dtype=np.int64)
    best = _finish(market, ladder, arcs, quantity, cost_of)
    smoothings = _SMOOTHINGS if cost_of.any() and len(arcs) <= _SMOOTH else 0
    repairs = 0
    for turn in range(_REPAIRS):
        violates = (quantity > 0) & (quantity < market.minimum[arcs.column])
        if (not violates.any() and turn >= smoothings) or expired():
            break
        repairs += bool(violates.any())
        least = _rounded_up(market, ladder, arcs, quantity, least)
        stays = ~violates | (least > 0)
        carried = np.where(quantity > 0, quantity, carried)[stays]
        arcs, least = arcs.only(stays), least[stays]
        cost = np.minimum(THOUSAND, cost_of[arcs.row] / carried).astype(np.int64) if smoothings else None
        quantity = solve(market, arcs, ladder, cost=cost, least=least)
        plan = _finish(market, ladder, arcs, quantity, cost_of)
        if merit(market, ladder, plan) > merit(market, ladder, best):
            best = plan
    return best, repairs


def _rounded_up(market: Market, ladder: PriorityLevels, arcs: Arcs, quantity: Ints, least: Ints) -> Ints:
    """What each arc must carry: the minimum order, where it carries an eighth of it or more and it fits; the higher
    tiers and the fuller arcs first.
    """
    least = least.copy()
    free = market.free - total(arcs.column, least, len(market.sources))
    wanting = market.wanting - total(arcs.row, least, len(market.needs))
    minimum = market.minimum[arcs.column]
    close = np.flatnonzero((quantity < minimum) & (8 * quantity >= minimum))
    order = np.lexsort((close, -quantity[close] / minimum[close], ladder.tier[arcs.row[close]]))
    for place in close[order].tolist():
        row, column, units = arcs.row[place], arcs.column[place], minimum[place]
        if units <= free[column] and units <= wanting[row]:
            least[place] = units
            free[column] -= units
            wanting[row] -= units
    return least


def _finish(market: Market, ladder: PriorityLevels, arcs: Arcs, quantity: Ints, cost: Floats) -> Assignment:
    """Drop what is below a minimum order or too little to matter, and give what is free then, one after the other."""
    got = total(arcs.row, quantity, len(market.needs))
    trifle = (quantity < market.least[arcs.row]) & (got[arcs.row] < market.wanting[arcs.row])
    fine = np.where((quantity < market.minimum[arcs.column]) | trifle, 0, quantity)
    given = greedy(market, ladder.cap, Assignment.of(market, arcs, fine))
    for row in [row for row, parts in given.parts.items() if len(parts) > 1]:
        _ship_together(row, given, float(cost[row]))
    if consolidate_shipments(market, ladder, arcs, given, cost):
        return greedy(market, ladder.cap, given)
    return given


def gently(
    market: Market, ladder: PriorityLevels, best: Assignment, present: Mapping[tuple[int, int], int]
) -> Assignment:
    """The best plan with as few changes as are worth it to those who were asked already."""
    policy = market.policy
    pairs = sorted(
        (market.row[need], market.column[source], units)
        for (need, source), units in present.items()
        if need in market.row and source in market.column
    )
    row, column, units = np.array(pairs, dtype=np.int64).reshape(-1, 3).T
    asked = Arcs.at(market, row, column)
    quantity = dict(zip(zip(row.tolist(), column.tolist(), strict=True), units.tolist(), strict=True))
    here, after = Assignment.nothing(market), Assignment.nothing(market)
    for pair in zip(asked.row.tolist(), asked.column.tolist(), asked.score.tolist(), strict=True):
        now, then = quantity[pair[:2]], best.units(*pair[:2])
        here.give(*pair[:2], now, pair[2])
        if abs(now - then) <= policy.stay_share * max(now, then):
            after.give(*pair[:2], now, pair[2])
    # What the others were to get, as far as it is still there.
    for place in np.lexsort((np.arange(len(market)), ladder.tier)).tolist():
        for other, part in sorted(best.parts.get(place, {}).items()):
            room = min(part.units, int(market.wanting[place] - after.got[place]), int(after.left[other]))
            if not after.units(place, other) and room >= market.minimum[other]:
                after.give(place, other, room, part.score)
    after = greedy(market, ladder.cap, after)
    here = greedy(market, ladder.cap, here)
    tiers, worth = merit(market, ladder, here)
    return after if merit(market, ladder, after) > (tiers, worth * (1 + policy.stay_margin)) else here


def _ship_together(row: int, given: Assignment, cost: float) -> None:
    """Let one of the sources of a need send all of it, where that is worth the saved shipments at so much each."""
    parts, all_of_it = given.parts[row], int(given.got[row])
    able = [column for column, part in parts.items() if given.left[column] >= all_of_it - part.units]
    if not able:
        return
    best = max(able, key=lambda column: (parts[column].score, -column))
    score, saved = parts[best].score, cost * (len(parts) - 1)
    if score * all_of_it <= sum(part.units * part.score for part in parts.values()) - saved:
        return
    for column, part in list(parts.items()):
        given.give(row, column, -part.units, part.score)
    parts.clear()
    given.give(row, best, all_of_it, score)


def merit(market: Market, ladder: PriorityLevels, given: Assignment) -> tuple[tuple[int, ...], float]:
    """What is compared: units served by tier, then the value less what shipments cost."""
    cost = charge(market)
    shipping = sum(len(parts) * float(cost[row]) for row, parts in given.parts.items())
    tiers = tuple(units for _tier, units in sorted(ladder.tiers(given.got).items()))
    return tiers, ladder.worth(given.got) + given.score - shipping
