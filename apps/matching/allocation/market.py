"""Many needs and many sources as arrays, so that pairs can be filtered and scored by the million. Pure; `now` is an
argument.

The filters and the score are those of `ranking`, held to it by a test; the score is in thousandths here. What counts as
free is what a `Source` says is free: holds on it that may be given to others must have been added by who loads.
"""

import datetime as dt
import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from operator import attrgetter
from typing import Final

import numpy as np
import numpy.typing as npt

from apps.matching.allocation.distances import GreatCircleTable, Singles
from apps.matching.allocation.groups import Bools, Floats, Goods, Ints, classify, goods_of, groups_of
from apps.matching.scoring.ranking import (
    Need,
    Place,
    Rules,
    Source,
    can_wait,
    cheapness,
    freshness,
    reach_km,
    record,
)
from apps.policy.values import PolicyValues

Scores = npt.NDArray[np.int16]

REFUSED: Final = -1
THOUSAND: Final = 1000  # a score of 1
_BLOCK: Final = 1 << 17  # pairs that are looked at together: small enough for the processor's cache
_PLACES: Final = 128  # places whose ways are measured together
_KEEP: Final = 1 << 23  # up to so many fitting pairs are kept once scored: 16 MB


class Market:
    """The needs and sources of one item, or of items linked by substitutes, each in the order of their ids.

    `kept` are (need id, source id) of suppliers who were asked already: such a pair scores `bonus` thousandths more, so
    that a small gain makes nobody's phone ring.
    """

    def __init__(
        self,
        needs: Iterable[Need],
        sources: Iterable[Source],
        rules: Rules,
        *,
        policy: PolicyValues,
        now: dt.datetime,
        kept: Collection[tuple[int, int]] = (),
        bonus: int = 0,
    ) -> None:
        self.needs = sorted(needs, key=lambda need: need.id)
        self.sources = sorted(sources, key=lambda source: source.id)
        self.policy, self.now, self.bonus = policy, now, bonus
        self.wanting = _ints(map(attrgetter("wanting"), self.needs))
        self.free = _ints(map(attrgetter("free"), self.sources))
        self.minimum = np.maximum(1, _ints(map(attrgetter("minimum_order"), self.sources)))
        self.usable = self.free >= self.minimum
        # Places are numbered in the order of their regions, so that neighbours are near each other.
        places, self.place = _places(self.needs)
        origins, self.origin = _places(self.sources)
        goods = goods_of(self.needs, self.sources, rules)
        self.groups = groups_of(goods, places, self.place, self.sources)
        self._lay_out_turns()
        self._lay_out_goods(goods)
        self._lay_out_ways(places, origins, rules)
        self._lay_out_days()
        self._lay_out_exceptions(kept)
        self._blocks: list[tuple[Ints, Ints, Scores]] | None = None

    def __len__(self) -> int:
        return len(self.needs)

    @cached_property
    def compatible(self) -> int:
        """How many pairs goods and regions let through."""
        sizes = np.bincount(self.groups.source, self.usable, minlength=self.groups.fits.shape[1])
        return int((self.groups.fits @ sizes)[self.groups.need].sum())

    def fitting(self, group: int) -> Ints:
        """The sources that may serve a group of needs. All others are refused."""
        return np.flatnonzero(self.groups.fits[group][self.groups.source] & self.usable)

    def blocks(self, rows: Ints | None = None, columns: Ints | None = None) -> Iterator[tuple[Ints, Ints, Scores]]:
        """Needs × sources (all, if not said otherwise), a few needs of a group at a time: the score in thousandths,
        `REFUSED` where a filter says no. Pairs that are in no block are refused.
        """
        if rows is not None or columns is not None:
            yield from self._fresh_blocks(rows, columns)
            return
        if self._blocks is None:
            if self.compatible > _KEEP:
                yield from self._fresh_blocks(None, None)
                return
            self._blocks = list(self._fresh_blocks(None, None))
        yield from self._blocks

    def _fresh_blocks(self, rows: Ints | None, columns: Ints | None) -> Iterator[tuple[Ints, Ints, Scores]]:
        rows = np.arange(len(self.needs)) if rows is None else rows
        columns = np.flatnonzero(self.usable) if columns is None else columns
        if len(rows) * len(columns) <= _BLOCK:
            line, place = self._fitting(rows, columns)
            if len(line):
                scores = np.full((len(rows), len(columns)), REFUSED, dtype=np.int16)
                scores[line, place] = self._score(rows[line], columns[place])
                yield rows, columns, scores
            return
        among = np.zeros(len(self.sources), dtype=bool)
        among[columns] = True
        for group, members in self.groups.members(rows):
            fitting = self.fitting(group)
            fitting = fitting[among[fitting]]
            height = max(1, _BLOCK // max(1, len(fitting)))
            for start in range(0, len(members) if len(fitting) else 0, height):
                part = members[start : start + height]
                yield part, fitting, self._score(part[:, None], fitting)

    def pairs(self, rows: Ints) -> tuple[Ints, Ints, Scores]:
        """All pairs of these needs that no filter refuses, in order, with their scores."""
        line, column = self._fitting(rows, np.arange(len(self.sources)))
        row = rows[line]
        score = self._score(row, column)
        fine = np.flatnonzero(score != REFUSED)
        return row[fine], column[fine], score[fine]

    def _fitting(self, rows: Ints, columns: Ints) -> tuple[Ints, Ints]:
        """Which of these go together as far as goods and regions decide, by their positions."""
        fits = self.groups.fits[self.groups.need[rows]][:, self.groups.source[columns]] & self.usable[columns]
        # As `np.nonzero`, which takes many times as long.
        line = np.repeat(np.arange(len(rows)), np.count_nonzero(fits, axis=1))
        return line, np.flatnonzero(fits) - line * len(columns)

    def score(self, rows: Ints, columns: Ints) -> Scores:
        """The same of single pairs."""
        scores = self._score(rows, columns)
        fits = self.usable[columns] & self.groups.fits[self.groups.need[rows], self.groups.source[columns]]
        scores[~fits] = REFUSED
        return scores

    def _lay_out_turns(self) -> None:
        """Who is served before whom, and the least that is useful: as `ranking` has it for a single need."""
        policy, target = self.policy, _ints(map(attrgetter("target"), self.needs))
        waited = _floats((self.now - need.waiting_since).total_seconds() for need in self.needs)
        self.hours = np.maximum(0.0, waited) / 3600
        lifted = (self.hours / policy.ageing_hours_per_tier).astype(np.int64)
        self.tier = np.maximum(1, _ints(map(attrgetter("tier"), self.needs)) - lifted)
        self.urgency = _ints(map(attrgetter("urgency_rank"), self.needs))
        self.days = _floats(math.inf if need.days_of_supply is None else need.days_of_supply for need in self.needs)
        self.order = np.lexsort((-waited, self.days, self.urgency, self.tier))
        self.target = np.maximum(self.wanting, target)
        matters = np.ceil(np.minimum(self.wanting, target) * policy.matter_share).astype(np.int64)
        self.least = np.maximum(1, matters)

    def _lay_out_goods(self, goods: Goods) -> None:
        """What depends on the source and on the kind of need alone: standard, freshness, record and price."""
        policy, weights = self.policy, self.policy.weights
        seconds = _floats((self.now - source.confirmed_at).total_seconds() for source in self.sources)
        kept = _floats(map(attrgetter("kept"), self.sources))
        broken = _floats(map(attrgetter("broken"), self.sources))
        own = weights["freshness"] * freshness(np.maximum(0.0, seconds) / 86_400, policy)
        own += weights["record"] * record(kept, broken, policy)
        own += weights["price"] * _floats(map(cheapness, self.sources))
        fits = np.where(np.isfinite(goods.fits), goods.fits, 0)
        self._kind = goods.need
        self._goods = (weights["standard"] * fits[:, goods.source] + own).astype(np.float32)

    def _lay_out_ways(self, places: Sequence[Place], origins: Sequence[Place], rules: Rules) -> None:
        self._way = (
            GreatCircleTable(places, origins) if rules.distances is None else rules.distances.table(places, origins)
        )
        self._nearness = np.zeros((len(places), len(origins)), dtype=np.float32)
        self._measured = np.zeros(len(places), dtype=bool)
        # Gifts wait for a need nearby, and needs that can wait may be too far for them.
        self._reach_km = _floats(reach_km(source, self.now, self.policy) for source in self.sources)
        self._can_wait = np.fromiter(map(can_wait, self.needs), dtype=bool)
        self.nearby = np.isfinite(self._reach_km) & self._can_wait.any()

    def _lay_out_days(self) -> None:
        policy = self.policy
        lead = _floats(map(attrgetter("lead_time_days"), self.sources))
        left = _floats(
            math.nan if need.needed_by is None else (need.needed_by - self.now).total_seconds() / 86_400
            for need in self.needs
        )
        self._undated = np.isnan(left)
        self._slack = (1 + np.nan_to_num(left) / policy.lateness_days).astype(np.float32)
        self._lead = (lead / policy.lateness_days).astype(np.float32)
        self._timely_undated = (1 / (1 + lead / 7)).astype(np.float32)

    def _lay_out_exceptions(self, kept: Collection[tuple[int, int]]) -> None:
        """Pairs that are refused for who they are, and pairs that were asked already: as numbers, in order."""
        self.row = {need.id: place for place, need in enumerate(self.needs)}
        self.column = column = {source.id: place for place, source in enumerate(self.sources)}
        of_organisation: dict[int, list[int]] = {}
        for place, source in enumerate(self.sources):
            of_organisation.setdefault(source.organisation_id, []).append(place)
        barred = {
            (row, place)
            for row, need in enumerate(self.needs)
            if need.excluded or need.organisation_id in of_organisation
            for place in (
                *of_organisation.get(need.organisation_id, ()),
                *(column[offer] for offer in need.excluded if offer in column),
            )
        }
        asked = {(self.row[need], column[source]) for need, source in kept if need in self.row and source in column}
        self.barred = np.array(sorted(barred), dtype=np.int64).reshape(-1, 2).T
        self._barred = self._numbers(*self.barred)
        self._asked = np.sort(self._numbers(*np.array(sorted(asked), dtype=np.int64).reshape(-1, 2).T))
        self._exceptional = np.zeros(len(self.needs), dtype=bool)
        self._exceptional[[row for row, _column in barred | asked]] = True

    def _numbers(self, rows: Ints, columns: Ints) -> Ints:
        return rows * len(self.sources) + columns

    def _score(self, rows: Ints, columns: Ints) -> Scores:
        """Of pairs whose goods and regions fit; `rows` and `columns` are broadcast against each other."""
        weights = self.policy.weights
        total = self._near(rows, columns)
        total += self._goods[self._kind[rows], columns]
        free, minimum, wanting, least = self.free[columns], self.minimum[columns], self.wanting[rows], self.least[rows]
        term = np.divide(free.astype(np.float32), wanting.astype(np.float32))
        np.minimum(term, 1, out=term)
        term *= np.float32(weights["coverage"])
        total += term
        np.subtract(self._slack[rows], self._lead[columns], out=term)
        np.clip(term, 0, 1, out=term)
        np.copyto(term, self._timely_undated[columns], where=self._undated[rows])
        term *= np.float32(weights["lead_time"])
        total += term
        total *= THOUSAND
        scores = np.rint(total, out=total).astype(np.int16)

        if minimum.max(initial=0) > wanting.min(initial=1 << 62):
            scores[minimum > wanting] = REFUSED
        if least.max(initial=0) > free.min(initial=1 << 62):
            scores[least > free] = REFUSED
        if self.nearby[columns].any():
            scores[self._too_far(rows, columns)] = REFUSED
        if self._exceptional[rows].any():
            self._make_exceptions(rows, columns, scores)
        return scores

    def _make_exceptions(self, rows: Ints, columns: Ints, scores: Scores) -> None:
        lines = np.flatnonzero(self._exceptional[rows])
        numbers = self._numbers(rows[lines], columns if rows.ndim > 1 else columns[lines])
        some = scores[lines]
        some[np.isin(numbers, self._asked) & (some != REFUSED)] += np.int16(self.bonus)
        some[np.isin(numbers, self._barred)] = REFUSED
        scores[lines] = some

    def _near(self, rows: Ints, columns: Ints) -> Singles:
        """The weighted distance term: of pairs, or of a block by the table, which is made when a place is asked for."""
        places, origins = self.place[rows], self.origin[columns]
        if rows.ndim == 1:
            return self._nearness_of(self._way[places, origins])
        new = np.unique(places[~self._measured[places]])
        for start in range(0, len(new), _PLACES):
            some = new[start : start + _PLACES]
            self._nearness[some] = self._nearness_of(self._way[some[:, None], np.arange(self._nearness.shape[1])])
        self._measured[new] = True
        return self._nearness[places, origins]

    def _nearness_of(self, km: Singles) -> Singles:
        near = np.where(np.isnan(km), 0.5, 1 / (1 + km / self.policy.half_distance_km))
        return (near * self.policy.weights["distance"]).astype(np.float32)

    def _too_far(self, rows: Ints, columns: Ints) -> Bools:
        """What waits for a need nearby; where the way is not known, it is not too far."""
        km = self._way[self.place[rows], self.origin[columns]]
        far: Bools = np.logical_and(km > self._reach_km[columns], self._can_wait[rows])
        return far


def _ints(values: Iterable[int]) -> Ints:
    return np.fromiter(values, dtype=np.int64)


def _floats(values: Iterable[float]) -> Floats:
    return np.fromiter(values, dtype=np.float64)


def _places(those: Sequence[Need | Source]) -> tuple[list[Place], Ints]:
    """Where they are, each place once, in the order of their paths, and at which each one is."""
    first, place = classify(map(attrgetter("place.path"), those))
    places = [those[one].place for one in first.tolist()]
    order = sorted(range(len(places)), key=lambda one: places[one].path)
    return [places[one] for one in order], np.argsort(order)[place]
