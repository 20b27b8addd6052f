"""Which sources may serve which needs, as far as goods and regions decide: by groups, of which there are few. Pure.

Thousands of needs ask for a handful of kinds of goods in a few dozen places that suppliers tell apart. Whatever can be
said of a group need not be said of each pair.
"""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass

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
    kinds, kind = _classes((need.item_id, need.standard_id, need.accepts_substitutes) for need in needs)
    goods, good = _classes((source.item_id, source.standard_id) for source in sources)
    fits = np.full((len(kinds), len(goods)), -np.inf)
    for row, need in enumerate(needs[place] for place in kinds):
        for column, source in enumerate(sources[place] for place in goods):
            fit = fit_of(need, source.item_id, source.standard_id, rules)
            if isinstance(fit, Fit):
                fits[row, column] = fit.value
    return Goods([needs[place] for place in kinds], kind, good, fits)


def groups_of(needs: Sequence[Need], sources: Sequence[Source], goods: Goods) -> Groups:
    reaches, reach = _classes(source.ships_to for source in sources)
    areas = [sources[place].ships_to for place in reaches]
    told_apart = frozenset().union(*areas)
    codes: dict[str, frozenset[str]] = {}
    for need in needs:
        if need.place.path not in codes:
            codes[need.place.path] = told_apart.intersection(need.place.path.split("/"))
    places, place = _classes(codes[need.place.path] for need in needs)
    there = [codes[needs[first].place.path] for first in places]
    ships = np.array([[not area or not area.isdisjoint(codes) for area in areas] for codes in there], dtype=bool)

    group, kind_of_group, place_of_group = _pairs(goods.need, place)
    class_, good_of_class, reach_of_class = _pairs(goods.source, reach)
    fits = np.isfinite(goods.fits)[np.ix_(kind_of_group, good_of_class)]
    fits &= ships.reshape(len(places), len(reaches))[np.ix_(place_of_group, reach_of_class)]
    return Groups(group, class_, fits)


def _classes(keys: Iterable[Hashable]) -> tuple[list[int], Ints]:
    """The position of the first of each kind, and of which kind each one is."""
    first: list[int] = []
    number: dict[Hashable, int] = {}
    kinds = []
    for place, key in enumerate(keys):
        kind = number.setdefault(key, len(first))
        if kind == len(first):
            first.append(place)
        kinds.append(kind)
    return first, np.array(kinds, dtype=np.int64)


def _pairs(a: Ints, b: Ints) -> tuple[Ints, Ints, Ints]:
    """Of which combination each one is, and what each combination is made of."""
    count = int(b.max(initial=0)) + 1
    keys, number = np.unique(a * count + b, return_inverse=True)
    return number.reshape(-1), keys // count, keys % count
