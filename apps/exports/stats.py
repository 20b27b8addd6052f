"""What everybody may see: sums by item and province. What fewer than three organisations stand behind is left out."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final

from django.db.models import Count, F, Func, IntegerField, QuerySet, Sum, TextField, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from apps.demands.models import LIVE as LIVE_DEMANDS
from apps.demands.models import Demand, DemandState
from apps.supply.models import Offer

LEAST_ORGANISATIONS: Final = 3


@dataclass(frozen=True)
class Cell:
    """One item in one province (or country, where that is all that is known). None: too few to show."""

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
class Stats:
    as_of: dt.datetime
    cells: list[Cell]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Province(Func):
    """The second code of a region's path, or the first where there is no second."""

    template = "coalesce(nullif(split_part(%(expressions)s, '/', 2), ''), split_part(%(expressions)s, '/', 1))"
    output_field = TextField()


def public_stats(*, now: dt.datetime | None = None) -> Stats:
    """Two sums over live rows of verified organisations. Edges keep the answer for a minute."""
    demanded = (
        Demand.objects.filter(state__in=[*LIVE_DEMANDS, DemandState.FULFILLED], organisation__state="verified")
        .annotate(province=Province("region__path"))
        .values("item__key", "item__unit_id", "province")
        .annotate(
            organisations=Count("organisation", distinct=True),
            needs=Count("pk"),
            quantity_needed=Coalesce(Sum("quantity"), Value(0), output_field=IntegerField()),
            matched=Sum("quantity_matched"),
            received=Sum("quantity_received"),
        )
        .order_by()
    )
    offered = (
        Offer.objects.published()
        .filter(organisation__state="verified")
        .annotate(province=Province("origin_region__path"))
        .values("item__key", "item__unit_id", "province")
        .annotate(
            organisations=Count("organisation", distinct=True),
            offers=Count("pk"),
            quantity_offered=Sum(F("quantity") - F("quantity_reserved")),
        )
        .order_by()
    )

    cells: dict[tuple[str, str, str], dict[str, int]] = {}
    for row in _shown(demanded):
        cells.setdefault(_key(row), {}).update(
            needs=row["needs"],
            quantity_needed=row["quantity_needed"],
            quantity_matched=row["matched"],
            quantity_received=row["received"],
        )
    for row in _shown(offered):
        cells.setdefault(_key(row), {}).update(offers=row["offers"], quantity_offered=row["quantity_offered"])
    return Stats(
        now or timezone.now(),
        [Cell(item, region, unit, **sums) for (item, region, unit), sums in sorted(cells.items())],
    )


def _shown(rows: QuerySet[Any, Any]) -> Iterable[dict[str, Any]]:
    return rows.filter(organisations__gte=LEAST_ORGANISATIONS)


def _key(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["item__key"], row["province"], row["item__unit_id"]
