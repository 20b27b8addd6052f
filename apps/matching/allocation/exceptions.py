"""Pairs of a market that are exceptions: refused for who they are, or asked already. Pure.

In an old market pairs that are refused are millions, because needs name thousands of sources. Most of these lists are
shared by needs of one kind (`OfferSet`): each is kept once, as a bit for each source. The other pairs are numbers,
need × sources + source, in order.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from apps.matching.allocation.groups import Bools, Ints
from apps.matching.scoring.eligibility import checks
from apps.matching.scoring.facts import Need, Source
from apps.matching.scoring.offer_sets import OfferSet

Scores = npt.NDArray[np.int16]

REFUSED: Final = -1
_AT_ONCE: Final = 1 << 17  # pairs


class Exceptions:
    """`kept` are (need id, source id) that were asked already: they score `bonus` thousandths more."""

    def __init__(
        self, needs: Sequence[Need], sources: Sequence[Source], kept: Collection[tuple[int, int]], bonus: int
    ) -> None:
        self.row = {need.id: index for index, need in enumerate(needs)}
        self.column = {source.id: index for index, source in enumerate(sources)}
        self._width, self._bonus = len(sources), np.int16(bonus)
        here = ((need, source) for need, source in kept if need in self.row and source in self.column)
        self._asked = self._numbers([(self.row[need], self.column[source]) for need, source in here])
        self._read_lists(needs, sources)
        self._has_some = self._list != len(self._lists) - 1
        for numbers in (self._barred, self._asked):
            self._has_some[numbers // max(1, self._width)] = True

    def _read_lists(self, needs: Sequence[Need], sources: Sequence[Source]) -> None:
        """Lay out the pairs that listed checks refuse: `_lists` that needs share, the last of them empty, which of them
        is whose (`_list`), and what each need has of its own (`_barred`).
        """
        columns: dict[str, dict[int, list[int]]] = {}
        index: dict[tuple[int, int], int] = {}
        shared: list[npt.NDArray[np.uint8]] = []
        self._list = np.full(len(needs), -1)
        own: list[tuple[int, int]] = []
        listed = [check for check in checks() if check.listed]
        for row, need in enumerate(needs):
            for check in listed:
                attribute, values = check.lists(need)
                # Sources by this attribute, made once, so the loop costs the length of the lists.
                if attribute not in columns:
                    known = columns.setdefault(attribute, {})
                    for column, source in enumerate(sources):
                        known.setdefault(getattr(source, attribute), []).append(column)
                known = columns[attribute]
                if isinstance(values, OfferSet) and self._list[row] < 0:
                    key = id(values.shared), values.bits
                    if values.bits and key not in index:
                        index[key] = len(shared)
                        shared.append(self._bits(values.shared.offers(values.bits)))
                    self._list[row] = index.get(key, -1)
                    values = values.few
                own += [(row, column) for value in values if value in known for column in known[value]]
        self._list[self._list < 0] = len(shared)
        self._lists = np.array([*shared, self._bits(())])
        numbers = self._numbers(own)
        self._barred = numbers[~self._is_listed(*np.divmod(numbers, max(1, self._width)))]

    def _numbers(self, pairs: Sequence[tuple[int, int]]) -> Ints:
        rows, columns = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        return np.unique(rows * self._width + columns)

    def _bits(self, offers: Iterable[int]) -> npt.NDArray[np.uint8]:
        """A bit for each source: whether it is one of these offers."""
        named = np.zeros(self._width, dtype=bool)
        named[[self.column[offer] for offer in offers if offer in self.column]] = True
        return np.packbits(named)

    def _is_listed(self, rows: Ints, columns: Ints) -> Bools:
        """Whether a shared list of the need names the source. `rows` and `columns` are broadcast."""
        bit = (128 >> (columns & 7)).astype(np.uint8)
        listed: Bools = self._lists[self._list[rows], columns >> 3] & bit > 0
        return listed

    def barred(self, usable: Bools) -> Iterator[tuple[Ints, Ints]]:
        """The pairs that are refused for who they are, some at a time: indices of needs and of usable sources."""
        for start in range(0, len(self._barred), _AT_ONCE):
            rows, columns = np.divmod(self._barred[start : start + _AT_ONCE], self._width)
            yield rows[usable[columns]], columns[usable[columns]]
        for number, bits in enumerate(self._lists[:-1]):
            rows = np.flatnonzero(self._list == number)
            columns = np.flatnonzero(np.unpackbits(bits, count=self._width) & usable)
            height = max(1, _AT_ONCE // max(1, len(columns)))
            for start in range(0, len(rows) if len(columns) else 0, height):
                part = rows[start : start + height]
                yield np.repeat(part, len(columns)), np.tile(columns, len(part))

    def apply(self, rows: Ints, columns: Ints, scores: Scores) -> None:
        """Put them into the scores of pairs, or of a block whose `rows` stand in a column."""
        lines = np.flatnonzero(self._has_some[rows])
        # Refusals last: a pair that was asked and is ruled out now stays refused.
        if rows.ndim == 1:
            row, column, some = rows[lines], columns[lines], scores[lines]
            numbers = row * self._width + column
            some[_among(self._asked, numbers) & (some != REFUSED)] += self._bonus
            some[_among(self._barred, numbers) | self._is_listed(row, column)] = REFUSED
            scores[lines] = some
            return
        # Of a block the exceptions are looked up, need by need, instead of each of its pairs.
        index = np.full(self._width, -1)
        index[columns] = np.arange(len(columns))
        for line in lines:
            of_need, row = scores[line], rows[line]
            asked, barred = (self._of_need(numbers, int(row[0]), index) for numbers in (self._asked, self._barred))
            of_need[asked[of_need[asked] != REFUSED]] += self._bonus
            of_need[barred] = REFUSED
            of_need[self._is_listed(row, columns)] = REFUSED

    def _of_need(self, numbers: Ints, row: int, index: Ints) -> Ints:
        """Where in a block, by `index`, the sources of this need among `numbers` stand."""
        start, end = np.searchsorted(numbers, [row * self._width, (row + 1) * self._width])
        found = index[numbers[start:end] - row * self._width]
        return found[found >= 0]


def _among(numbers: Ints, wanted: Ints) -> Bools:
    """Which of `wanted` are among these numbers, which are in order."""
    if not len(numbers):
        return np.zeros(len(wanted), dtype=bool)
    found = np.searchsorted(numbers, wanted)
    is_found: Bools = numbers[np.minimum(found, len(numbers) - 1)] == wanted
    return is_found
