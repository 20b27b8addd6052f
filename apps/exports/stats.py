"""What organisations need and offer, summed up by item and province. `publishing` says what of it others see."""

import datetime as dt
from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import Any, Final

from django.db.models import Case, Count, Func, Max, Q, QuerySet, Sum, TextField, When

from apps.demands.models import Demand, DemandState
from apps.supply.models import Offer


@dataclass(frozen=True)
class StatsCell:
    """One item in one province, or in a country where no more is known; the region "" means everywhere.

    `definitions.FIGURES` has the meaning of each number.
    None stands for a number that too few organisations stand behind. Quantities are in the item's base unit.
    """

    item: str
    region: str
    unit: str
    needs: int | None = None
    quantity_needed: int | None = None
    quantity_matched: int | None = None
    quantity_received: int | None = None
    offers: int | None = None
    quantity_offered: int | None = None
    organisations_waiting: int | None = None


@dataclass(frozen=True)
class PublicStats:
    """All cells and totals, with the time of counting."""

    as_of: dt.datetime
    cells: list[StatsCell]
    totals: list[StatsCell]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


# The numbers of a cell that come from the same rows. The first one counts these.
NUMBERS: Final = (
    ("needs", "organisations_waiting", "quantity_needed", "quantity_matched", "quantity_received"),
    ("offers", "quantity_offered"),
)


CELL_NUMBERS: Final = tuple(name for names in NUMBERS for name in names)


class Province(Func):
    """The province in a region's path: its second code, or the country where there is no second."""

    template = "coalesce(nullif(split_part(%(expressions)s, '/', 2), ''), split_part(%(expressions)s, '/', 1))"
    output_field = TextField()


# Quantities by item, province and organisation, which is named by its key as JSON has it.
ByItem = dict[str, dict[str, dict[str, int]]]


def contributions() -> tuple[dict[str, ByItem], dict[str, str]]:
    """What each verified organisation contributes to each number, and the units by item. Noughts are left out.

    Two queries.
    """
    counts = Q(state__in=[*Demand.LIVE, DemandState.FULFILLED])
    # What a cancelled need had received stays received.
    demands = Demand.objects.filter(counts | Q(quantity_received__gt=0), organisation__state="verified")
    needed = {
        "needs": Count("pk", filter=counts),
        "organisations_waiting": Max(Case(When(state=DemandState.OPEN, then=1), default=0)),
        "quantity_needed": Sum("quantity", filter=counts),
        "quantity_matched": Sum("quantity_matched", filter=counts),
        "quantity_received": Sum("quantity_received"),
    }
    offers = Offer.objects.published().filter(organisation__state="verified")
    offered = {"offers": Count("pk"), "quantity_offered": Sum(Offer.quantity_free.expression())}

    found: dict[str, ByItem] = {name: defaultdict(lambda: defaultdict(dict)) for name in (*needed, *offered)}
    units: dict[str, str] = {}
    sides: tuple[tuple[QuerySet[Any, Any], str, dict[str, Any]], ...] = (
        (demands, "region__path", needed),
        (offers, "origin_region__path", offered),
    )
    for rows, path, sums in sides:
        by_organisation = rows.annotate(province=Province(path)).values(
            "item__key", "item__unit_id", "province", "organisation"
        )
        # Aggregates may not bear the names of the columns that they sum up; hence the prefix. `order_by()` drops the
        # models' default order, which would split the groups.
        for row in by_organisation.annotate(**{f"sum_{name}": one for name, one in sums.items()}).order_by():
            units[row["item__key"]] = row["item__unit_id"]
            for name in sums:
                if quantity := row[f"sum_{name}"]:
                    found[name][row["item__key"]][row["province"]][str(row["organisation"])] = int(quantity)
    return found, units
