"""The greedy plan on arrays: one need after the other takes from its best sources. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from apps.matching.arcs import Arcs
from apps.matching.groups import Ints
from apps.matching.market import REFUSED, Market, Scores

_TOGETHER = 1024  # needs whose scores are worked out together


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
        row, column, units = arcs.row[used], arcs.column[used], quantity[used]
        np.add.at(given.got, row, units)
        np.subtract.at(given.left, column, units)
        lists = (values.tolist() for values in (row, column, units, arcs.score[used]))
        for need, source, some, score in zip(*lists, strict=True):
            given.parts.setdefault(need, {})[source] = Part(some, score)
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


def greedy(market: Market, cap: Ints, given: Given | None = None) -> Given:
    """Serve the needs in order of precedence, each from its best sources: `allocation.decide` on arrays, without holds
    that yield. Goes on from what is `given`.
    """
    given = given or Given.nothing(market)
    for _members in _tier_by_tier(market, cap, given):
        pass
    return given


def rival(market: Market, cap: Ints, plan: Given) -> Given | None:
    """What the needs get one after the other; None as soon as a tier gets less than by `plan`, and none above it more:
    nothing that comes later makes up for that.
    """
    given, ahead = Given.nothing(market), False
    for members in _tier_by_tier(market, cap, given):
        lead = int(given.got[members].sum() - plan.got[members].sum())
        if lead < 0 and not ahead:
            return None
        ahead |= lead > 0
    return given


def _tier_by_tier(market: Market, cap: Ints, given: Given) -> Iterator[Ints]:
    """Serve one tier after the other, and say whose turn it was."""
    for tier in np.unique(market.tier):
        members = market.order[market.tier[market.order] == tier]
        for most in (cap, market.wanting):
            short = members[given.got[members] < most[members]]
            for start in range(0, len(short), _TOGETHER):
                for row, columns, scores in _lines(market, short[start : start + _TOGETHER], given):
                    while _take(market, row, scores, columns, int(most[row]), given):
                        pass
        yield members


def _lines(market: Market, rows: Ints, given: Given) -> Iterator[tuple[int, Ints, Scores]]:
    """Each of these needs in turn, with the sources that have something left for it, and how they score."""
    lines = {}
    left = np.flatnonzero(given.left)
    for some, columns, scores in market.blocks(rows, left) if len(left) else ():
        for line in np.flatnonzero((scores != REFUSED).any(axis=1)).tolist():
            lines[int(some[line])] = columns, scores[line]
    for row in rows.tolist():
        if row in lines:
            yield row, *lines[row]


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
        place = int(scores.argmax())
        if scores[place] == REFUSED:
            return int(given.got[row]) > before
        score, scores[place] = int(scores[place]), REFUSED
        column = int(columns[place])
        left, already = int(given.left[column]), given.units(row, column)
        units = min(wanted, left)
        if units > 0 and units + already >= market.minimum[column] and left + already >= min(least, wanted + already):
            given.give(row, column, units, score)
    return False
