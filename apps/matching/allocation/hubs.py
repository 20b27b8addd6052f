"""The contest between groups of needs and classes of sources: small, exact as far as quantities go, and a guide to the
pairs that are worth looking at. Pure.

Where nothing is refused by pair, what groups and classes can exchange is what needs and sources can. So the best flow
between them serves every level as well as any plan could, and bounds them all.
"""

import numpy as np

from apps.matching.allocation.arcs import Arcs
from apps.matching.allocation.flow import Network, total
from apps.matching.allocation.groups import Ints
from apps.matching.allocation.market import THOUSAND, Market
from apps.matching.allocation.priority import PriorityLevels


def proposal(market: Market, ladder: PriorityLevels) -> tuple[Arcs, Ints, float]:
    """A plan that would serve every level best if nothing were refused by pair: its pairs without those that are, how
    much each carries, and an upper bound on what any plan is worth.

    Scores are left out, and weights are counted: what can be served is a polymatroid, so only their order matters, and
    the solver is done in half the time with small numbers.
    """
    class_, group = np.nonzero(market.groups.fits.T)
    groups, classes = market.groups.fits.shape
    free = np.where(market.usable, market.free, 0)
    stock = total(market.groups.source, free, classes)

    # Steps of the same group and level are one.
    levels = int(ladder.level.max(initial=0)) + 1
    step, member = np.unique(market.groups.need[ladder.row] * levels + ladder.level, return_inverse=True)
    capacity = total(member, ladder.capacity, len(step))
    weight = np.zeros(len(step), dtype=np.int64)
    np.maximum.at(weight, member, ladder.weight)
    _weights, rank = np.unique(weight, return_inverse=True)

    network = Network()
    ground = np.array([classes + groups])
    room = np.minimum(stock[class_], total(market.groups.need, market.wanting, groups)[group])
    sent = network.add(class_, classes + group, room, 0)
    used = network.add(classes + step // levels, ground, capacity, 1 + rank)
    network.add(np.arange(classes), ground, stock, 0)
    network.supply(np.arange(classes), stock)
    network.supply(ground, -stock.sum(keepdims=True))
    flow = network.solve()

    most = min(int(free.sum()), int(market.wanting.sum()))
    bound = float(flow[used].astype(np.float64) @ weight) + float(THOUSAND + market.bonus) * most
    got = total(ladder.row, _filled(member, ladder.capacity, flow[used]), len(market))
    return *_shared_out(market, group, class_, flow[sent], free, got), bound


def _filled(member: Ints, capacity: Ints, units: Ints) -> Ints:
    """What each step gets of the units of those it was one with, the first ones first."""
    order = np.argsort(member, kind="stable")
    before = np.cumsum(capacity[order]) - capacity[order]
    first = np.searchsorted(member[order], np.arange(len(units)))
    filled = np.empty_like(capacity)
    filled[order] = np.clip(units[member[order]] - (before - before[first][member[order]]), 0, capacity[order])
    return filled


def _shared_out(market: Market, group: Ints, class_: Ints, sent: Ints, free: Ints, got: Ints) -> tuple[Arcs, Ints]:
    """Lay the units that flow between classes and groups beside each source's stock, then beside each need: whatever
    comes to lie together makes a pair. In the order of places, so that much of it is near.
    """
    classes = market.groups.fits.shape[1]
    # What a class keeps is a piece of its own, after what it sends.
    kept = total(market.groups.source, free, classes) - total(class_, sent, classes)
    order = np.argsort(np.concatenate([class_, np.arange(classes)]), kind="stable")
    to = np.concatenate([group, np.full(classes, -1)])[order]
    columns = np.lexsort((market.origin, market.groups.source))
    piece, place, units = _beside(np.concatenate([sent, kept])[order], free[columns])

    goes = to[piece] >= 0
    to, column, units = to[piece[goes]], columns[place[goes]], units[goes]
    order = np.lexsort((market.origin[column], to))
    rows = np.lexsort((market.place, market.groups.need))
    piece, place, units = _beside(units[order], got[rows])
    row, column = rows[place], column[order][piece]
    arcs = Arcs.at(market, row, column)
    return arcs, arcs.carrying(row, column, units)


def _beside(a: Ints, b: Ints) -> tuple[Ints, Ints, Ints]:
    """Two rows of pieces of equal length in all, laid beside each other: which lie together, and for how long."""
    ends_a, ends_b = np.cumsum(a), np.cumsum(b)
    ends = np.sort(np.concatenate([ends_a, ends_b]))
    units = np.diff(ends, prepend=0)
    ends, units = ends[units > 0], units[units > 0]
    return np.searchsorted(ends_a, ends), np.searchsorted(ends_b, ends), units
