"""Many needs and many sources as arrays, so that pairs can be filtered and scored by the million. Pure; `now` is an
argument.

The checks are those of `scoring.eligibility`, the score is made of `scoring.terms`; it is in thousandths here. What
does not differ from pair to pair is worked out before: for each kind of goods, each two locations, each source. What
counts as free is what a `Source` says is free: `loading` must have added the holds on it that may be given to others.
"""

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from operator import attrgetter
from typing import Final

import numpy as np
import numpy.typing as npt

from apps.matching.allocation.distances import GreatCircleTable, Singles
from apps.matching.allocation.exceptions import REFUSED, Exceptions, Scores
from apps.matching.allocation.groups import Bools, Floats, Goods, Ints, goods_of, groups_of
from apps.matching.scoring import facts, terms
from apps.matching.scoring.eligibility import Check, Reason, checks
from apps.matching.scoring.facts import Location, Need, Rules, Source, classify
from apps.matching.scoring.precedence import aged_tier, days_of_supply
from apps.policy.values import PolicyValues

THOUSAND: Final = 1000  # a score of 1
_BLOCK: Final = 1 << 17  # pairs that are looked at together: small enough for the processor's cache
_LOCATIONS: Final = 128  # locations whose ways are measured together
_KEEP: Final = 1 << 23  # up to so many fitting pairs are kept once scored: 16 MB

# Checks that groups of needs and classes of sources decide (`groups`), and those that quantities decide.
_OF_GROUPS: Final = {"accepted", "meets", "ships_here"}
_BY_QUANTITY: Final = {Reason.MINIMUM, Reason.LITTLE}


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
        # In the order of ids equal scores are decided alike everywhere, and the order of the input does not matter.
        self.needs = sorted(needs, key=lambda need: need.id)
        self.sources = sorted(sources, key=lambda source: source.id)
        self.policy, self.now, self.bonus = policy, now, bonus
        self._rules, self._kept = rules, kept
        self.remaining = _ints(map(attrgetter("remaining"), self.needs))
        self.free = _ints(map(attrgetter("free"), self.sources))
        # A minimum of 0 and of 1 are the same, as nobody sends 0 units. With 1 a source without stock is never enough.
        self.minimum = np.maximum(1, _ints(map(attrgetter("minimum_order"), self.sources)))
        # Locations are numbered in the order of their regions, so that neighbours are near each other.
        locations, self.location = _locations(self.needs)
        origins, self.origin = _locations(self.sources)
        goods = goods_of(self.needs, self.sources, rules)
        self.groups = groups_of(goods, locations, self.location, self.sources)
        self._read_facts()
        self._lay_out_turns()
        self._lay_out_terms(goods, len(locations), len(origins))
        self._way = (
            GreatCircleTable(locations, origins)
            if rules.distances is None
            else rules.distances.table(locations, origins)
        )
        self._lay_out_checks()
        self.exceptions = Exceptions(self.needs, self.sources, kept, bonus)
        self.row, self.column = self.exceptions.row, self.exceptions.column
        self._blocks: list[tuple[Ints, Ints, Scores]] | None = None

    def __len__(self) -> int:
        return len(self.needs)

    def part(self, needs: Iterable[Need], sources: Iterable[Source]) -> "Market":
        """Some of the needs and sources as a market of their own."""
        return Market(needs, sources, self._rules, policy=self.policy, now=self.now, kept=self._kept, bonus=self.bonus)

    @cached_property
    def compatible(self) -> int:
        """How many pairs goods and regions let through."""
        sizes = np.bincount(self.groups.source, self.usable, minlength=self.groups.fits.shape[1])
        return int((self.groups.fits @ sizes)[self.groups.need].sum())

    def fitting(self, group: int) -> Ints:
        """The sources that may serve a group of needs. All others are refused."""
        return np.flatnonzero(self.groups.fits[group][self.groups.source] & self.usable)

    def blocks(self, rows: Ints | None = None, columns: Ints | None = None) -> Iterator[tuple[Ints, Ints, Scores]]:
        """Scores of needs × sources in blocks: rows, columns, and scores of shape (n_rows, n_columns).

        A block has some needs of one group. Scores are in thousandths, `REFUSED` where a filter says no. Pairs that are
        in no block are refused. `rows` and `columns` are all needs and all sources unless they are given.
        """
        if rows is not None or columns is not None:
            yield from self._fresh_blocks(rows, columns)
            return
        # Later steps ask for all blocks again, so they are kept where memory allows.
        if self._blocks is None:
            if self.compatible > _KEEP:
                yield from self._fresh_blocks(None, None)
                return
            self._blocks = list(self._fresh_blocks(None, None))
        yield from self._blocks

    def _fresh_blocks(self, rows: Ints | None, columns: Ints | None) -> Iterator[tuple[Ints, Ints, Scores]]:
        rows = np.arange(len(self.needs)) if rows is None else rows
        columns = np.flatnonzero(self.usable) if columns is None else columns
        # A small question is one block, filled where goods and regions fit: quicker than a loop over groups.
        if len(rows) * len(columns) <= _BLOCK:
            line, index = self._fitting(rows, columns)
            if len(line):
                scores = np.full((len(rows), len(columns)), REFUSED, dtype=np.int16)
                scores[line, index] = self._score(rows[line], columns[index])
                yield rows, columns, scores
            return
        among = np.zeros(len(self.sources), dtype=bool)
        among[columns] = True
        # A large one goes group by group: all members have the same sources, so no entry of a block is wasted.
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
        """The positions, in `rows` and in `columns`, of pairs that goods and regions let through."""
        fits = self.groups.fits[self.groups.need[rows]][:, self.groups.source[columns]] & self.usable[columns]
        # As `np.nonzero`, which takes many times as long.
        line = np.repeat(np.arange(len(rows)), np.count_nonzero(fits, axis=1))
        return line, np.flatnonzero(fits) - line * len(columns)

    def score(self, rows: Ints, columns: Ints) -> Scores:
        """The scores of single pairs in thousandths, `REFUSED` where a filter says no. All have shape (n_pairs,)."""
        scores = self._score(rows, columns)
        fits = self.usable[columns] & self.groups.fits[self.groups.need[rows], self.groups.source[columns]]
        scores[~fits] = REFUSED
        return scores

    def _read_facts(self) -> None:
        names = {name for term in terms.registered() for name in term.reads}
        names |= {name for check in checks() for name in check.reads}
        self._of_needs = facts.of_needs(names, self.needs, self.now, self.policy)
        self._of_sources = facts.of_sources(names, self.sources, self.now, self.policy)
        # Nothing is taken over here: a source has what it says is free.
        self._of_sources["available"] = self._of_sources["free"] = self.free.astype(np.float64)
        self.minimum_useful = self._of_needs["minimum_useful"].astype(np.int64)

    def _lay_out_turns(self) -> None:
        """The order of `scoring.precedence`: the tier after ageing, urgency, days of supply, waiting."""
        waited = _floats((self.now - need.waiting_since).total_seconds() for need in self.needs)
        self.hours = np.maximum(0.0, waited) / 3600
        self.tier = aged_tier(_ints(map(attrgetter("tier"), self.needs)), self.hours, self.policy)
        self.urgency = _ints(map(attrgetter("urgency_rank"), self.needs))
        self.days = _floats(map(days_of_supply, self.needs))
        # `lexsort` sorts by its last key first. It is stable, so the id decides ties.
        self.order = np.lexsort((-waited, self.days, self.urgency, self.tier))
        self.target = np.maximum(self.remaining, _ints(map(attrgetter("target"), self.needs)))

    def _lay_out_terms(self, goods: Goods, locations: int, origins: int) -> None:
        """Each term where it differs least often: by source and kind of goods, by two locations, or by pair."""
        weights = self.policy.weights
        of_goods = [term for term in terms.pair_terms() if set(term.reads) <= {"fit", *facts.SOURCE}]
        self._of_ways = [term for term in terms.pair_terms() if term.reads == ("km",)]
        self._of_pairs = [term for term in terms.pair_terms() if term not in of_goods and term not in self._of_ways]
        # Terms that only the source decides are one number for each source.
        of_source = np.zeros(len(self.sources))
        for term in terms.source_terms():
            of_source = of_source + weights[term.name] * term(self.policy, self._of_sources)
        # Where goods do not fit any number does: `groups` refuses the pair.
        fits = np.where(np.isfinite(goods.fits), goods.fits, 0)[:, goods.source]
        # Terms of goods are one number for each kind of need and source.
        by_kind = np.zeros(fits.shape)
        for term in of_goods:
            by_kind = by_kind + weights[term.name] * term(self.policy, {**self._of_sources, "fit": fits})
        self._kind = goods.need
        self._fit = fits.astype(np.float32)
        self._goods = (by_kind + of_source).astype(np.float32)
        # Filled where a location is asked for.
        self._nearness = np.zeros((locations, origins), dtype=np.float32)
        self._measured = np.zeros(locations, dtype=bool)

    def _lay_out_checks(self) -> None:
        """Which sources are of use to nobody, and which must be looked at pair by pair.

        Groups decide on goods and regions. `arcs.eligible_supply` adds up what minimum orders and too little stock
        leave, without looking at pairs.
        """
        self.usable = np.ones(len(self.sources), dtype=bool)
        self.pairwise = np.zeros(len(self.sources), dtype=bool)
        self._checks: list[Check] = []
        for check in checks():
            # Listed checks name single pairs (`exceptions`), and groups know the others.
            if check.listed or set(check.reads) <= _OF_GROUPS:
                continue
            # A check of the source alone is answered once for all needs.
            if set(check.reads) <= facts.SOURCE.keys():
                self.usable &= ~check.refuses(self._of_sources)
                continue
            self._checks.append(check)
            # Sums by quantity (`arcs.eligible_supply`) know minimum orders and useful quantities, and no other check.
            if check.reason not in _BY_QUANTITY:
                self.pairwise |= self._may_refuse(check)
        names = {name for term in self._of_pairs for name in term.reads}
        names |= {name for check in self._checks for name in check.reads}
        self._need_columns = {name: _narrow(self._of_needs[name]) for name in names if name in facts.NEED}
        self._source_columns = {name: _narrow(self._of_sources[name]) for name in names if name in facts.SOURCE}

    def _may_refuse(self, check: Check) -> Bools:
        """The sources that a check could refuse for one of these needs, wherever they are."""
        named = [name for name in check.reads if name in facts.NEED]
        of_needs = np.stack([self._of_needs[name] for name in named]) if named else np.zeros((0, 1))
        # Each combination of the facts of needs once, at the worst distance: one array asks about all needs.
        kinds = np.unique(of_needs, axis=1)[:, :, None]
        elsewhere = {"km": np.inf, "fit": 1.0, "accepted": 1, "meets": 1, "ships_here": 1}
        refused = check.refuses({**elsewhere, **self._of_sources, **dict(zip(named, kinds, strict=True))})
        return np.asarray(np.broadcast_to(refused, (kinds.shape[1], len(self.sources))).any(axis=0))

    def _score(self, rows: Ints, columns: Ints) -> Scores:
        """The scores of pairs whose goods and regions fit. `rows` and `columns` are broadcast against each other."""
        total = self._near(rows, columns)
        total += self._goods[self._kind[rows], columns]
        given = _Given(self, rows, columns)
        for term in self._of_pairs:
            total += term(self.policy, given) * np.float32(self.policy.weights[term.name])
        total *= THOUSAND
        # In 16 bits, because whole markets are kept: a score has at most 1000 and the bonus.
        scores = np.rint(total, out=total).astype(np.int16)

        for check in self._checks:
            # Other checks refuse only where a source is marked, so most blocks skip them.
            if check.reason in _BY_QUANTITY or self.pairwise[columns].any():
                np.copyto(scores, REFUSED, where=check.refuses(given))
        self.exceptions.apply(rows, columns, scores)
        return scores

    def _near(self, rows: Ints, columns: Ints) -> Singles:
        """The weighted distance term, of single pairs or of a block.

        A block reads a table of locations × origins. Its row is computed when a location is first asked for.
        """
        places, origins = self.location[rows], self.origin[columns]
        # Single pairs are spread over many locations, so whole rows of the table would be made for nothing.
        if rows.ndim == 1:
            return self._nearness_of(self._way[places, origins])
        new = np.unique(places[~self._measured[places]])
        # In parts, so that the temporary arrays of a trigonometric formula stay small.
        for start in range(0, len(new), _LOCATIONS):
            some = new[start : start + _LOCATIONS]
            self._nearness[some] = self._nearness_of(self._way[some[:, None], np.arange(self._nearness.shape[1])])
        self._measured[new] = True
        return self._nearness[places, origins]

    def _nearness_of(self, km: Singles) -> Singles:
        """The weighted terms that only the way decides."""
        near = np.zeros(km.shape, dtype=np.float32)
        for term in self._of_ways:
            near += (term(self.policy, {"km": km}) * self.policy.weights[term.name]).astype(np.float32)
        return near

    def fact(self, name: str, rows: Ints, columns: Ints) -> npt.NDArray[np.floating]:
        """A fact of pairs, or of a block."""
        if name in self._need_columns:
            return self._need_columns[name][rows]
        if name in self._source_columns:
            return self._source_columns[name][columns]
        if name == "km":
            return np.asarray(self._way[self.location[rows], self.origin[columns]])
        return self._fit[self._kind[rows], columns]


class _Given(dict[str, npt.NDArray[np.floating]]):
    """The facts of a block, each looked up when it is first asked for."""

    def __init__(self, market: Market, rows: Ints, columns: Ints) -> None:
        self._market, self._rows, self._columns = market, rows, columns

    def __missing__(self, name: str) -> npt.NDArray[np.floating]:
        self[name] = found = self._market.fact(name, self._rows, self._columns)
        return found


def _narrow(values: Floats) -> npt.NDArray[np.floating]:
    """The values in single precision, which is twice as fast, unless whole numbers would lose digits."""
    narrow = values.astype(np.float32)
    is_whole = np.array_equal(values, np.rint(values))
    return values if is_whole and not np.array_equal(narrow, values) else narrow


def _ints(values: Iterable[int]) -> Ints:
    return np.fromiter(values, dtype=np.int64)


def _floats(values: Iterable[float]) -> Floats:
    return np.fromiter(values, dtype=np.float64)


def _locations(those: Sequence[Need | Source]) -> tuple[list[Location], Ints]:
    """The distinct locations in the order of their paths, and for each need or source the index of its own."""
    first, index = classify(map(attrgetter("location.path"), those))
    locations = [those[one].location for one in first.tolist()]
    order = sorted(range(len(locations)), key=lambda one: locations[one].path)
    return [locations[one] for one in order], np.argsort(order)[index]
