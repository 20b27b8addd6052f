"""The allocation between groups of needs and classes of sources: small, exact in quantities, and a first plan. Pure.

This is aggregation and disaggregation (D. Rogers, R. Plante, R. Wong, J. Evans, Operations Research 39, 1991). Where no
single pair is refused, groups and classes can exchange exactly what their members can. The best flow between them then
serves every priority level as well as any plan could, and bounds all plans.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from apps.matching.allocation.arcs import Arcs
from apps.matching.allocation.flow import Network, sum_by_index
from apps.matching.allocation.groups import Ints
from apps.matching.allocation.market import THOUSAND, Market
from apps.matching.allocation.priority import PriorityLevels

NO_PAIRS: Final = np.zeros((3, 0), dtype=np.int64)


class Aggregated(NamedTuple):
    """A plan that serves every level as well as any could, as far as no single pair is refused."""

    arcs: Arcs
    quantity: Ints  # (n_arcs,): units on each arc
    bound: float  # no plan has a greater value
    assigned: Ints  # (n_needs,): units of each need, with those that would have come by refused pairs


def solve_aggregated(market: Market, levels: PriorityLevels, *, held: Ints = NO_PAIRS) -> Aggregated:
    """A first plan and a bound.

    Of all plans that serve the levels as well, it is one that keeps most of `held`: three rows of needs, sources and
    units, none refused. Units that the plan puts on a refused pair are dropped. Scores are left out. Weights are
    replaced by their ranks: what can be served is a polymatroid, where only the order of the weights matters, and small
    costs halve the time of the solver.
    """
    # One arc for each class and group that fit: the transpose lists them class by class.
    class_, group = np.nonzero(market.groups.fits.T)
    groups, classes = market.groups.fits.shape
    free = np.where(market.usable, market.free, 0)
    stock = sum_by_index(market.groups.source, free, classes)

    # Segments of the same group and level become one.
    n_levels = int(levels.level.max(initial=0)) + 1
    key, merged = np.unique(market.groups.need[levels.row] * n_levels + levels.level, return_inverse=True)
    capacity = sum_by_index(merged, levels.capacity, len(key))
    # Members of a level differ by the reward for filling. The largest weight keeps the bound an upper bound.
    weight = np.zeros(len(key), dtype=np.int64)
    np.maximum.at(weight, merged, levels.weight)
    # Costs from 1 to the number of levels order the segments as the weights do.
    _weights, rank = np.unique(weight, return_inverse=True)
    # What a class holds for a group already. A chain of exchanges visits each once, so levels count for more.
    row, column, units = held
    pair, held_pair = np.unique(market.groups.source[column] * groups + market.groups.need[row], return_inverse=True)
    step = 2 * min(groups, classes) + 3 if len(pair) else 1

    # Nodes: classes first, then groups, then the sink. `key // n_levels` is the group of a merged segment.
    network = Network()
    sink = np.array([classes + groups])
    limit = np.minimum(stock[class_], sum_by_index(market.groups.need, market.remaining, groups)[group])
    sent = network.add_arcs(class_, classes + group, limit, 0)
    stay = network.add_arcs(pair // groups, classes + pair % groups, sum_by_index(held_pair, units, len(pair)), 1)
    used = network.add_arcs(classes + key // n_levels, sink, capacity, (1 + rank) * step)
    # Stock that nobody needs goes straight to the sink, so that supply and demand balance.
    network.add_arcs(np.arange(classes), sink, stock, 0)
    network.set_supplies(np.arange(classes), stock)
    network.set_supplies(sink, -stock.sum(keepdims=True))
    flow = network.solve()

    # Scores were left out: the bound assumes the best score, and the bonus, on every unit.
    most_units = min(int(free.sum()), int(market.remaining.sum()))
    bound = float(flow[used].astype(np.float64) @ weight) + float(THOUSAND + market.bonus) * most_units
    filled = _split_segments(merged, levels.capacity, flow[used])
    assigned = sum_by_index(levels.row, filled, len(market))
    between = flow[sent]
    between[np.searchsorted(class_ * groups + group, pair)] += flow[stay]
    return Aggregated(*_disaggregate(market, group, class_, between, free, assigned, held), bound, assigned)


def _split_segments(merged: Ints, capacity: Ints, units: Ints) -> Ints:
    """Share the units of merged segments among their members, filling the first ones first. Shape (n_segments,)."""
    order = np.argsort(merged, kind="stable")
    # The units ahead of each member within its merged segment: a running sum, less that of the segment's first member.
    before = np.cumsum(capacity[order]) - capacity[order]
    first = np.searchsorted(merged[order], np.arange(len(units)))
    filled = np.empty_like(capacity)
    filled[order] = np.clip(units[merged[order]] - (before - before[first][merged[order]]), 0, capacity[order])
    return filled


def _disaggregate(
    market: Market, group: Ints, class_: Ints, sent: Ints, free: Ints, assigned: Ints, held: Ints
) -> tuple[Arcs, Ints]:
    """Split a flow between classes and groups into pairs of sources and needs: arcs, and the units on each.

    `sent` are units from `class_` to `group`, `free` the stock of each source, `assigned` the units of each need. Pairs
    that are `held` come first; for the others the north-west corner rule is applied twice. Rows are in the order of
    locations, so that many pairs are near each other.
    """
    classes = market.groups.fits.shape[1]
    stays = _keep(market, group, class_, sent, free, assigned, held)
    sent, free, assigned = sent - stays.sent, free - stays.free, assigned - stays.assigned
    # Stock that a class keeps is one more flow, after those that it sends.
    kept = sum_by_index(market.groups.source, free, classes) - sum_by_index(class_, sent, classes)
    order = np.argsort(np.concatenate([class_, np.arange(classes)]), kind="stable")
    # -1 stands for "nowhere": those units stay at their source.
    to = np.concatenate([group, np.full(classes, -1)])[order]
    # First application: flows out of each class are matched with the sources of that class.
    columns = np.lexsort((market.origin, market.groups.source))
    flow, index, units = _north_west_corner(np.concatenate([sent, kept])[order], free[columns])

    is_sent = to[flow] >= 0
    to, column, units = to[flow[is_sent]], columns[index[is_sent]], units[is_sent]
    # Second application: what flows into each group is matched with the needs of that group.
    order = np.lexsort((market.origin[column], to))
    rows = np.lexsort((market.location, market.groups.need))
    flow, index, units = _north_west_corner(units[order], assigned[rows])
    row = np.concatenate([held[0], rows[index]])
    column = np.concatenate([held[1], column[order][flow]])
    arcs = Arcs.of_pairs(market, row, column)
    return arcs, arcs.sum_flow(row, column, np.concatenate([stays.units, units]))


@dataclass(frozen=True)
class _Kept:
    """How much of each held pair stays, and what that takes of each flow, source and need."""

    units: Ints
    sent: Ints
    free: Ints
    assigned: Ints


def _keep(market: Market, group: Ints, class_: Ints, sent: Ints, free: Ints, assigned: Ints, held: Ints) -> _Kept:
    """Keep held pairs, one after the other, as far as the flow between their class and group goes."""
    kept = _Kept(np.zeros_like(held[2]), np.zeros_like(sent), np.zeros_like(free), np.zeros_like(assigned))
    groups = len(market.groups.fits)
    own = market.groups.source[held[1]] * groups + market.groups.need[held[0]]
    between = np.searchsorted(class_ * groups + group, own)
    for index, (row, column, units, flow) in enumerate(zip(*held.tolist(), between.tolist(), strict=True)):
        most = min(
            units,
            int(sent[flow] - kept.sent[flow]),
            int(free[column] - kept.free[column]),
            int(assigned[row] - kept.assigned[row]),
        )
        kept.units[index] = most
        kept.sent[flow] += most
        kept.free[column] += most
        kept.assigned[row] += most
    return kept


def _north_west_corner(supply: Ints, demand: Ints) -> tuple[Ints, Ints, Ints]:
    """Match supplies with demands of the same sum, in the order given: indexes of both, and the units of each pair."""
    # Both lists are laid end to end on one line. An interval between two neighbouring ends belongs to one of each.
    supply_ends, demand_ends = np.cumsum(supply), np.cumsum(demand)
    ends = np.sort(np.concatenate([supply_ends, demand_ends]))
    units = np.diff(ends, prepend=0)
    ends, units = ends[units > 0], units[units > 0]
    return np.searchsorted(supply_ends, ends), np.searchsorted(demand_ends, ends), units
