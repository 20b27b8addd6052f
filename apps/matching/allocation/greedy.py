"""The greedy plan on arrays: one need after the other takes from its best sources. Pure."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from apps.matching.allocation.arcs import Arcs
from apps.matching.allocation.exceptions import REFUSED, Scores
from apps.matching.allocation.groups import Ints
from apps.matching.allocation.market import Market

_TOGETHER = 1024  # needs whose scores are computed in one go


def never() -> bool:
    """There is time."""
    return False


class Load(NamedTuple):
    """The load of one arc: a shipment of one source to one need."""

    units: int
    score: int  # per unit, in thousandths


@dataclass
class Assignment:
    """A plan while it is being made. It is changed in place."""

    loads: dict[int, dict[int, Load]]  # by need (row), then source (column)
    assigned: Ints  # (n_needs,): units of each need
    residual: Ints  # (n_sources,): units that each source has left

    @classmethod
    def empty(cls, market: Market) -> "Assignment":
        return cls({}, np.zeros(len(market.needs), dtype=np.int64), market.free.copy())

    @classmethod
    def of_flow(cls, market: Market, arcs: Arcs, quantity: Ints) -> "Assignment":
        """The arcs that carry something; `quantity` has shape (n_arcs,)."""
        made = cls.empty(market)
        used = np.flatnonzero(quantity)
        row, column, units = arcs.row[used], arcs.column[used], quantity[used]
        np.add.at(made.assigned, row, units)
        np.subtract.at(made.residual, column, units)
        lists = (values.tolist() for values in (row, column, units, arcs.score[used]))
        for need, source, some, score in zip(*lists, strict=True):
            made.loads.setdefault(need, {})[source] = Load(some, score)
        return made

    def add(self, row: int, column: int, units: int, score: int) -> None:
        """Give so many units more to a need."""
        own = self.loads.setdefault(row, {})
        own[column] = Load(units + (own[column].units if column in own else 0), score)
        self.assigned[row] += units
        self.residual[column] -= units

    def remove(self, row: int, column: int) -> None:
        """Give a need nothing of this source."""
        units = self.loads[row].pop(column).units
        self.assigned[row] -= units
        self.residual[column] += units

    def units(self, row: int, column: int) -> int:
        """What the need gets of this source; 0 if nothing."""
        own = self.loads.get(row, {})
        return own[column].units if column in own else 0

    @property
    def shipments(self) -> int:
        return sum(len(own) for own in self.loads.values())

    @property
    def score(self) -> int:
        """The sum of units × score, in thousandths."""
        return sum(load.units * load.score for own in self.loads.values() for load in own.values())

    def triples(self) -> Ints:
        """All loads, in order of the needs, as three rows: needs, sources, units."""
        found = sorted((row, column, load.units) for row, own in self.loads.items() for column, load in own.items())
        return np.array(found, dtype=np.int64).reshape(-1, 3).T

    def arcs(self) -> Arcs:
        found = sorted((row, column, load.score) for row, own in self.loads.items() for column, load in own.items())
        return Arcs(*np.array(found, dtype=np.int64).reshape(-1, 3).T)


def greedy(
    market: Market, cap: Ints, start: Assignment | None = None, expired: Callable[[], bool] = never
) -> Assignment:
    """Serve the needs in order of precedence, each from its best sources, first up to `cap` (n_needs,), then in full.

    This is `sequential.decide` on arrays, without holds that yield. It fills up `start` in place, if that is given.
    When time is up, nobody else is served: what is left stays for those whose turn it was.
    """
    assignment = start or Assignment.empty(market)
    for members in _tiers(market):
        for _row in _serve(market, members, cap, assignment, expired):
            pass
    return assignment


def greedy_unless_worse(market: Market, cap: Ints, plan: Assignment) -> Assignment | None:
    """The greedy plan; None as soon as it must serve a tier less than `plan` does, and no higher tier more.

    Tiers are compared first, so nothing that greedy does later makes up for that. Giving up early saves most of it.
    """
    assignment, ahead = Assignment.empty(market), False
    for members in _tiers(market):
        # What `plan` leaves short in this tier. Greedy is no worse while its own shortfalls stay within that.
        lead = int((market.remaining - plan.assigned)[members].sum())
        for row in _serve(market, members, cap, assignment):
            lead -= int(market.remaining[row] - assignment.assigned[row])
            if lead < 0 and not ahead:
                return None
        # Once greedy has served a tier more, plans are decided: lower tiers do not matter any more.
        ahead |= lead > 0
    return assignment


def _tiers(market: Market) -> Iterator[Ints]:
    """The needs of each tier, in the order of precedence."""
    tier = market.tier[market.order]
    # `order` is sorted by tier first, so a tier ends where the number changes.
    yield from np.split(market.order, np.flatnonzero(np.diff(tier)) + 1)


def _serve(
    market: Market, members: Ints, cap: Ints, assignment: Assignment, expired: Callable[[], bool] = never
) -> Iterator[int]:
    """Serve the needs of a tier, first up to the cap, then in full. Yields each need that was short when it is done."""
    # A need whose cap equals its remaining quantity gets one turn, because a later turn could only give it less.
    for limit, turn in ((cap, members), (market.remaining, members[cap[members] < market.remaining[members]])):
        # Stock only shrinks within a turn, and `_take` looks at what is left, so options may be computed in batches.
        short = turn[assignment.assigned[turn] < limit[turn]]
        for start in range(0, len(short), _TOGETHER):
            if expired():
                return
            rows = short[start : start + _TOGETHER]
            options = _options(market, rows, assignment)
            for row in rows.tolist():
                if row in options:
                    columns, scores = options[row]
                    while _take(market, row, scores, columns, int(limit[row]), assignment):
                        pass
                # In the first turn a need with a smaller cap is not done yet.
                if limit[row] == market.remaining[row]:
                    yield row


def _options(market: Market, rows: Ints, assignment: Assignment) -> dict[int, tuple[Ints, Scores]]:
    """The compatible sources with something left, and their scores, by need (row). Needs without any are left out."""
    options = {}
    left = np.flatnonzero(assignment.residual)
    for some, columns, scores in market.blocks(rows, left) if len(left) else ():
        for index in np.flatnonzero((scores != REFUSED).any(axis=1)).tolist():
            options[int(some[index])] = columns, scores[index]
    return options


def _take(market: Market, row: int, scores: Scores, columns: Ints, limit: int, assignment: Assignment) -> bool:
    """One need takes from its best sources, up to `limit` units in all.

    Returns whether to try again: it got something and wants more. A source with too little to be useful may then hold
    all that is still missing.
    """
    # A source must have its minimum order left, unless it sends to this need anyway.
    enough = (assignment.residual >= market.minimum)[columns]
    own = assignment.loads.get(row, {})
    if own:
        enough |= np.isin(columns, list(own))
    scores = np.where(enough, scores, REFUSED)
    before = assignment.assigned.item(row)
    wanted, minimum_useful = limit - before, market.minimum_useful.item(row)
    while wanted > 0:
        # `argmax` gives the first of equal scores: the smaller id, as in `scoring.ranking`.
        index = int(scores.argmax())
        score, column = scores.item(index), columns.item(index)
        if score == REFUSED:
            return limit - wanted > before
        scores[index] = REFUSED
        left, already = assignment.residual.item(column), own[column].units if column in own else 0
        units = min(wanted, left)
        # A small rest is useful if it is all that is still wanted.
        is_useful = left + already >= min(minimum_useful, wanted + already)
        if 0 < units >= market.minimum.item(column) - already and is_useful:
            assignment.add(row, column, units, score)
            wanted -= units
    return False
