"""A market that is too large to be solved as a whole is cut into areas, and each gets goods of its own. Pure.

The plan between groups and classes says how much of each source goes to the needs of each area. With these goods an
area is a market by itself, in which every priority level is served as well as in that plan. This is primal, or
resource-directive, decomposition (A. Geoffrion, Operations Research 18, 1970).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from apps.matching.allocation.arcs import Arcs
from apps.matching.allocation.flow import sum_by_index
from apps.matching.allocation.groups import Ints
from apps.matching.allocation.market import Market


@dataclass(frozen=True)
class Part:
    """An area as a market of its own, and where its needs and sources stand in the whole."""

    market: Market
    rows: Ints
    columns: Ints


def areas_of(market: Market, *, most: int) -> list[Ints]:
    """The needs of each province; where these are more than `most`, of each of its cities, and so on."""

    def split(rows: Ints, depth: int) -> Iterator[Ints]:
        names = [market.needs[row].location.path.split("/")[:depth] for row in rows.tolist()]
        if len(rows) > most and depth > max(map(len, names)):
            # In one place. Needs next to each other have waited for about as long.
            yield from np.array_split(rows, -(-len(rows) // most))
            return
        _names, number = np.unique(["/".join(name) for name in names], return_inverse=True)
        for area in range(int(number.max(initial=-1)) + 1):
            members = rows[number == area]
            if len(members) > most:
                yield from split(members, depth + 1)
            else:
                yield members

    return list(split(np.arange(len(market)), 2))


def parts_of(market: Market, areas: list[Ints], arcs: Arcs, units: Ints) -> Iterator[Part]:
    """Each area with the goods that a plan gives it: `units` on each arc (n_arcs,).

    What the plan leaves at a source goes to the area that gets most of that source, else to the one around it.
    """
    area = np.zeros(len(market), dtype=np.int64)
    for number, rows in enumerate(areas):
        area[rows] = number
    # One number for an area and a source: what the plan sends from one to the other.
    size = len(market.sources)
    key, index = np.unique(area[arcs.row] * size + arcs.column, return_inverse=True)
    given = sum_by_index(index, units, len(key))
    left = market.free - sum_by_index(arcs.column, units, size)
    home = _nearest_areas(market, area)
    # In rising order of what is given, so that the last one to be written is the largest.
    order = np.argsort(given, kind="stable")
    home[key[order] % size] = key[order] // size
    column = np.flatnonzero((left > 0) & (home >= 0))
    key, index = np.unique(np.concatenate([key, home[column] * size + column]), return_inverse=True)
    given = sum_by_index(index, np.concatenate([given, left[column]]), len(key))
    starts = np.searchsorted(key, np.arange(len(areas) + 1) * size)
    for number, rows in enumerate(areas):
        own = slice(starts[number], starts[number + 1])
        columns = key[own] % size
        sources = [
            replace(market.sources[column], free=free)
            for column, free in zip(columns.tolist(), given[own].tolist(), strict=True)
        ]
        yield Part(market.part([market.needs[row] for row in rows.tolist()], sources), rows, columns)


def _nearest_areas(market: Market, area: Ints) -> Ints:
    """For each source the area of a need in its region, or in the next larger one; -1 where there is none."""
    known: dict[str, int] = {}
    for number, need in zip(area.tolist(), market.needs, strict=True):
        path = need.location.path
        while path and path not in known:
            known[path] = number
            path = _parent(path)
    found = []
    for source in market.sources:
        path = source.location.path
        while path and path not in known:
            path = _parent(path)
        found.append(known.get(path, -1))
    return np.array(found, dtype=np.int64)


def _parent(path: str) -> str:
    """The region around one: "CN/420000/" for "CN/420000/420100/", and nothing around a country."""
    return path.rstrip("/").rpartition("/")[0].rstrip("/") + "/" if "/" in path.rstrip("/") else ""
