"""Sums for the board and for dashboards: what is needed, offered, promised and delivered, and how long it took.

Nothing here names an organisation. The public sums, and what of them is shown, are those of exports.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from django.db.models import F, Q, QuerySet, Sum

from apps.catalogue.models import Item
from apps.demands.models import Demand, DemandState
from apps.exports import publishing, stats
from apps.exports.waits import Wait
from apps.supply.models import Offer

# --- For everybody ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SumByName:
    """One item, everywhere or in one place, in base units. None: nothing, or too few organisations to show it."""

    item: str
    place: str
    needed: int | None
    offered: int | None
    delivered: int | None

    @property
    def weight(self) -> tuple[int, int]:
        return self.needed or 0, self.offered or 0


@dataclass(frozen=True)
class PublicBoard:
    """What everybody may see. `waits` by province code, and "" for all together.

    `also_needed` are the items of which no number is shown: a supplier wants to know of them all the same, and the bare
    name tells nothing of who and where.
    """

    as_of: dt.datetime
    items: list[SumByName]
    places: list[SumByName]
    also_needed: list[str]
    headline: dict[str, int]
    waits: dict[str, Wait]

    @property
    def median_wait(self) -> dt.timedelta | None:
        return self.waits[""].median if "" in self.waits else None


def board() -> PublicBoard:
    """The public board of this hour."""
    published = publishing.published()
    sums = publishing.stats_of(published)
    items = _lines(sums.totals)
    told = {line.item for line in items if line.needed is not None}
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
            # What has been received is not needed any more.
            None if cell.quantity_needed is None else max(0, cell.quantity_needed - (cell.quantity_received or 0)),
            cell.quantity_offered,
            cell.quantity_received,
        )
        for cell in cells
    )
    return sorted(lines, key=lambda line: line.weight, reverse=True)


# --- For who may see everything of a region ---------------------------------------------------------------------------

MEASURES: Final = ("needed", "offered", "matched", "delivered")
Row = dict[str, int]
"""Base units by measure."""


def in_region(paths: Sequence[str]) -> dict[str, Row]:
    """By item key: still needed, of that promised, delivered so far; and what is free of the region's own offers.

    Two queries for each path. An item of which there is nothing at all is left out.
    """
    rows: defaultdict[str, Row] = defaultdict(lambda: dict.fromkeys(MEASURES, 0))
    for path in outermost(paths):
        needs = Demand.objects.filter(region__path__startswith=path).alias(
            to_come=Demand.target.expression() - F("quantity_received")
        )
        of_needs = {
            "needed": Sum("to_come", filter=Q(state__in=[DemandState.OPEN, DemandState.MATCHED], to_come__gt=0)),
            "matched": Sum(Demand.quantity_outstanding.expression()),
            "delivered": Sum("quantity_received"),
        }
        offers = Offer.objects.published().filter(origin_region__path__startswith=path)
        of_offers = {"offered": Sum(Offer.quantity_free.expression())}
        by_item: tuple[QuerySet[Any, Any], ...] = (
            needs.order_by().values("item__key").annotate(**of_needs),
            offers.order_by().values("item__key").annotate(**of_offers),
        )
        for sums in chain.from_iterable(by_item):
            for measure in MEASURES:
                if quantity := sums.get(measure):
                    rows[sums["item__key"]][measure] += int(quantity)
    return dict(rows)


def outermost(paths: Sequence[str]) -> list[str]:
    """Without those that lie in another of them: nothing is counted twice."""
    return sorted({path for path in paths if not any(path != other and path.startswith(other) for other in paths)})


def items_of(keys: Iterable[str]) -> dict[str, Item]:
    return {item.key: item for item in Item.objects.filter(key__in=list(keys)).select_related("unit")}


@dataclass(frozen=True)
class Bar:
    """One piece of a bar of 100."""

    name: str
    start: float
    width: float


def bars(row: Row) -> list[Bar]:
    """Delivered, promised and still needed of one item, as shares of the three together."""
    delivered, matched, needed = (row[name] for name in ("delivered", "matched", "needed"))
    # Needed is all that has not arrived; a part of it is on its way.
    wanting = max(0, needed - matched)
    whole = max(1, delivered + matched + wanting)
    pieces, start = [], 0.0
    for name, quantity in (("received", delivered), ("promised", matched), ("wanting", wanting)):
        # Two digits: more makes the page longer and no bar finer.
        width = round(100 * quantity / whole, 2)
        pieces.append(Bar(name, round(start, 2), width))
        start += width
    return pieces
