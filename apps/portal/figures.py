"""Sums for the board and for dashboards: what is needed, offered, promised and delivered, and how long it took.

Nothing here names an organisation. The public sums, and what of them is shown, are those of exports.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _

from apps.catalogue.models import Item
from apps.core.errors import Text
from apps.demands.models import Urgency
from apps.exports import publishing, stats, waits
from apps.exports.region_sums import Row
from apps.portal import places, tilemap

# --- For everybody ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SumByName:
    """One item, everywhere or in one place. None: nothing, or too few organisations to show it.

    Counts first, then base units. `is_unknown`: none of the needs states a quantity.
    """

    item: str
    place: str
    organisations: int | None
    needs: int | None
    is_unknown: bool
    needed: int | None
    offered: int | None
    delivered: int | None

    @property
    def weight(self) -> tuple[int, int]:
        """Whoever has most organisations waiting comes first: base units of two items cannot be compared."""
        return self.organisations or 0, self.needs or 0


@dataclass(frozen=True)
class PublicBoard:
    """What everybody may see.

    `also_needed` are the items of which no number is shown: a supplier wants to know of them all the same, and the bare
    name tells nothing of who and where.
    """

    as_of: dt.datetime
    items: list[SumByName]
    places: list[SumByName]
    also_needed: list[str]
    headline: dict[str, int]
    waits: waits.Waits


def board() -> PublicBoard:
    """The public board of this hour."""
    published = publishing.published()
    sums = publishing.stats_of(published)
    items = _lines(sums.totals)
    told = {line.item for line in items if line.needs is not None}
    # A version before wrote neither these nor the headline; its sums last an hour at most.
    also_needed = [item for item in published.get("needed", ()) if item not in told]
    return PublicBoard(
        as_of=sums.as_of,
        items=items,
        places=_lines(sums.cells),
        also_needed=also_needed,
        headline=published.get("headline", {}),
        waits=publishing.waits_of(published),
    )


def _lines(cells: Iterable[stats.StatsCell]) -> list[SumByName]:
    lines = (
        SumByName(
            cell.item,
            cell.region,
            cell.organisations_waiting,
            cell.needs,
            bool(cell.needs) and cell.quantity_needed == 0,
            cell.quantity_needed,
            cell.quantity_offered,
            cell.quantity_received,
        )
        for cell in cells
    )
    return sorted(lines, key=lambda line: line.weight, reverse=True)


# --- Maps, for both ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ShownMap:
    """A map of provinces with the words that stand on it: of each tile its name, and what fits into the square."""

    picture: tilemap.TileMap
    tiles: list[tuple[tilemap.Tile, str, str]]
    side: int = tilemap.SIDE


def map_of(values: Mapping[str, int | None], names: Mapping[str, tuple[str, str]]) -> ShownMap:
    """The map of a number by code of province, in the reader's language. `names` are those of all provinces."""
    picture = tilemap.tile_map(values)
    is_chinese = (get_language() or "").startswith("zh")
    shown = []
    for tile in picture.tiles:
        known = names.get(tile.code)
        short = tilemap.short_name(known[0]) if known and is_chinese else tile.letters
        shown.append((tile, places.in_words(known) if known else tile.letters, short))
    return ShownMap(picture, shown)


# --- How long needs wait, for both ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class WaitLine:
    """How long one group of needs waits for each milestone. One that may not be told is None."""

    name: str
    asked: waits.Wait | None
    contact: waits.Wait | None
    receipt: waits.Wait | None

    @property
    def milestones(self) -> list[tuple[Text, str, waits.Wait]]:
        """The name of each milestone, the key of its figure, and the wait."""
        found = (getattr(self, milestone) for milestone in waits.MILESTONES)
        return [
            (_MILESTONES[milestone], f"time_to_{milestone}", wait)
            for milestone, wait in zip(waits.MILESTONES, found, strict=True)
            if wait
        ]


_MILESTONES: Final[dict[str, Text]] = {
    waits.ASKED: _("a supplier is asked"),
    waits.CONTACT: _("contact"),
    waits.RECEIPT: _("first receipt"),
}


def wait_lines(groups: Mapping[str, Mapping[str, waits.Wait]], names: Mapping[str, str]) -> list[WaitLine]:
    """The groups that have a name, in the order of the names."""
    return [
        WaitLine(name, *(groups[key].get(milestone) for milestone in waits.MILESTONES))
        for key, name in names.items()
        if key in groups
    ]


def waits_by_urgency(found: waits.Waits) -> list[WaitLine]:
    """The most urgent first, and all together at the end."""
    urgencies = {urgency.value: str(urgency.label) for urgency in Urgency}
    everything = wait_lines(found.get(waits.ALL, {}), {"": gettext("All needs")})
    return wait_lines(found.get(waits.URGENCY, {}), urgencies) + everything


# --- For who may see everything of a region ---------------------------------------------------------------------------


def items_of(keys: Iterable[str]) -> dict[str, Item]:
    return {item.key: item for item in Item.objects.filter(key__in=list(keys)).select_related("unit")}


def most_pressing_first(item: tuple[str, Row]) -> tuple[int, int, int, str]:
    """Return the key by which items of a dashboard are ordered. Base units of two items cannot be compared."""
    key, row = item
    return -row["emergencies"], -row["organisations"], -row["needs"], key


@dataclass(frozen=True)
class Bar:
    """One piece of a bar of 100."""

    name: str
    start: float
    width: float


def bars(row: Row) -> list[Bar]:
    """Delivered, promised and not accepted yet of one item, as shares of the three together."""
    delivered, matched, wanting = (row[name] for name in ("delivered", "matched", "wanting"))
    whole = max(1, delivered + matched + wanting)
    pieces, start = [], 0.0
    for name, quantity in (("received", delivered), ("promised", matched), ("wanting", wanting)):
        # Two digits: more makes the page longer and no bar finer.
        width = round(100 * quantity / whole, 2)
        pieces.append(Bar(name, round(start, 2), width))
        start += width
    return pieces
