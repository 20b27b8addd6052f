"""Which sources may serve which needs, as far as goods and regions decide: by groups, of which there are few. Pure.

Thousands of needs ask for a handful of kinds of goods in a few dozen places that suppliers tell apart. Whatever can be
said of a group need not be said of each pair.
"""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter

import numpy as np
import numpy.typing as npt

from apps.matching.ranking import Fit, Need, Rules, Source, fit_of

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


def groups_of(needs: Sequence[Need], sources: Sequence[Source], goods: Goods) -> Groups:
    reaches, reach = classes(source.ships_to for source in sources)
    areas = [sources[place].ships_to for place in reaches]
    told_apart = frozenset().union(*areas)
    paths = list(map(attrgetter("place.path"), needs))
    codes = {path: told_apart.intersection(path.split("/")) for path in set(paths)}
    places, place = classes(map(codes.__getitem__, paths))
    there = [codes[paths[first]] for first in places]
    ships = np.array([[not area or not area.isdisjoint(codes) for area in areas] for codes in there], dtype=bool)

    group, kind_of_group, place_of_group = _pairs(goods.need, place)
    class_, good_of_class, reach_of_class = _pairs(goods.source, reach)
    fits = np.isfinite(goods.fits)[np.ix_(kind_of_group, good_of_class)]
    fits &= ships.reshape(len(places), len(reaches))[np.ix_(place_of_group, reach_of_class)]
    return Groups(group, class_, fits)


def classes(keys: Iterable[Hashable]) -> tuple[list[int], Ints]:
    """The position of the first of each kind, in order, and of which kind each one is."""
    keys = list(keys)
    # No loop of Python's own: this is done for each fact of thousands of needs and sources. The first is written last.
    first = dict(zip(reversed(keys), reversed(range(len(keys))), strict=True))
    number = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    return [first[key] for key in number], np.array([number[key] for key in keys], dtype=np.int64)


def _pairs(a: Ints, b: Ints) -> tuple[Ints, Ints, Ints]:
    """Of which combination each one is, and what each combination is made of."""
    count = int(b.max(initial=0)) + 1
    keys, number = np.unique(a * count + b, return_inverse=True)
    return number.reshape(-1), keys // count, keys % count
