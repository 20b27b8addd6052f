"""Many needs and many sources as arrays, so that all pairs can be filtered and scored at once. Pure; `now` is an
argument.

The filters and the score are those of `ranking`, held to it by a test; the score is in thousandths here. What counts as
free is what a `Source` says is free: holds on it that may be given to others must have been added by who loads.
"""

import datetime as dt
import math
from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from apps.catalogue.regions import EARTH_RADIUS_KM
from apps.matching.ranking import Fit, Need, Place, Rules, Source, can_wait, fit_of, median, reach_km
from apps.policy.values import PolicyValues

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Scores = npt.NDArray[np.int16]

REFUSED: Final = -1
THOUSAND: Final = 1000  # a score of 1
_BLOCK: Final = 1 << 18  # pairs that are looked at together: small enough for the processor's cache
_CACHE: Final = 1 << 23  # so many pairs are kept once scored: 16 MB


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
        self.wanting = _ints(need.wanting for need in self.needs)
        self.free = _ints(source.free for source in self.sources)
        self.minimum = np.maximum(1, _ints(source.minimum_order for source in self.sources))
        least = (math.ceil(min(need.wanting, need.target) * policy.matter_share) for need in self.needs)
        self.least = np.maximum(1, _ints(least))

        self._organisation_of_need = _ints(need.organisation_id for need in self.needs)
        self._organisation = _ints(source.organisation_id for source in self.sources)
        self._lay_out_goods(rules)
        self._lay_out_places(rules)
        self._lay_out_days()
        self._lay_out_exceptions(kept)
        self._scored: Scores | None = None
        if 0 < len(self.needs) * len(self.sources) <= _CACHE:
            self._scored = self._score(np.arange(len(self.needs)), np.arange(len(self.sources)))

    def __len__(self) -> int:
        return len(self.needs)

    def blocks(self, rows: Ints | None = None, columns: Ints | None = None) -> Iterator[tuple[Ints, Scores]]:
        """Needs × sources (all, if not said otherwise), a few needs at a time: the score in thousandths, `REFUSED`
        where a filter says no.
        """
        rows = np.arange(len(self.needs)) if rows is None else rows
        columns = np.arange(len(self.sources)) if columns is None else columns
        height = max(1, _BLOCK // max(1, len(columns)))
        for start in range(0, len(rows), height):
            part = rows[start : start + height]
            yield part, self._score(part, columns) if self._scored is None else self._scored[np.ix_(part, columns)]

    def _lay_out_goods(self, rules: Rules) -> None:
        """What depends on the source and on the kind of need alone: standard, freshness, record and price."""
        policy, weights = self.policy, self.policy.weights
        kinds, self._kind = _classes((need.item_id, need.standard_id, need.accepts_substitutes) for need in self.needs)
        goods, good = _classes((source.item_id, source.standard_id) for source in self.sources)
        fits = np.full((len(kinds), len(goods)), -np.inf)
        for row, need in enumerate(self.needs[place] for place in kinds):
            for column, source in enumerate(self.sources[place] for place in goods):
                fit = fit_of(need, source.item_id, source.standard_id, rules)
                if isinstance(fit, Fit):
                    fits[row, column] = weights["standard"] * fit.value

        age = _floats((self.now - source.confirmed_at).total_seconds() / 86_400 for source in self.sources)
        fresh = np.clip(1 - np.maximum(0, age) / policy.offer_fresh_days, 0, 1)
        kept = _ints(source.kept for source in self.sources)
        broken = _ints(source.broken for source in self.sources)
        prior = policy.record_prior_matches
        record = (kept + policy.record_prior_share * prior) / (kept + broken + prior)
        own = weights["freshness"] * fresh + weights["record"] * record
        own[self.free < self.minimum] = -np.inf

        goods_part = fits[:, good] + own
        for row, need in enumerate(self.needs[place] for place in kinds):
            goods_part[row] += weights["price"] * self._cheap(need.item_id)
        self._goods = goods_part.astype(np.float32)

    def _cheap(self, item_id: int) -> Floats:
        """The price term of every source, against the median of the item that is needed."""
        middle = median(source.unit_price for source in self.sources if source.item_id == item_id)

        def cheap(source: Source) -> float:
            if source.is_donation:
                return 1.0
            if source.unit_price is None or not middle:
                return 0.5
            return min(1.0, max(0.0, 1.5 - source.unit_price / middle))

        return _floats(cheap(source) for source in self.sources)

    def _lay_out_places(self, rules: Rules) -> None:
        places, self._place = _classes(need.place for need in self.needs)
        origins, self._origin = _classes(source.place for source in self.sources)
        reaches, self._reach = _classes(source.ships_to for source in self.sources)
        here, there = [self.needs[place].place for place in places], [self.sources[place].place for place in origins]
        self._distances = _Globe(here, there) if rules.distances is None else rules.distances.table(here, there)
        self._nearness = np.full((len(places), len(origins)), np.nan, dtype=np.float32)
        self._reach_km = _floats(reach_km(source, self.now, self.policy) for source in self.sources)
        self._can_wait = np.array([can_wait(need) for need in self.needs], dtype=bool)
        self._limited = bool(self._can_wait.any() and np.isfinite(self._reach_km).any())
        self._km = self._nearness.copy() if self._limited else self._nearness[:0]
        codes = [set(self.needs[place].place.path.split("/")) for place in places]
        areas = [self.sources[reach].ships_to for reach in reaches]
        ships = [[not area or not area.isdisjoint(there) for area in areas] for there in codes]
        self._ships = np.array(ships, dtype=bool).reshape(len(places), len(reaches))

    def _lay_out_days(self) -> None:
        policy = self.policy
        lead = _floats(source.lead_time_days for source in self.sources)
        left = _floats(
            math.nan if need.needed_by is None else (need.needed_by - self.now).total_seconds() / 86_400
            for need in self.needs
        )
        self._undated = np.isnan(left)
        self._slack = (1 + np.nan_to_num(left) / policy.lateness_days).astype(np.float32)
        self._lead = (lead / policy.lateness_days).astype(np.float32)
        self._timely_undated = (1 / (1 + lead / 7)).astype(np.float32)

    def _lay_out_exceptions(self, kept: Collection[tuple[int, int]]) -> None:
        self.row = {need.id: place for place, need in enumerate(self.needs)}
        self.column = column = {source.id: place for place, source in enumerate(self.sources)}
        self._excluded = {
            place: [column[offer] for offer in sorted(need.excluded) if offer in column]
            for place, need in enumerate(self.needs)
            if need.excluded
        }
        self._kept: dict[int, list[int]] = {}
        for need_id, source_id in sorted(kept):
            if need_id in self.row and source_id in column:
                self._kept.setdefault(self.row[need_id], []).append(column[source_id])

    def _score(self, rows: Ints, columns: Ints) -> Scores:
        weights = self.policy.weights
        free, minimum = self.free[columns], self.minimum[columns]
        total = self._goods[:, columns][self._kind[rows]]
        total += np.float32(weights["distance"]) * self._near(rows, columns)
        covered = np.minimum(np.float32(1), free.astype(np.float32) / self.wanting[rows, None].astype(np.float32))
        covered *= np.float32(weights["coverage"])
        total += covered
        timely = np.subtract(self._slack[rows, None], self._lead[columns], out=covered)
        np.clip(timely, 0, 1, out=timely)
        timely[self._undated[rows]] = self._timely_undated[columns]
        timely *= np.float32(weights["lead_time"])
        total += timely

        refused = np.isneginf(total)
        refused |= ~self._ships[:, self._reach[columns]][self._place[rows]]
        refused |= self._organisation_of_need[rows, None] == self._organisation[columns]
        refused |= self.wanting[rows, None] < minimum
        refused |= self.least[rows, None] > free
        if self._limited:
            refused |= self._too_far(rows, columns)
        total *= THOUSAND
        np.rint(total, out=total)
        total[refused] = REFUSED
        scores = total.astype(np.int16)
        for line, row in enumerate(rows.tolist()):
            if row in self._kept:
                held = np.isin(columns, self._kept[row]) & (scores[line] != REFUSED)
                scores[line, held] += np.int16(self.bonus)
            if row in self._excluded:
                scores[line, np.isin(columns, self._excluded[row])] = REFUSED
        return scores

    def _near(self, rows: Ints, columns: Ints) -> npt.NDArray[np.float32]:
        """The distance term. Worked out once for each place of a need."""
        places, line = np.unique(self._place[rows], return_inverse=True)
        new = places[np.isnan(self._nearness[places, :1]).any(axis=1)]
        if len(new):
            km = self._distances[new]
            self._nearness[new] = np.where(np.isnan(km), 0.5, 1 / (1 + km / self.policy.half_distance_km))
            if self._limited:
                self._km[new] = km
        return self._nearness[places][:, self._origin[columns]][line.reshape(-1)]

    def _too_far(self, rows: Ints, columns: Ints) -> npt.NDArray[np.bool_]:
        """Gifts that wait for a need nearby; where the way is not known, it is not too far."""
        places, line = np.unique(self._place[rows], return_inverse=True)
        km = self._km[places][:, self._origin[columns]]
        too_far = (km > self._reach_km[columns])[line.reshape(-1)]
        too_far &= self._can_wait[rows, None]
        return np.asarray(too_far, dtype=np.bool_)


def _ints(values: Iterable[int]) -> Ints:
    return np.fromiter(values, dtype=np.int64)


def _floats(values: Iterable[float]) -> Floats:
    return np.fromiter(values, dtype=np.float64)


def _classes(keys: Iterable[Hashable]) -> tuple[list[int], Ints]:
    """The position of the first of each kind, and of which kind each one is."""
    first: list[int] = []
    number: dict[Hashable, int] = {}
    kinds = []
    for place, key in enumerate(keys):
        if key not in number:
            number[key] = len(first)
            first.append(place)
        kinds.append(number[key])
    return first, _ints(kinds)


class _Globe:
    """Kilometres between places, by rows: the chord between two points on the globe gives the way along it."""

    def __init__(self, here: Sequence[Place], there: Sequence[Place]) -> None:
        self._here, self._there = _on_the_globe(here), _on_the_globe(there)

    def __getitem__(self, rows: Ints) -> Floats:
        chord = np.sqrt(np.clip((1 - self._here[rows] @ self._there.T) / 2, 0, 1))
        return np.asarray(2 * EARTH_RADIUS_KM * np.arcsin(chord), dtype=np.float64)


def _on_the_globe(places: Sequence[Place]) -> Floats:
    """Points on the unit sphere; NaN where a place has no coordinates."""

    def point(place: Place) -> tuple[float, float, float]:
        if place.latitude is None or place.longitude is None:
            return (math.nan, math.nan, math.nan)
        latitude, longitude = math.radians(place.latitude), math.radians(place.longitude)
        return (
            math.cos(latitude) * math.cos(longitude),
            math.cos(latitude) * math.sin(longitude),
            math.sin(latitude),
        )

    return np.array([point(place) for place in places]).reshape(-1, 3)
