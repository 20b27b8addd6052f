"""The greedy plan on arrays: one need after the other takes from its best sources. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from apps.matching.allocation.arcs import Arcs
from apps.matching.allocation.groups import Ints
from apps.matching.allocation.market import REFUSED, Market, Scores

_TOGETHER = 1024  # needs whose scores are worked out together


class Part(NamedTuple):
    units: int
    score: int  # per unit, in thousandths


@dataclass
class Assignment:
    """Who was given what so far: per need and source, what each need got and what each source has left."""

    parts: dict[int, dict[int, Part]]
    got: Ints
    left: Ints

    @classmethod
    def nothing(cls, market: Market) -> "Assignment":
        return cls({}, np.zeros(len(market.needs), dtype=np.int64), market.free.copy())

    @classmethod
    def of(cls, market: Market, arcs: Arcs, quantity: Ints) -> "Assignment":
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
        mine = self.parts.setdefault(row, {})
        mine[column] = Part(units + (mine[column].units if column in mine else 0), score)
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


def greedy(market: Market, cap: Ints, given: Assignment | None = None) -> Assignment:
    """Serve the needs in order of precedence, each from its best sources: `allocation.decide` on arrays, without holds
    that yield. Goes on from what is `given`.
    """
    given = given or Assignment.nothing(market)
    for members in _tiers(market):
        for _row in _serve(market, members, cap, given):
            pass
    return given


def rival(market: Market, cap: Ints, plan: Assignment) -> Assignment | None:
    """What the needs get one after the other; None as soon as a tier must get less than by `plan`, and none above it
    more: nothing that comes later makes up for that.
    """
    given, ahead = Assignment.nothing(market), False
    for members in _tiers(market):
        lead = int((market.wanting - plan.got)[members].sum())
        for row in _serve(market, members, cap, given):
            lead -= int(market.wanting[row] - given.got[row])
            if lead < 0 and not ahead:
                return None
        ahead |= lead > 0
    return given


def _tiers(market: Market) -> Iterator[Ints]:
    """The needs of each tier, in the order of precedence."""
    tier = market.tier[market.order]
    yield from np.split(market.order, np.flatnonzero(np.diff(tier)) + 1)


def _serve(market: Market, members: Ints, cap: Ints, given: Assignment) -> Iterator[int]:
    """Serve the needs of a tier, each up to its cap and then up to what it wants, and say of each that was short when
    it has got all that it will get.
    """
    # Whose cap is all it wants has its turn once: what is left only gets less.
    for most, turn in ((cap, members), (market.wanting, members[cap[members] < market.wanting[members]])):
        short = turn[given.got[turn] < most[turn]]
        for start in range(0, len(short), _TOGETHER):
            rows = short[start : start + _TOGETHER]
            lines = _lines(market, rows, given)
            for row in rows.tolist():
                if row in lines:
                    columns, scores = lines[row]
                    while _take(market, row, scores, columns, int(most[row]), given):
                        pass
                if most[row] == market.wanting[row]:
                    yield row


def _lines(market: Market, rows: Ints, given: Assignment) -> dict[int, tuple[Ints, Scores]]:
    """For each of these needs the sources that have something left for it, and how they score."""
    lines = {}
    left = np.flatnonzero(given.left)
    for some, columns, scores in market.blocks(rows, left) if len(left) else ():
        for line in np.flatnonzero((scores != REFUSED).any(axis=1)).tolist():
            lines[int(some[line])] = columns, scores[line]
    return lines


def _take(market: Market, row: int, scores: Scores, columns: Ints, most: int, given: Assignment) -> bool:
    """One need takes from its best sources. True when it got something and wants more: what was too little to matter
    may now be what is missing.
    """
    enough = (given.left >= market.minimum)[columns]
    mine = given.parts.get(row, {})
    if mine:
        enough |= np.isin(columns, list(mine))
    scores = np.where(enough, scores, REFUSED)
    before = given.got.item(row)
    wanted, least = most - before, market.least.item(row)
    while wanted > 0:
        place = int(scores.argmax())
        score, column = scores.item(place), columns.item(place)
        if score == REFUSED:
            return most - wanted > before
        scores[place] = REFUSED
        left, already = given.left.item(column), mine[column].units if column in mine else 0
        units = min(wanted, left)
        if 0 < units >= market.minimum.item(column) - already and left + already >= min(least, wanted + already):
            given.give(row, column, units, score)
            wanted -= units
    return False
