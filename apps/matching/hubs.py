"""The contest between groups of needs and classes of sources: small, exact as far as quantities go, and a guide to the
pairs that are worth looking at. Pure.

Where nothing is refused by pair, what groups and classes can exchange is what needs and sources can. So the best flow
between them serves every level as well as any plan could, and bounds them all.
"""

from collections.abc import Sequence
from operator import attrgetter

import numpy as np

from apps.matching.arcs import Arcs
from apps.matching.flow import Network, total
from apps.matching.groups import Ints
from apps.matching.ladder import Ladder
from apps.matching.market import REFUSED, THOUSAND, Market
from apps.matching.ranking import Need, Source

_SAMPLES = 8


def proposal(market: Market, ladder: Ladder) -> tuple[Arcs, Ints, float]:
    """A plan that would serve every level best if nothing were refused by pair: its pairs without those that are, how
    much each carries, and an upper bound on what any plan is worth.
    """
    group, class_ = np.nonzero(market.groups.fits)
    groups, classes = market.groups.fits.shape
    free = np.where(market.usable, market.free, 0)
    stock = total(market.groups.source, free, classes)
    guess = _typical_scores(market, group, class_)

    # Steps of the same group and level are one.
    levels = int(ladder.level.max(initial=0)) + 1
    step, member = np.unique(market.groups.need[ladder.row] * levels + ladder.level, return_inverse=True)
    member = member.reshape(-1)
    capacity = total(member, ladder.capacity, len(step))
    weight = np.zeros(len(step), dtype=np.int64)
    np.maximum.at(weight, member, ladder.weight)

    network = Network()
    ground = np.array([classes + groups])
    room = np.minimum(stock[class_], total(market.groups.need, market.wanting, groups)[group])
    sent = network.add(class_, classes + group, room, guess)
    used = network.add(classes + step // levels, ground, capacity, weight)
    network.add(np.arange(classes), ground, stock, 0)
    network.supply(np.arange(classes), stock)
    network.supply(ground, -stock.sum(keepdims=True))
    flow = network.solve()

    best = float(flow[used].astype(np.float64) @ weight) + float(flow[sent] @ guess)
    most = min(int(free.sum()), int(market.wanting.sum()))
    bound = best + float(THOUSAND + market.bonus) * most
    got = total(ladder.row, _filled(member, ladder.capacity, flow[used]), len(market))
    return *_shared_out(market, group, class_, flow[sent], free, got), bound


def _typical_scores(market: Market, group: Ints, class_: Ints) -> Ints:
    """What pairs of a group and a class score, by a few of them; 0 where those are refused."""
    rows, first_row, size = _by_number(market.groups.need, market.groups.fits.shape[0])
    columns, first_column, count = _by_number(market.groups.source, market.groups.fits.shape[1])
    sums = np.zeros(len(group), dtype=np.int64)
    seen = np.zeros(len(group), dtype=np.int64)
    for sample in range(_SAMPLES):
        row = rows[first_row[group] + (2 * sample + 1) * size[group] // (2 * _SAMPLES)]
        column = columns[first_column[class_] + (2 * (sample * 5 % _SAMPLES) + 1) * count[class_] // (2 * _SAMPLES)]
        score = market.score(row, column)
        fine = score != REFUSED
        sums[fine] += score[fine]
        seen += fine
    return sums // np.maximum(1, seen)


def _by_number(number: Ints, count: int) -> tuple[Ints, Ints, Ints]:
    """Positions in the order of their numbers; of each number where they begin and how many they are."""
    size = np.bincount(number, minlength=count)
    return np.argsort(number, kind="stable"), np.cumsum(size) - size, size


def _filled(member: Ints, capacity: Ints, units: Ints) -> Ints:
    """What each step gets of the units of those it was one with, the first ones first."""
    order, first, _size = _by_number(member, len(units))
    before = np.cumsum(capacity[order]) - capacity[order]
    filled = np.empty_like(capacity)
    filled[order] = np.clip(units[member[order]] - (before - before[first][member[order]]), 0, capacity[order])
    return filled


def _shared_out(market: Market, group: Ints, class_: Ints, sent: Ints, free: Ints, got: Ints) -> tuple[Arcs, Ints]:
    """Lay the units that flow between classes and groups beside each source's stock, then beside each need: whatever
    comes to lie together makes a pair. In the order of places, so that much of it is near.
    """
    used = np.flatnonzero(sent)
    order = used[np.lexsort((group[used], class_[used]))]
    along = _along(market.sources)
    columns = np.lexsort((along, market.groups.source))
    # What a class keeps is a piece of its own.
    classes = len(market.groups.fits.T)
    kept = total(market.groups.source, free, classes) - total(class_, sent, classes)
    pieces = np.concatenate([class_[order], np.arange(classes)])
    to = np.concatenate([group[order], np.full(classes, -1)])
    units = np.concatenate([sent[order], kept])
    sorted_ = np.argsort(pieces, kind="stable")
    piece, column, units = _beside(units[sorted_], free[columns])
    to, column = to[sorted_][piece], columns[column]

    goes = to >= 0
    to, column, units = to[goes], column[goes], units[goes]
    order = np.lexsort((along[column], to))
    rows = np.lexsort((_along(market.needs), market.groups.need))
    piece, row, units = _beside(units[order], got[rows])
    row, column = rows[row], column[order][piece]
    arcs = Arcs.at(market, row, column)
    return arcs, arcs.carrying(row, column, units)


def _along(those: Sequence[Need | Source]) -> Ints:
    """An order in which neighbours are near each other: that of their regions."""
    paths = list(map(attrgetter("place.path"), those))
    number = {path: place for place, path in enumerate(sorted(set(paths)))}
    return np.array([number[path] for path in paths], dtype=np.int64)


def _beside(a: Ints, b: Ints) -> tuple[Ints, Ints, Ints]:
    """Two rows of pieces of equal length in all, laid beside each other: which lie together, and for how long."""
    ends_a, ends_b = np.cumsum(a), np.cumsum(b)
    ends = np.union1d(ends_a, ends_b)
    ends = ends[ends > 0]
    units = np.diff(ends, prepend=0)
    return np.searchsorted(ends_a, ends), np.searchsorted(ends_b, ends), units
