"""How quantities and the state of a need are written, for views and templates alike."""

from typing import Final

from django.utils.translation import get_language, gettext, gettext_lazy

from apps.catalogue import units
from apps.catalogue.models import Item
from apps.core.errors import Text
from apps.demands.models import Demand, DemandStateCode, QuantityKind

# What people say from a thousand of a base unit on.
_LARGER: Final = 1_000
_LARGER_UNITS: Final[dict[str, Text]] = {"ml": gettext_lazy("L"), "g": gettext_lazy("kg"), "m": gettext_lazy("km")}


def grouped(value: int | None) -> str:
    """12,345"""
    return "" if value is None else f"{value:,}"


def quantity(value: int | None, item: Item) -> str:
    """A number of base units with its unit: “12,345 pieces”. Nothing known is said in words."""
    if value is None:
        return gettext("not known yet")
    return f"{grouped(value)} {unit_label(item, value)}"


def sum_of(value: int, item: Item) -> str:
    """A sum in a table: a dash where there is nothing."""
    if not value:
        return "–"
    if value >= _LARGER and (larger := _LARGER_UNITS.get(item.unit_id)):
        return f"{value / _LARGER:,.3f}".rstrip("0").rstrip(".") + f" {larger}"
    return quantity(value, item)


def asked(demand: Demand) -> str:
    """The quantity of a need as it was meant: “about 500 pieces”, “at least 500 pieces”, “not known yet”."""
    amount = quantity(demand.quantity, demand.item)
    if demand.quantity is None or demand.quantity_kind == QuantityKind.EXACT:
        return amount
    if demand.quantity_kind == QuantityKind.ESTIMATE:
        return gettext("about %(quantity)s") % {"quantity": amount}
    return gettext("at least %(quantity)s") % {"quantity": amount}


def unit_label(item: Item, value: int) -> str:
    unit = item.unit
    if (get_language() or "").startswith("zh"):
        return str(unit.name_zh)
    # Measures are read as symbols (“500 ml”), counted things as words (“500 pieces”).
    return str(unit.symbol) if unit.code in {"ml", "g", "m", "m2"} else units.plural(unit.name_en, value)


_WAITS: Final[dict[str, Text]] = {
    DemandStateCode.QUANTITY_UNUSUAL: gettext_lazy(
        "This quantity is unusual. A coordinator will review it and send it out; you need not do anything."
    ),
    DemandStateCode.APPROVAL_REQUIRED: gettext_lazy(
        "In this region a coordinator reviews every need before it goes out. "
        "Yours is waiting; you need not do anything."
    ),
}


def waits_because(demand: Demand) -> str:
    """Why a need waits for a coordinator, for its owner."""
    return str(_WAITS.get(demand.state_code, demand.state_reason))
