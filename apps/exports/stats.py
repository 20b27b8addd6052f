"""What everybody may see: sums by item and province, and by item.

What fewer than three organisations stand behind is left out, and what would give it away by subtraction.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from django.db.models import Count, F, Func, IntegerField, QuerySet, Sum, TextField, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from apps.accounts.disclosure import LEAST_ORGANISATIONS
from apps.demands.models import Demand, DemandState
from apps.supply.models import Offer


@dataclass(frozen=True)
class StatsCell:
    """One item in one province, or country where that is all that is known; "" is everywhere. None: too few to show."""

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
    as_of: dt.datetime
    cells: list[StatsCell]
    totals: list[StatsCell]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Province(Func):
    """The second code of a region's path, or the first where there is no second."""

    template = "coalesce(nullif(split_part(%(expressions)s, '/', 2), ''), split_part(%(expressions)s, '/', 1))"
    output_field = TextField()


def public_stats(*, now: dt.datetime | None = None) -> PublicStats:
    """Sums over live rows of verified organisations, by four queries. Edges keep the answer for a minute."""
    demands = Demand.objects.filter(state__in=[*Demand.LIVE, DemandState.FULFILLED], organisation__state="verified")
    needed = {
        "organisations": Count("organisation", distinct=True),
        "needs": Count("pk"),
        "quantity_needed": Coalesce(Sum("quantity"), Value(0), output_field=IntegerField()),
        # Aggregates may not bear the names of the columns that they sum up.
        "matched": Sum("quantity_matched"),
        "received": Sum("quantity_received"),
    }
    offers = Offer.objects.published().filter(organisation__state="verified")
    offered = {
        "organisations": Count("organisation", distinct=True),
        "offers": Count("pk"),
        "quantity_offered": Sum(Offer.quantity_free.expression()),
    }

    cells: dict[_Key, dict[str, int]] = {}
    totals: dict[_Key, dict[str, int]] = {}
    for rows, sums in (
        (demands.annotate(province=Province("region__path")), needed),
        (offers.annotate(province=Province("origin_region__path")), offered),
    ):
        everywhere = rows.annotate(place=Value("")).values("item__key", "item__unit_id", "place").annotate(**sums)
        by_province = rows.annotate(place=F("province")).values("item__key", "item__unit_id", "place").annotate(**sums)
        _collect(everywhere.order_by(), totals)
        _collect(by_province.order_by(), cells)
    return PublicStats(now or timezone.now(), _listed(cells), _listed(totals))


_Key = tuple[str, str, str]


def _collect(rows: QuerySet[Any, Any], into: dict[_Key, dict[str, int]]) -> None:
    """Add what may be shown of the rows, item by item, to the sums of its place."""
    by_item: defaultdict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for row in rows:
        by_item[row["item__key"]][row["place"]] = row
    for item, places in by_item.items():
        hidden = too_few({place: row["organisations"] for place, row in places.items()})
        for place, row in places.items():
            if place in hidden:
                continue
            sums = {
                name if name in _FIELDS else f"quantity_{name}": value for name, value in row.items() if name in _SUMS
            }
            into.setdefault((item, place, row["item__unit_id"]), {}).update(sums)


_SUMS: Final = frozenset({"needs", "quantity_needed", "matched", "received", "offers", "quantity_offered"})
_FIELDS: Final = frozenset(field.name for field in fields(StatsCell))


def _listed(cells: dict[_Key, dict[str, int]]) -> list[StatsCell]:
    return [StatsCell(item, region, unit, **sums) for (item, region, unit), sums in sorted(cells.items())]


def too_few(organisations: Mapping[str, int]) -> set[str]:
    """Which cells of one row are hidden, by how many organisations stand behind each.

    Those of fewer than three. A single hidden cell could be had by subtracting the others from the total: the next
    smallest is hidden with it, until the hidden ones together stand for enough.
    """
    filled = sorted((count, key) for key, count in organisations.items() if count)
    hidden = [one for one in filled if one[0] < LEAST_ORGANISATIONS]
    for one in filled[len(hidden) :]:
        if not hidden or (len(hidden) > 1 and sum(count for count, _key in hidden) >= LEAST_ORGANISATIONS):
            break
        hidden.append(one)
    return {key for _count, key in hidden}
