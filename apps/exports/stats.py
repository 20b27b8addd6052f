"""Public sums, by item and province and by item.

A number behind which fewer than three organisations stand is left out, and so is a number that would give it away by
subtraction (complementary cell suppression, as statistical offices do it).
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from django.db.models import Count, Func, IntegerField, QuerySet, Sum, TextField, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from apps.core.disclosure import LEAST_ORGANISATIONS
from apps.demands.models import Demand, DemandState
from apps.supply.models import Offer


@dataclass(frozen=True)
class StatsCell:
    """One item in one province, or in a country where no more is known; the region "" means everywhere.

    None stands for a number that too few organisations stand behind. Quantities are in the item's base unit.
    """

    item: str
    region: str
    unit: str
    needs: int | None = None
    quantity_needed: int | None = None  # of the needs that state a quantity
    quantity_matched: int | None = None
    quantity_received: int | None = None
    offers: int | None = None
    quantity_offered: int | None = None  # not promised yet


@dataclass(frozen=True)
class PublicStats:
    """All cells and totals, with the time of counting."""

    as_of: dt.datetime
    cells: list[StatsCell]
    totals: list[StatsCell]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Province(Func):
    """The province in a region's path: its second code, or the country where there is no second."""

    template = "coalesce(nullif(split_part(%(expressions)s, '/', 2), ''), split_part(%(expressions)s, '/', 1))"
    output_field = TextField()


def public_stats(*, now: dt.datetime | None = None) -> PublicStats:
    """Sums over live rows of verified organisations, by four queries. `publishing` says when others see them."""
    demands = Demand.objects.filter(state__in=[*Demand.LIVE, DemandState.FULFILLED], organisation__state="verified")
    needed = {
        "organisations": Count("organisation", distinct=True),
        "sum_needs": Count("pk"),
        "sum_quantity_needed": Coalesce(Sum("quantity"), Value(0), output_field=IntegerField()),
        "sum_quantity_matched": Sum("quantity_matched"),
        "sum_quantity_received": Sum("quantity_received"),
    }
    offers = Offer.objects.published().filter(organisation__state="verified")
    offered = {
        "organisations": Count("organisation", distinct=True),
        "sum_offers": Count("pk"),
        "sum_quantity_offered": Sum(Offer.quantity_free.expression()),
    }

    cells: dict[_Key, dict[str, int]] = {}
    totals: dict[_Key, dict[str, int]] = {}
    # Totals are counted by themselves and not added up from cells, because cells may be hidden and an organisation may
    # stand behind several.
    for rows, path, sums in ((demands, "region__path", needed), (offers, "origin_region__path", offered)):
        for cell_region, into in ((Value(""), totals), (Province(path), cells)):
            by_cell = rows.annotate(cell_region=cell_region).values("item__key", "item__unit_id", "cell_region")
            # `order_by()` drops the models' default order, which would split the groups.
            _collect(by_cell.annotate(**sums).order_by(), into)
    return PublicStats(now or timezone.now(), _listed(cells), _listed(totals))


# A cell by item, region and unit.
_Key = tuple[str, str, str]


def _collect(rows: QuerySet[Any, Any], into: dict[_Key, dict[str, int]]) -> None:
    """Add the sums that may be shown, item by item, to their cells."""
    by_item: defaultdict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for row in rows:
        by_item[row["item__key"]][row["cell_region"]] = row
    for item, regions in by_item.items():
        hidden = too_few({region: row["organisations"] for region, row in regions.items()})
        for region, row in regions.items():
            if region in hidden:
                continue
            # Aggregates may not bear the names of the columns that they sum up; hence the prefix.
            sums = {name.removeprefix("sum_"): value for name, value in row.items() if name.startswith("sum_")}
            into.setdefault((item, region, row["item__unit_id"]), {}).update(sums)


def _listed(cells: dict[_Key, dict[str, int]]) -> list[StatsCell]:
    return [StatsCell(item, region, unit, **sums) for (item, region, unit), sums in sorted(cells.items())]


def too_few(organisations: Mapping[str, int]) -> set[str]:
    """The keys of the cells of one row that are hidden, given how many organisations stand behind each cell.

    Cells of one or two organisations are hidden. Subtracting the shown cells from the total would give away a single
    hidden one. So the next smallest cells are hidden too, until the hidden ones together stand for enough.
    """
    filled = sorted((count, key) for key, count in organisations.items() if count)
    hidden = [one for one in filled if one[0] < LEAST_ORGANISATIONS]
    for one in filled[len(hidden) :]:
        # Enough: several cells are hidden, and a stranger who subtracts learns only their sum.
        if not hidden or (len(hidden) > 1 and sum(count for count, _key in hidden) >= LEAST_ORGANISATIONS):
            break
        hidden.append(one)
    return {key for _count, key in hidden}
