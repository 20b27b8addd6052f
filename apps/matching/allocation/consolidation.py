"""Few shipments: what a parcel costs, and sources that send one where they would have sent several. Pure."""

import numpy as np

from apps.matching.allocation.arcs import Arcs
from apps.matching.allocation.greedy import Assignment
from apps.matching.allocation.groups import Floats, Ints
from apps.matching.allocation.market import THOUSAND, Market
from apps.matching.allocation.priority import PriorityLevels


def charge(market: Market) -> Floats:
    """What a shipment costs each need, in thousandths of a score."""
    policy = market.policy
    return THOUSAND * (policy.shipment_weight * market.wanting.astype(np.float64) + policy.shipment_units)


def consolidate_shipments(market: Market, ladder: PriorityLevels, arcs: Arcs, given: Assignment, cost: Floats) -> bool:
    """Let a source send to one need all that it would send to several, where that is worth the saved shipments and no
    level is served less for a later one. `cost` is that of a shipment to each need. True when something was changed.
    """
    if not cost.any():
        return False
    rows_of: dict[int, list[int]] = {}
    for row in sorted(given.parts):
        for column in given.parts[row]:
            rows_of.setdefault(column, []).append(row)
    several = sorted((column for column, rows in rows_of.items() if len(rows) > 1), key=lambda c: (-len(rows_of[c]), c))
    by_column = np.argsort(arcs.column, kind="stable")
    begin = np.searchsorted(arcs.column[by_column], several)
    end = np.searchsorted(arcs.column[by_column], several, side="right")
    changed = False
    for column, first, last in zip(several, begin.tolist(), end.tolist(), strict=True):
        pairs = by_column[first:last]
        changed |= _to_one(market, ladder, column, arcs.row[pairs], arcs.score[pairs], cost, given)
    return changed


def _to_one(
    market: Market, ladder: PriorityLevels, column: int, rows: Ints, scores: Ints, cost: Floats, given: Assignment
) -> bool:
    """`rows` are all needs that the source could serve, with their scores."""
    mine = np.array([given.units(row, column) for row in rows.tolist()], dtype=np.int64)
    units = int(mine.sum())
    without = given.got[rows] - mine
    wanted = market.wanting[rows] - without
    able = (wanted >= units) & (units >= np.minimum(market.least[rows], wanted))
    if not able.any():
        return False
    base = ladder.worths(rows, without)
    gain = ladder.worths(rows, np.minimum(without + units, market.wanting[rows])) - base
    gain += units * scores - cost[rows]
    sent = mine > 0
    now = (ladder.worths(rows, given.got[rows]) - base + mine * scores - cost[rows])[sent].sum()
    gain[~able] = -np.inf
    best = int(gain.argmax())
    if gain[best] <= now:
        return False
    after = given.got.copy()
    after[rows] = without
    after[rows[best]] += units
    if ladder.levels(after) < ladder.levels(given.got):
        return False
    for row, part in zip(rows[sent].tolist(), mine[sent].tolist(), strict=True):
        given.give(row, column, -part, 0)
        del given.parts[row][column]
    given.give(int(rows[best]), column, units, int(scores[best]))
    return True
