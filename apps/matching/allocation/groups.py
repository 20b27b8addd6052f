"""Equivalence classes of needs and of sources, as far as goods and regions decide who may serve whom. Pure.

Thousands of needs ask for a handful of kinds of goods, in a few dozen areas that suppliers tell apart. Needs of one
*group* are compatible with the same *classes* of sources, so a question about pairs becomes one about few groups.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter

import numpy as np
import numpy.typing as npt

from apps.matching.scoring.eligibility import fit_of
from apps.matching.scoring.facts import Fit, Location, Need, Rules, Source, classify

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Groups:
    """Which classes of sources may serve which groups of needs.

    Quantities, earlier refusals, own goods and the reach of gifts differ from pair to pair and are not part of it.
    """

    need: Ints  # (n_needs,): the group of each need
    source: Ints  # (n_sources,): the class of each source
    fits: Bools  # (n_groups, n_classes)

    def members(self, rows: Ints) -> Iterator[tuple[int, Ints]]:
        """Each group that occurs among these needs, with those of them that belong to it."""
        group = self.need[rows]
        order = np.argsort(group, kind="stable")
        ends = np.flatnonzero(np.diff(group[order], append=-1)) + 1
        for members in np.split(rows[order], ends[:-1]) if len(rows) else ():
            yield int(self.need[members[0]]), members


@dataclass(frozen=True)
class Goods:
    """How well each kind of goods fits each kind of need: the value of the standard term, or -inf."""

    kinds: list[Need]  # one need of each kind
    need: Ints  # (n_needs,): its kind
    source: Ints  # (n_sources,): its kind of goods
    fits: Floats  # (kinds of need, kinds of goods)


def goods_of(needs: Sequence[Need], sources: Sequence[Source], rules: Rules) -> Goods:
    """Compare item and standard once for each kind of need and of goods."""
    need_kinds, need_kind = classify(map(attrgetter("item_id", "standard_id", "accepts_substitutes"), needs))
    goods_kinds, goods_kind = classify(map(attrgetter("item_id", "standard_id"), sources))
    fits = np.full((len(need_kinds), len(goods_kinds)), -np.inf)
    # Kinds are few, however many needs and sources there are, so a loop over their pairs is cheap.
    for row, need in enumerate(needs[index] for index in need_kinds):
        for column, source in enumerate(sources[index] for index in goods_kinds):
            fit = fit_of(need, source.item_id, source.standard_id, rules)
            if isinstance(fit, Fit):
                fits[row, column] = fit.value
    return Goods([needs[index] for index in need_kinds], need_kind, goods_kind, fits)


def groups_of(goods: Goods, locations: Sequence[Location], location: Ints, sources: Sequence[Source]) -> Groups:
    """Group needs and sources by goods and regions. `location` (n_needs,) has the index of each in `locations`."""
    area_firsts, area = classify(map(attrgetter("ships_to"), sources))
    areas = [sources[first].ships_to for first in area_firsts]
    areas_with: dict[str, list[int]] = {code: [] for code in frozenset().union(*areas)}
    for column, codes in enumerate(areas):
        for code in codes:
            areas_with[code].append(column)
    # Locations differ only by the region codes that some supplier names.
    named = frozenset(areas_with)
    codes_of = [named.intersection(one.path.split("/")) for one in locations]
    spot_firsts, spot = classify(codes_of)
    # A source that names no area ships everywhere.
    ships = np.tile(np.array([not area for area in areas], dtype=bool), (len(spot_firsts), 1))
    for row, first in enumerate(spot_firsts):
        for code in codes_of[first]:
            ships[row, areas_with[code]] = True

    group, kind_of_group, spot_of_group = _combine(goods.need, spot[location])
    class_, goods_of_class, area_of_class = _combine(goods.source, area)
    fits = np.isfinite(goods.fits)[kind_of_group][:, goods_of_class]
    fits &= ships[spot_of_group][:, area_of_class]
    return Groups(group, class_, fits)


def _combine(a: Ints, b: Ints) -> tuple[Ints, Ints, Ints]:
    """Number the combinations (a, b) that occur: the number of each element, and the a and b of each combination."""
    # The two numbers become one by mixed radix: b is always below `size`.
    size = int(b.max(initial=0)) + 1
    keys, number = np.unique(a * size + b, return_inverse=True)
    return number.reshape(-1), keys // size, keys % size
