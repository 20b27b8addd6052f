"""The arcs of the flow problem: pairs of need and source that a plan may use. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from apps.matching.allocation.exceptions import REFUSED, Scores
from apps.matching.allocation.groups import Bools, Ints
from apps.matching.allocation.market import Market

_INFINITE = 1 << 62
_GOLDEN = 0.6180339887498949  # the golden ratio less 1: its multiples modulo 1 spread evenly (a Weyl sequence)
_BLOCK = 1 << 20  # pairs that one array holds at a time


@dataclass(frozen=True)
class Arcs:
    """Distinct compatible pairs, sorted by need, then source. All arrays have shape (n_arcs,)."""

    row: Ints  # index of the need
    column: Ints  # index of the source
    score: Ints  # per unit, in thousandths

    def __len__(self) -> int:
        return len(self.row)

    def select(self, chosen: Bools) -> "Arcs":
        """The arcs that a mask of shape (n_arcs,) chooses."""
        return Arcs(self.row[chosen], self.column[chosen], self.score[chosen])

    @classmethod
    def concatenate(cls, parts: "Sequence[Arcs]") -> "Arcs":
        """All arcs of several parts that are disjoint and already in order."""
        none = np.zeros(0, dtype=np.int64)
        return cls(
            *(np.concatenate([none, *(getattr(part, name) for part in parts)]) for name in ("row", "column", "score"))
        )

    @classmethod
    def union(cls, parts: "Sequence[Arcs]") -> "Arcs":
        """All arcs of several parts, sorted, each pair once."""
        all_ = cls.concatenate(parts)
        _keys, first = np.unique(_keys_of(all_.row, all_.column), return_index=True)
        return cls(all_.row[first], all_.column[first], all_.score[first])

    @classmethod
    def of_pairs(cls, market: Market, row: Ints, column: Ints) -> "Arcs":
        """The arcs among these pairs: sorted, each once, without those that a filter refuses."""
        keys = np.sort(_keys_of(row, column))
        keys = keys[np.diff(keys, prepend=-1) > 0]  # np.unique is several times slower
        row, column = keys >> 32, keys & 0xFFFFFFFF
        score = market.score(row, column).astype(np.int64)
        return cls(row, column, score).select(score != REFUSED)

    @classmethod
    def of_block(cls, rows: Ints, columns: Ints, scores: Scores, row: Ints, column: Ints) -> "Arcs":
        """The arcs at these positions of a block of scores, without those that a filter refuses."""
        score = scores[row, column].astype(np.int64)
        fine = score != REFUSED
        return cls(rows[row[fine]], columns[column[fine]], score[fine])

    def sum_flow(self, row: Ints, column: Ints, units: Ints) -> Ints:
        """Units per arc, shape (n_arcs,), added up from pairs. Pairs that are no arc are left out."""
        index = self._find(row, column)
        known = index < len(self)
        return np.bincount(index[known], units[known], minlength=len(self)).astype(np.int64)

    def units_of(self, quantity: Ints, row: Ints, column: Ints) -> Ints:
        """Units of each pair, when `quantity` (n_arcs,) are those of the arcs; 0 where there is no arc."""
        return np.append(quantity, 0)[self._find(row, column)]

    def _find(self, row: Ints, column: Ints) -> Ints:
        """The index of each pair among the arcs; their number where it is none of them."""
        keys, wanted = _keys_of(self.row, self.column), _keys_of(row, column)
        # A key beyond the last finds the index len(keys), where the appended -1 equals no key.
        index = np.searchsorted(keys, wanted)
        return np.where(np.append(keys, -1)[index] == wanted, index, len(keys))


def _keys_of(row: Ints, column: Ints) -> Ints:
    """One number per pair, in the order of need, then source."""
    # One integer sorts and compares faster than two columns. Indexes are far below 2 ** 32.
    return (row << 32) | column


def all_arcs(market: Market) -> Arcs:
    """Every compatible pair."""
    height = max(1, _BLOCK // max(1, len(market.sources)))
    parts = (
        market.pairs(np.arange(start, min(start + height, len(market)))) for start in range(0, len(market), height)
    )
    return Arcs.concatenate([Arcs(row, column, score.astype(np.int64)) for row, column, score in parts])


def sample_arcs(market: Market, *, per_need: int) -> Arcs:
    """A few arcs of each need, at equal steps over its compatible sources, with a different start for each need.

    Such pairs make the graph an expander: nearly every flow that all pairs could carry passes through it. The nearest
    pairs alone do worse than greedy, because neighbours compete for the same sources.
    """
    steps = np.arange(per_need)
    parts: list[tuple[Ints, Ints]] = []
    for group, rows in market.groups.members(np.arange(len(market))):
        columns = market.fitting(group)
        # Equal steps over the order of quantity give each need some large sources and some small ones.
        columns = columns[np.argsort(market.free[columns], kind="stable")]
        # Sources with less than is useful to a need come first in this order, and are skipped.
        first = np.searchsorted(market.free[columns], market.minimum_useful[rows])
        size = len(columns) - first
        # Neighbours in the list start far apart, so their arcs overlap little.
        start = (rows * _GOLDEN % 1 * size).astype(np.int64)
        # A need with few sources gets them all, one after the other.
        step = np.where(size[:, None] > per_need, steps * size[:, None] // per_need, steps)
        index = first[:, None] + (step + start[:, None]) % np.maximum(1, size)[:, None]
        chosen = steps < np.minimum(size, per_need)[:, None]
        parts.append((np.repeat(rows, chosen.sum(axis=1)), columns[index[chosen]]))
    row, column = (np.concatenate([np.zeros(0, dtype=np.int64), *lists]) for lists in zip(*parts, strict=True))
    return Arcs.of_pairs(market, row, column)


def eligible_supply(market: Market) -> Ints:
    """Units that are free at the compatible sources of each need, shape (n_needs,).

    Sums are made by group from sorted quantities, so the cost is about n_sources·log n_sources for each group.
    """
    supply = np.zeros(len(market), dtype=np.int64)
    # Sources that must be looked at pair by pair are added last.
    columns = np.flatnonzero(market.usable & ~market.pairwise)
    height = max(1, _BLOCK // max(1, len(columns)))
    for start in range(0, len(market.groups.fits), height):
        rows = np.flatnonzero((market.groups.need >= start) & (market.groups.need < start + height))
        fits = market.groups.fits[start : start + height, market.groups.source[columns]]
        group = market.groups.need[rows] - start
        free = np.where(fits, market.free[columns], 0)
        # No source is subtracted twice. A usable one has free ≥ minimum order, and remaining ≥ minimum useful quantity.
        too_little = _sum_below(market.free[columns], free, market.minimum_useful[rows], group)
        # Negated sizes turn "minimum order above what remains" into the same question, "size below a limit".
        too_much = _sum_below(-market.minimum[columns], free, -market.remaining[rows], group)
        supply[rows] = free.sum(axis=1)[group] - too_little - too_much
    # Pairs that a need has ruled out were counted above, if nothing else had left them out: take those off again.
    for row, column in market.exceptions.barred(market.usable):
        fits = market.groups.fits[market.groups.need[row], market.groups.source[column]]
        fits &= ~market.pairwise[column]
        fits &= (market.minimum[column] <= market.remaining[row]) & (market.minimum_useful[row] <= market.free[column])
        # `subtract.at`, because a need may have ruled out several sources.
        np.subtract.at(supply, row[fits], market.free[column[fits]])

    # The reach of a gift differs from pair to pair, so those sources are looked at one by one.
    for rows, columns, scores in (
        market.blocks(columns=np.flatnonzero(market.pairwise)) if market.pairwise.any() else ()
    ):
        supply[rows] += np.where(scores == REFUSED, 0, market.free[columns]).sum(axis=1)
    return supply


def _sum_below(size: Ints, units: Ints, limits: Ints, group: Ints) -> Ints | int:
    """For each limit, the units of its group at sources whose size is below it.

    `size` has shape (n_sources,), `units` (n_groups, n_sources), `limits` and `group` (n_needs,).
    """
    # The usual case: no limit reaches the smallest size, and no sum is needed.
    if limits.max(initial=-_INFINITE) <= size.min(initial=_INFINITE):
        return 0
    order = np.argsort(size)
    # Prefix sums in order of size: the answer to each limit is then one binary search.
    sums = np.zeros((len(units), len(size) + 1), dtype=np.int64)
    np.cumsum(units[:, order], axis=1, out=sums[:, 1:])
    return sums[group, np.searchsorted(size[order], limits)]
