"""Column generation: dual prices of a flow, the bound that they certify, and the missing arcs that they ask for. Pure.

Solving over few arcs and adding those of positive reduced profit until there is none is the method of L. Ford and
D. Fulkerson (Management Science 5, 1958), P. Gilmore and R. Gomory (Operations Research 9, 1961) and G. Dantzig and
P. Wolfe (Operations Research 8, 1960).
"""

from dataclasses import dataclass

import numpy as np

from apps.matching.allocation.arcs import Arcs
from apps.matching.allocation.exceptions import REFUSED, Scores
from apps.matching.allocation.flow import sum_by_index
from apps.matching.allocation.groups import Ints
from apps.matching.allocation.market import Market
from apps.matching.allocation.priority import PriorityLevels

_MINUS_INFINITY = -(1 << 62)  # far enough from the end of 64 bits that adding a score cannot overflow


@dataclass(frozen=True)
class Duals:
    """What one more unit is worth, in thousandths: at each source, and at each need before the score of the arc."""

    source: Ints  # (n_sources,)
    need: Ints  # (n_needs,)


def dual_prices(market: Market, arcs: Arcs, levels: PriorityLevels, quantity: Ints, *, max_rounds: int = 500) -> Duals:
    """The duals of an optimal flow (`quantity`, shape (n_arcs,)) as longest paths in its residual graph.

    The solver does not return duals. This is Bellman–Ford on arrays: values pass along the arcs until nothing changes.
    Stopping after `max_rounds` only loosens the bound, because any prices give a valid one.
    """
    assigned = sum_by_index(arcs.row, quantity, len(market.needs))
    unfilled = levels.filled(assigned) < levels.capacity
    # One more unit at a need is worth the weight of its best segment that is not full.
    base = np.full(len(market.needs), _MINUS_INFINITY)
    np.maximum.at(base, levels.row[unfilled], levels.weight[unfilled])

    # `reduceat` takes the maximum of each run of equal indexes, so arcs are sorted once by source and once by need.
    by_column = np.argsort(arcs.column, kind="stable")
    columns, first_of_column = np.unique(arcs.column[by_column], return_index=True)
    row_there, score_there = arcs.row[by_column], arcs.score[by_column]
    used = np.flatnonzero(quantity)
    used = used[np.argsort(arcs.row[used], kind="stable")]
    rows, first_of_row = np.unique(arcs.row[used], return_index=True)
    column_used, score_used = arcs.column[used], arcs.score[used]

    # A source starts at 0: a unit that nobody gets is worth nothing. Prices only rise from there.
    need, source = base.copy(), np.zeros(len(market.sources), dtype=np.int64)
    for turn in range(max_rounds if len(arcs) else 0):
        # Forwards: one more unit at a source goes to the need where it is worth most.
        best = np.maximum.reduceat(need[row_there] + score_there, first_of_column)
        updated = source.copy()
        updated[columns] = np.maximum(source[columns], best)
        if len(used):
            # Backwards: one more unit at a need sets free a unit of a source that serves it now.
            freed = np.maximum.reduceat(updated[column_used] - score_used, first_of_row)
            need[rows] = np.maximum(base[rows], freed)
        # Not after the first turn: what went backwards in it may raise sources in the second.
        if turn and (updated == source).all():
            break
        source = updated
    return Duals(source, need)


def price_out(market: Market, levels: PriorityLevels, duals: Duals, *, per_need: int) -> tuple[float, Arcs]:
    """An upper bound on the value of any plan over all pairs, and the arcs of the largest positive reduced profit.

    Up to `per_need` arcs of each need are returned, and about as many of each source. The bound is weak duality: for
    any source prices ≥ 0, free stock at its price, plus the worth of each segment of a need beyond its cheapest source.
    """
    cheapest = np.full(len(market.needs), float(_MINUS_INFINITY))
    parts: list[Arcs] = []
    best = _BestNeeds(len(market.sources))
    seen = 0
    for rows, columns, scores in market.blocks():
        profit = scores - duals.source[columns]
        profit[scores == REFUSED] = _MINUS_INFINITY
        # A block has every compatible source of its needs, so the maximum of a row is that of the need.
        cheapest[rows] = profit.max(axis=1)
        profit += duals.need[rows, None]
        hopeful = np.flatnonzero(cheapest[rows] + duals.need[rows] > 0)
        if len(hopeful):
            row, column = _most_profitable(profit[hopeful], per_need)
            parts.append(Arcs.of_block(rows, columns, scores, hopeful[row], column))
            best.update(profit, rows, columns, scores)
        seen += len(rows)
        # One arc for each source after every 1/`per_need` of the needs makes about `per_need` arcs for each source.
        if seen * per_need >= len(market):
            parts.append(best.take())
            seen = 0
    parts.append(best.take())
    # A need takes a segment only where its weight exceeds what the cheapest source charges beyond its score.
    gains = np.maximum(0.0, levels.weight + cheapest[levels.row])
    bound = float(market.free @ duals.source.astype(np.float64)) + float(gains @ levels.capacity)
    return bound, Arcs.union(parts)


def _most_profitable(profit: Ints, count: int) -> tuple[Ints, Ints]:
    """The positions of positive entries, at most the `count` largest of each row."""
    row, column = np.nonzero(profit > 0)
    if len(row) <= count * len(profit) or profit.shape[1] <= count:
        return row, column
    # Single precision is quicker. Which of nearly equal arcs are taken does not matter.
    top = np.argpartition(profit.astype(np.float32), profit.shape[1] - count, axis=1)[:, -count:]
    row, index = np.nonzero(np.take_along_axis(profit, top, axis=1) > 0)
    return row, top[row, index]


class _BestNeeds:
    """For each source, the need of the largest reduced profit among the blocks since the last `take`."""

    def __init__(self, n_sources: int) -> None:
        self.profit = np.zeros(n_sources, dtype=np.int64)
        self.row = np.zeros(n_sources, dtype=np.int64)
        self.score = np.zeros(n_sources, dtype=np.int64)

    def update(self, profit: Ints, rows: Ints, columns: Ints, scores: Scores) -> None:
        row = profit.argmax(axis=0)
        index = np.arange(len(columns))
        value = profit[row, index]
        better = np.flatnonzero(value > self.profit[columns])
        column = columns[better]
        self.profit[column] = value[better]
        self.row[column] = rows[row[better]]
        self.score[column] = scores[row[better], better]

    def take(self) -> Arcs:
        chosen = np.flatnonzero(self.profit > 0)
        found = Arcs(self.row[chosen], chosen, self.score[chosen])
        self.profit[:] = 0
        return found
