"""Which sources may serve which needs, as far as goods and regions decide: by groups, of which there are few. Pure.

Thousands of needs ask for a handful of kinds of goods in a few dozen places that suppliers tell apart. Whatever can be
said of a group need not be said of each pair.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from operator import attrgetter

import numpy as np
import numpy.typing as npt

from apps.matching.scoring.ranking import Fit, Need, Place, Rules, Source, fit_of

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Truths = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Groups:
    """Needs of one group may be served by the same classes of sources. More is decided by pair: quantities, who has
    said no, and that nobody serves themselves.
    """

    need: Ints  # of each need: its group
    source: Ints  # of each source: its class
    fits: Truths  # groups × classes

    def members(self, rows: Ints) -> Iterator[tuple[int, Ints]]:
        """The groups that these needs belong to, and which of them do."""
        group = self.need[rows]
        order = np.argsort(group, kind="stable")
        ends = np.flatnonzero(np.diff(group[order], append=-1)) + 1
        for members in np.split(rows[order], ends[:-1]) if len(rows) else ():
            yield int(self.need[members[0]]), members


@dataclass(frozen=True)
class Goods:
    """How well each kind of goods fits each kind of need: the value of the standard term, -inf where it does not."""

    kinds: list[Need]  # one need of each kind
    need: Ints
    source: Ints
    fits: Floats  # kinds of need × kinds of goods


def goods_of(needs: Sequence[Need], sources: Sequence[Source], rules: Rules) -> Goods:
    kinds, kind = classes(map(attrgetter("item_id", "standard_id", "accepts_substitutes"), needs))
    goods, good = classes(map(attrgetter("item_id", "standard_id"), sources))
    fits = np.full((len(kinds), len(goods)), -np.inf)
    for row, need in enumerate(needs[place] for place in kinds):
        for column, source in enumerate(sources[place] for place in goods):
            fit = fit_of(need, source.item_id, source.standard_id, rules)
            if isinstance(fit, Fit):
                fits[row, column] = fit.value
    return Goods([needs[place] for place in kinds], kind, good, fits)


def groups_of(goods: Goods, places: Sequence[Place], place: Ints, sources: Sequence[Source]) -> Groups:
    """`place` is, of each need, its place among the `places`."""
    reaches, reach = classes(map(attrgetter("ships_to"), sources))
    areas = [sources[first].ships_to for first in reaches]
    to: dict[str, list[int]] = {code: [] for code in frozenset().union(*areas)}
    for column, area in enumerate(areas):
        for code in area:
            to[code].append(column)
    told_apart = frozenset(to)
    codes = [told_apart.intersection(place.path.split("/")) for place in places]
    spots, spot = classes(codes)
    ships = np.tile(np.array([not area for area in areas], dtype=bool), (len(spots), 1))
    for row, first in enumerate(spots):
        for code in codes[first]:
            ships[row, to[code]] = True

    group, kind_of_group, spot_of_group = _pairs(goods.need, spot[place])
    class_, good_of_class, reach_of_class = _pairs(goods.source, reach)
    fits = np.isfinite(goods.fits)[kind_of_group][:, good_of_class]
    fits &= ships[spot_of_group][:, reach_of_class]
    return Groups(group, class_, fits)


def classes(keys: Iterable[Hashable]) -> tuple[Ints, Ints]:
    """The position of the first of each kind, in order, and of which kind each one is."""
    # No loop of Python's own: this is done for each fact of thousands of needs and sources.
    number: defaultdict[Hashable, int] = defaultdict(count().__next__)
    kind = np.fromiter(map(number.__getitem__, keys), dtype=np.int64)
    return np.flatnonzero(np.diff(np.maximum.accumulate(kind), prepend=-1)), kind


def _pairs(a: Ints, b: Ints) -> tuple[Ints, Ints, Ints]:
    """Of which combination each one is, and what each combination is made of."""
    many = int(b.max(initial=0)) + 1
    keys, number = np.unique(a * many + b, return_inverse=True)
    return number.reshape(-1), keys // many, keys % many
