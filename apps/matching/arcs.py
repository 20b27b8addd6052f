"""Which pairs of need and source the flow may use, and the greedy plan on arrays. Pure.

Pairs are numbered `row × number of sources + column`, so a set of pairs is a sorted array of numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from apps.matching.market import REFUSED, Ints, Market, Scores
from apps.matching.ranking import precedence


@dataclass(frozen=True)
class Arcs:
    """Pairs with their scores in thousandths, in the order of need, then source."""

    row: Ints
    column: Ints
    score: Ints

    def __len__(self) -> int:
        return len(self.row)

    def only(self, chosen: "npt.NDArray[np.bool_]") -> "Arcs":
        return Arcs(self.row[chosen], self.column[chosen], self.score[chosen])

    @classmethod
    def joined(cls, parts: "Sequence[Arcs]") -> "Arcs":
        """All of them, each pair once."""
        row, column, score = (
            np.concatenate([np.zeros(0, dtype=np.int64), *(getattr(part, name) for part in parts)])
            for name in ("row", "column", "score")
        )
        _pairs, first = np.unique((row << 32) | column, return_index=True)
        return cls(row[first], column[first], score[first])

    @classmethod
    def at(cls, market: Market, row: Ints, column: Ints) -> "Arcs":
        """These pairs, as far as no filter refuses them. Both in the order of rows."""
        parts = []
        for rows, scores in market.blocks(np.unique(row)):
            here = slice(*np.searchsorted(row, [rows[0], rows[-1] + 1]))
            parts.append(cls.found(rows, scores, np.searchsorted(rows, row[here]), column[here]))
        return cls.joined(parts)

    @classmethod
    def found(cls, rows: Ints, scores: Scores, line: Ints, column: Ints) -> "Arcs":
        """Those pairs of a block of scores that no filter refuses."""
        score = scores[line, column].astype(np.int64)
        fine = score != REFUSED
        return cls(rows[line[fine]], column[fine], score[fine])


class Part(NamedTuple):
    units: int
    score: int  # per unit, in thousandths


@dataclass
class Given:
    """Who was given what so far: per need and source, what each need got and what each source has left."""

    parts: dict[int, dict[int, Part]]
    got: Ints
    left: Ints

    @classmethod
    def nothing(cls, market: Market) -> "Given":
        return cls({}, np.zeros(len(market.needs), dtype=np.int64), market.free.copy())

    @classmethod
    def of(cls, market: Market, arcs: Arcs, quantity: Ints) -> "Given":
        given = cls.nothing(market)
        used = np.flatnonzero(quantity)
        columns = (arcs.row[used], arcs.column[used], quantity[used], arcs.score[used])
        for row, column, units, score in zip(*(values.tolist() for values in columns), strict=True):
            given.give(row, column, units, score)
        return given

    def give(self, row: int, column: int, units: int, score: int) -> None:
        self.parts.setdefault(row, {})[column] = Part(self.units(row, column) + units, score)
        self.got[row] += units
        self.left[column] -= units

    def units(self, row: int, column: int) -> int:
        mine = self.parts.get(row, {})
        return mine[column].units if column in mine else 0

    @property
    def shipments(self) -> int:
        return sum(len(mine) for mine in self.parts.values())

    @property
    def score(self) -> int:
        return sum(part.units * part.score for mine in self.parts.values() for part in mine.values())

    def arcs(self) -> Arcs:
        found = sorted((row, column, part.score) for row, mine in self.parts.items() for column, part in mine.items())
        return Arcs(*np.array(found, dtype=np.int64).reshape(-1, 3).T)


@dataclass(frozen=True)
class Reach:
    """How much is free at the sources that could serve each need, how many needs each source could serve, and a few
    pairs far apart.
    """

    supply: Ints
    degree: Ints
    spread: Arcs


def survey(market: Market, *, spread: int) -> Reach:
    """Look at all pairs once."""
    supply = np.zeros(len(market.needs), dtype=np.int64)
    degree = np.zeros(len(market.sources), dtype=np.int64)
    free = market.free.astype(np.float64)
    parts = []
    for rows, scores in market.blocks():
        fine = scores != REFUSED
        supply[rows] = fine @ free
        degree += np.count_nonzero(fine, axis=0)
        parts.append(Arcs.found(rows, scores, *_evenly(rows, fine, spread)))
    return Reach(supply, degree, Arcs.joined(parts))


def _evenly(rows: Ints, fine: npt.NDArray[np.bool_], count: int) -> tuple[Ints, Ints]:
    """Compatible columns at equal steps, beginning elsewhere for each row (multiples of the golden section)."""
    line, column = np.nonzero(fine)
    size = np.count_nonzero(fine, axis=1)
    start = np.cumsum(size) - size
    begin = (rows * 0.6180339887498949 % 1 * size).astype(np.int64)
    steps = np.arange(count)
    chosen = np.minimum(size, count)[:, None] > steps
    place = np.where(size[:, None] > count, steps * size[:, None] // count, steps)
    picked = (start[:, None] + (place + begin[:, None]) % np.maximum(1, size)[:, None])[chosen]
    return line[picked], column[picked]


def every(market: Market) -> Arcs:
    """All compatible pairs."""
    return Arcs.joined([Arcs.found(rows, scores, *np.nonzero(scores != REFUSED)) for rows, scores in market.blocks()])


def scarce(market: Market, reach: Reach, *, most: int) -> Arcs:
    """All pairs of the sources that could serve only few needs: an even choice among the needs' pairs misses them."""
    few = np.flatnonzero((reach.degree > 0) & (reach.degree <= most))
    parts = []
    for rows, scores in market.blocks(columns=few) if len(few) else ():
        line, column = np.nonzero(scores != REFUSED)
        found = Arcs.found(rows, scores, line, column)
        parts.append(Arcs(found.row, few[found.column], found.score))
    return Arcs.joined(parts)


def greedy(market: Market, tiers: Ints, cap: Ints, given: Given | None = None) -> Given:
    """Serve the needs in order of precedence, each from its best sources: `allocation.decide` on arrays, without holds
    that yield. Goes on from what is `given`.
    """
    given = given or Given.nothing(market)
    keys = [precedence(need, market.now, market.policy) for need in market.needs]
    order = np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.int64)
    for tier in np.unique(tiers):
        members = order[tiers[order] == tier]
        for most in (cap, market.wanting):
            columns = np.flatnonzero(given.left)
            for rows, scores in market.blocks(members[given.got[members] < most[members]], columns):
                for line in np.flatnonzero((scores != REFUSED).any(axis=1)).tolist():
                    while _take(market, int(rows[line]), scores[line], columns, int(most[rows[line]]), given):
                        pass
    return given


def _take(market: Market, row: int, scores: Scores, columns: Ints, most: int, given: Given) -> bool:
    """One need takes from its best sources. True when it got something and wants more: what was too little to matter
    may now be what is missing.
    """
    enough = given.left[columns] >= market.minimum[columns]
    if row in given.parts:
        enough |= np.isin(columns, list(given.parts[row]))
    scores = np.where(enough, scores, REFUSED)
    before, least = int(given.got[row]), int(market.least[row])
    while (wanted := most - int(given.got[row])) > 0:
        place = int(scores.argmax()) if len(scores) else 0
        if not len(scores) or scores[place] == REFUSED:
            return int(given.got[row]) > before
        score, scores[place] = int(scores[place]), REFUSED
        column = int(columns[place])
        left, already = int(given.left[column]), given.units(row, column)
        units = min(wanted, left)
        if units > 0 and units + already >= market.minimum[column] and left + already >= min(least, wanted + already):
            given.give(row, column, units, score)
    return False
