"""Which pairs of need and source the flow may use. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from apps.matching.allocation.groups import Ints, Truths
from apps.matching.allocation.market import REFUSED, Market, Scores

_NEVER = 1 << 62
_GOLDEN = 0.6180339887498949
_BLOCK = 1 << 20  # pairs that are looked at together


@dataclass(frozen=True)
class Arcs:
    """Pairs with their scores in thousandths, each pair once, in the order of need, then source."""

    row: Ints
    column: Ints
    score: Ints

    def __len__(self) -> int:
        return len(self.row)

    def only(self, chosen: Truths) -> "Arcs":
        return Arcs(self.row[chosen], self.column[chosen], self.score[chosen])

    @classmethod
    def apart(cls, parts: "Sequence[Arcs]") -> "Arcs":
        """All of them, where no pair is in two and they are in order."""
        none = np.zeros(0, dtype=np.int64)
        return cls(
            *(np.concatenate([none, *(getattr(part, name) for part in parts)]) for name in ("row", "column", "score"))
        )

    @classmethod
    def joined(cls, parts: "Sequence[Arcs]") -> "Arcs":
        """All of them, each pair once, in the order of need, then source."""
        all_ = cls.apart(parts)
        _pairs, first = np.unique((all_.row << 32) | all_.column, return_index=True)
        return cls(all_.row[first], all_.column[first], all_.score[first])

    @classmethod
    def at(cls, market: Market, row: Ints, column: Ints) -> "Arcs":
        """These pairs, each once, as far as no filter refuses them."""
        pairs = np.sort((row << 32) | column)
        pairs = pairs[np.diff(pairs, prepend=-1) > 0]  # np.unique takes its time
        row, column = pairs >> 32, pairs & 0xFFFFFFFF
        score = market.score(row, column).astype(np.int64)
        return cls(row, column, score).only(score != REFUSED)

    def carrying(self, row: Ints, column: Ints, units: Ints) -> Ints:
        """How much each of these, which must be in order, carries of the units of some pairs."""
        here, those = (self.row << 32) | self.column, (row << 32) | column
        place = np.searchsorted(here, those)
        among = np.append(here, -1)[place] == those
        return np.bincount(place[among], units[among], minlength=len(here)).astype(np.int64)

    @classmethod
    def found(cls, rows: Ints, columns: Ints, scores: Scores, line: Ints, place: Ints) -> "Arcs":
        """Those pairs of a block of scores that no filter refuses."""
        score = scores[line, place].astype(np.int64)
        fine = score != REFUSED
        return cls(rows[line[fine]], columns[place[fine]], score[fine])


def every(market: Market) -> Arcs:
    """All compatible pairs."""
    height = max(1, _BLOCK // max(1, len(market.sources)))
    parts = (
        market.pairs(np.arange(start, min(start + height, len(market)))) for start in range(0, len(market), height)
    )
    return Arcs.apart([Arcs(row, column, score.astype(np.int64)) for row, column, score in parts])


def spread(market: Market, *, count: int) -> Arcs:
    """A few pairs of each need, far apart: sources at equal steps among all that may serve it, beginning elsewhere for
    each need (multiples of the golden section).
    """
    steps = np.arange(count)
    parts: list[tuple[Ints, Ints]] = []
    for group, rows in market.groups.members(np.arange(len(market))):
        columns = market.fitting(group)
        columns = columns[np.argsort(market.free[columns], kind="stable")]
        # What is too little to matter to a need comes first, and is passed over.
        first = np.searchsorted(market.free[columns], market.least[rows])
        size = len(columns) - first
        begin = (rows * _GOLDEN % 1 * size).astype(np.int64)
        step = np.where(size[:, None] > count, steps * size[:, None] // count, steps)
        place = first[:, None] + (step + begin[:, None]) % np.maximum(1, size)[:, None]
        chosen = steps < np.minimum(size, count)[:, None]
        parts.append((np.repeat(rows, chosen.sum(axis=1)), columns[place[chosen]]))
    row, column = (np.concatenate([np.zeros(0, dtype=np.int64), *lists]) for lists in zip(*parts, strict=True))
    return Arcs.at(market, row, column)


def reachable(market: Market) -> Ints:
    """How much is free at the sources that could serve each need."""
    supply = np.zeros(len(market), dtype=np.int64)
    columns = np.flatnonzero(market.usable & ~market.nearby)
    height = max(1, _BLOCK // max(1, len(columns)))
    for start in range(0, len(market.groups.fits), height):
        rows = np.flatnonzero((market.groups.need >= start) & (market.groups.need < start + height))
        fits = market.groups.fits[start : start + height, market.groups.source[columns]]
        group = market.groups.need[rows] - start
        free = np.where(fits, market.free[columns], 0)
        # Nothing is both: the one has at least its minimum order, the other less than what matters.
        too_little = _sum_below(market.free[columns], free, market.least[rows], group)
        too_much = _sum_below(-market.minimum[columns], free, -market.wanting[rows], group)
        supply[rows] = free.sum(axis=1)[group] - too_little - too_much
    row, column = market.barred
    fits = market.groups.fits[market.groups.need[row], market.groups.source[column]]
    fits &= market.usable[column] & ~market.nearby[column]
    fits &= (market.minimum[column] <= market.wanting[row]) & (market.least[row] <= market.free[column])
    np.subtract.at(supply, row[fits], market.free[column[fits]])

    # How far is too far differs from pair to pair.
    for rows, columns, scores in market.blocks(columns=np.flatnonzero(market.nearby)) if market.nearby.any() else ():
        supply[rows] += np.where(scores == REFUSED, 0, market.free[columns]).sum(axis=1)
    return supply


def _sum_below(size: Ints, units: Ints, limits: Ints, line: Ints) -> Ints | int:
    """For each limit, the units in its line of all whose size is below it."""
    if limits.max(initial=-_NEVER) <= size.min(initial=_NEVER):
        return 0
    order = np.argsort(size)
    sums = np.zeros((len(units), len(size) + 1), dtype=np.int64)
    np.cumsum(units[:, order], axis=1, out=sums[:, 1:])
    return sums[line, np.searchsorted(size[order], limits)]
