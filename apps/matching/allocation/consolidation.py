"""Shipment consolidation: what a shipment costs, and plans with fewer of them. Pure."""

import numpy as np

from apps.matching.allocation.arcs import Arcs
from apps.matching.allocation.greedy import Assignment
from apps.matching.allocation.groups import Floats, Ints
from apps.matching.allocation.market import THOUSAND, Market
from apps.matching.allocation.priority import PriorityLevels


def shipment_costs(market: Market) -> Floats:
    """What a shipment to each need costs, in units × thousandths of a score, shape (n_needs,)."""
    policy = market.policy
    return THOUSAND * (policy.shipment_weight * market.remaining.astype(np.float64) + policy.shipment_units)


def use_one_source(row: int, assignment: Assignment, cost: float) -> None:
    """Let one source of a need send all of it, where the saved shipments, at `cost` each, outweigh the lost score."""
    own, needed = assignment.loads[row], int(assignment.assigned[row])
    # A source can send everything if what it has left covers what the others send now. Its load only grows, so it stays
    # above its minimum order.
    able = [column for column, load in own.items() if assignment.residual[column] >= needed - load.units]
    if not able:
        return
    best = max(able, key=lambda column: (own[column].score, -column))
    score, saved = own[best].score, cost * (len(own) - 1)
    if score * needed <= sum(load.units * load.score for load in own.values()) - saved:
        return
    # A copy, because `remove` takes entries out of the mapping.
    for column in list(own):
        assignment.remove(row, column)
    assignment.add(row, best, needed, score)


def consolidate_shipments(
    market: Market, levels: PriorityLevels, arcs: Arcs, assignment: Assignment, cost: Floats
) -> bool:
    """Let a source send to one need what it sends to several, where that saves more than it costs in value.

    `cost` (n_needs,) is that of a shipment to each need. No priority level is served less for the sake of a later one.
    The assignment is changed in place; returns whether it was.
    """
    if not cost.any():
        return False
    rows_of: dict[int, list[int]] = {}
    for row in sorted(assignment.loads):
        for column in assignment.loads[row]:
            rows_of.setdefault(column, []).append(row)
    # Sources with the most shipments come first, because they can save most; the index decides ties.
    several = sorted((column for column, rows in rows_of.items() if len(rows) > 1), key=lambda c: (-len(rows_of[c]), c))
    # Arcs are sorted by need. In this order the arcs of one source are one slice.
    by_column = np.argsort(arcs.column, kind="stable")
    begin = np.searchsorted(arcs.column[by_column], several)
    end = np.searchsorted(arcs.column[by_column], several, side="right")
    changed = False
    for column, first, last in zip(several, begin.tolist(), end.tolist(), strict=True):
        pairs = by_column[first:last]
        changed |= _send_to_one_need(market, levels, column, arcs.row[pairs], arcs.score[pairs], cost, assignment)
    return changed


def _send_to_one_need(
    market: Market,
    levels: PriorityLevels,
    column: int,
    rows: Ints,
    scores: Ints,
    cost: Floats,
    assignment: Assignment,
) -> bool:
    """Consolidate the shipments of one source. `rows` are all needs with an arc from it, `scores` those of the arcs."""
    sent = np.array([assignment.units(row, column) for row in rows.tolist()], dtype=np.int64)
    units = int(sent.sum())
    # What each need gets of other sources, and what it would lack without this one.
    without = assignment.assigned[rows] - sent
    short = market.remaining[rows] - without
    able = (short >= units) & (units >= np.minimum(market.minimum_useful[rows], short))
    if not able.any():
        return False
    # Both sides are measured against giving the goods to nobody: `gain` for each need that might take all of them,
    # `present` for those that share them now.
    base = levels.values_of(rows, without)
    gain = levels.values_of(rows, np.minimum(without + units, market.remaining[rows])) - base
    gain += units * scores - cost[rows]
    is_sent = sent > 0
    present = levels.values_of(rows, assignment.assigned[rows]) - base + sent * scores - cost[rows]
    gain[~able] = -np.inf
    best = int(gain.argmax())
    if gain[best] <= present[is_sent].sum():
        return False
    # A larger value could hide a loss on an early level that many later units make up for.
    after = assignment.assigned.copy()
    after[rows] = without
    after[rows[best]] += units
    if levels.units_by_level(after) < levels.units_by_level(assignment.assigned):
        return False
    for row in rows[is_sent].tolist():
        assignment.remove(row, column)
    assignment.add(int(rows[best]), column, units, int(scores[best]))
    return True
