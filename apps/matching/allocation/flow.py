"""Who gets what when many want the same: the flow of least cost from sources to needs. Pure."""

from dataclasses import dataclass

import numpy as np

from apps.matching.allocation.arcs import Arcs
from apps.matching.allocation.groups import Ints
from apps.matching.allocation.market import REFUSED, Market, Scores
from apps.matching.allocation.priority import PriorityLevels


class Network:
    """A graph for the solver: `add` arcs, say what is supplied where, `solve`. Gains may be of any sign."""

    def __init__(self) -> None:
        from ortools.graph.python import min_cost_flow

        self._solver = min_cost_flow.SimpleMinCostFlow()

    def add(self, tail: Ints, head: Ints | int, capacity: Ints, gain: Ints | int) -> slice:
        """Arcs from `tail` to `head`, and where they will be found among the flows."""
        before = self._solver.num_arcs()
        head, gain = np.broadcast_to(head, tail.shape), np.broadcast_to(gain, tail.shape)
        self._solver.add_arcs_with_capacity_and_unit_cost(tail, head, capacity, -gain)
        return slice(before, before + len(tail))

    def supply(self, nodes: Ints, units: Ints) -> None:
        self._solver.set_nodes_supplies(nodes, units)

    def solve(self) -> Ints:
        """Units on each arc, in the order in which they were added, that gain most."""
        status = self._solver.solve()
        if status != self._solver.OPTIMAL:
            raise ArithmeticError(f"min-cost flow: {status.name}")
        return np.asarray(self._solver.flows(np.arange(self._solver.num_arcs())), dtype=np.int64)


def solve(
    market: Market, arcs: Arcs, ladder: PriorityLevels, *, cost: Ints | None = None, least: Ints | None = None
) -> Ints:
    """Units on each arc, at least `least`, so that steps' weights plus scores less `cost` per unit are the most they
    can be. What is at least carried must fit into stocks and needs.
    """
    needs, sources = len(market.needs), len(market.sources)
    ground = np.array([needs + sources])
    sure = np.zeros(len(arcs), dtype=np.int64) if least is None else least
    network = Network()
    room = np.minimum(market.free[arcs.column], market.wanting[arcs.row]) - sure
    carried = network.add(arcs.column, sources + arcs.row, room, arcs.score if cost is None else arcs.score - cost)
    network.add(sources + ladder.row, ground, ladder.capacity, ladder.weight)
    network.add(np.arange(sources), ground, market.free, 0)
    network.supply(np.arange(sources), market.free - total(arcs.column, sure, sources))
    network.supply(sources + np.arange(needs), total(arcs.row, sure, needs))
    network.supply(ground, -market.free.sum(keepdims=True))
    return sure + network.solve()[carried]


def total(place: Ints, quantity: Ints, places: int) -> Ints:
    """Quantities added up by place."""
    return np.bincount(place, quantity, minlength=places).astype(np.int64)


@dataclass(frozen=True)
class Prices:
    """What another unit is worth: at each source, and delivered to each need (before the pair's own score)."""

    source: Ints
    need: Ints


_NOTHING = -(1 << 62)


def prices(market: Market, arcs: Arcs, ladder: PriorityLevels, quantity: Ints, *, rounds: int = 500) -> Prices:
    """The dual prices of an optimal flow: the best chain of exchanges that one more unit sets off.

    The solver does not say them. Values are passed along until nothing changes; stopping early costs only a looser
    bound, since any prices give a valid one.
    """
    got = total(arcs.row, quantity, len(market.needs))
    filled = ladder.filled(got)
    base = np.full(len(market.needs), _NOTHING)
    room = filled < ladder.capacity
    np.maximum.at(base, ladder.row[room], ladder.weight[room])

    by_column = np.argsort(arcs.column, kind="stable")
    columns, first_of_column = np.unique(arcs.column[by_column], return_index=True)
    row_there, score_there = arcs.row[by_column], arcs.score[by_column]
    used = np.flatnonzero(quantity)
    used = used[np.argsort(arcs.row[used], kind="stable")]
    rows, first_of_row = np.unique(arcs.row[used], return_index=True)
    column_used, score_used = arcs.column[used], arcs.score[used]

    need, source = base.copy(), np.zeros(len(market.sources), dtype=np.int64)
    for _round in range(rounds if len(arcs) else 0):
        offer = np.maximum.reduceat(need[row_there] + score_there, first_of_column)
        fresh = source.copy()
        fresh[columns] = np.maximum(source[columns], offer)
        if len(used):
            instead = np.maximum.reduceat(fresh[column_used] - score_used, first_of_row)
            need[rows] = np.maximum(base[rows], instead)
        if _round and (fresh == source).all():
            break
        source = fresh
    return Prices(source, need)


def price_all(market: Market, ladder: PriorityLevels, price: Prices, *, few: int) -> tuple[float, Arcs]:
    """An upper bound on what any plan over all pairs is worth, and for each need and source the `few` missing pairs
    that promise most (0: only the bound).

    By duality: with any prices of at least 0, free stock at its price plus, for each need, its steps' weight where it
    exceeds what its cheapest source costs.
    """
    cheapest = np.full(len(market.needs), float(_NOTHING))
    parts: list[Arcs] = []
    best = _BestRows(len(market.sources))
    seen = 0
    for rows, columns, scores in market.blocks():
        net = scores - price.source[columns]
        net[scores == REFUSED] = _NOTHING
        cheapest[rows] = net.max(axis=1)
        if not few:
            continue
        net += price.need[rows, None]
        lines = np.flatnonzero(cheapest[rows] + price.need[rows] > 0)
        if len(lines):
            line, place = _largest(net[lines], few)
            parts.append(Arcs.found(rows, columns, scores, lines[line], place))
            best.see(net, rows, columns, scores)
        seen += len(rows)
        if seen * few >= len(market):
            parts.append(best.taken())
            seen = 0
    parts.append(best.taken())
    gains = np.maximum(0.0, ladder.weight + cheapest[ladder.row])
    bound = float(market.free @ price.source.astype(np.float64)) + float(gains @ ladder.capacity)
    return bound, Arcs.joined(parts)


def _largest(promise: Ints, count: int) -> tuple[Ints, Ints]:
    """Of each row the columns that promise more than nothing, at most `count`."""
    line, column = np.nonzero(promise > 0)
    if len(line) <= count * len(promise):
        return line, column
    if promise.shape[1] <= count:
        return line, column
    top = np.argpartition(promise.astype(np.float32), promise.shape[1] - count, axis=1)[:, -count:]
    line, place = np.nonzero(np.take_along_axis(promise, top, axis=1) > 0)
    return line, top[line, place]


class _BestRows:
    """For each source the need that promises most, among those seen since the last were taken."""

    def __init__(self, columns: int) -> None:
        self.promise = np.zeros(columns, dtype=np.int64)
        self.row = np.zeros(columns, dtype=np.int64)
        self.score = np.zeros(columns, dtype=np.int64)

    def see(self, promise: Ints, rows: Ints, columns: Ints, scores: Scores) -> None:
        line = promise.argmax(axis=0)
        places = np.arange(len(columns))
        value = promise[line, places]
        better = np.flatnonzero(value > self.promise[columns])
        here = columns[better]
        self.promise[here] = value[better]
        self.row[here] = rows[line[better]]
        self.score[here] = scores[line[better], better]

    def taken(self) -> Arcs:
        chosen = np.flatnonzero(self.promise > 0)
        found = Arcs(self.row[chosen], chosen, self.score[chosen])
        self.promise[:] = 0
        return found
