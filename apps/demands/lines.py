"""One line of a post: what is asked for, and what can be wrong with it."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

from apps.catalogue.models import Item, ItemStandard, Region, Standard
from apps.catalogue.units import MAX_QUANTITY
from apps.core.errors import RuleViolation, Text
from apps.demands.models import QuantityKind, Urgency


@dataclass(frozen=True, kw_only=True)
class DemandLine:
    """One line of a post. Quantities are in the item's base unit. Without a region it is that of the organisation."""

    item: Item
    quantity: int | None = None
    quantity_kind: str = QuantityKind.EXACT
    standard: Standard | None = None
    accepts_substitutes: bool = False
    region: Region | None = None
    address: str = ""
    contact_name: str = ""
    contact_phone: str = ""
    needed_by: dt.datetime | None = None
    urgency: str = Urgency.URGENT
    days_of_supply: int | None = None
    note: str = ""
    source: str = ""
    source_key: str = ""

    def fields(self) -> dict[str, Any]:
        """The values by name. `dataclasses.asdict` would copy the rows of item, standard and region."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def check_quantity(quantity: int | None, kind: str) -> None:
    """Raise `quantity_given`, `quantity_missing` or `quantity_out_of_range` unless quantity and kind fit together."""
    if kind == QuantityKind.UNSPECIFIED and quantity is not None:
        raise RuleViolation("quantity_given", _("Leave the quantity empty, or say that it is known."), field="quantity")
    if kind != QuantityKind.UNSPECIFIED and quantity is None:
        raise RuleViolation(
            "quantity_missing", _("Give a quantity, or say that it is not known yet."), field="quantity"
        )
    if quantity is not None and not 0 < quantity <= MAX_QUANTITY:
        raise RuleViolation(
            "quantity_out_of_range", _("A quantity is a whole number from 1 to 1,000,000,000,000."), field="quantity"
        )


def check_line(item: Item, standard: Standard | None, needed_by: dt.datetime | None, now: dt.datetime) -> None:
    """Raise `needed_by_past` or `standard_not_for_item`."""
    # A day of grace: "today" has begun earlier, or not ended yet, in another time zone.
    if needed_by is not None and needed_by < now - dt.timedelta(days=1):
        raise RuleViolation("needed_by_past", _("This date has passed."), field="needed_by")
    if standard is not None and not ItemStandard.objects.filter(item=item, standard=standard).exists():
        raise RuleViolation(
            "standard_not_for_item",
            _("“%(standard)s” is not a standard for %(item)s.") % {"standard": standard, "item": item},
            field="standard",
        )


def check_lines(lines: Sequence[DemandLine], now: dt.datetime) -> None:
    """Check all lines. Of several lines every fault is raised at once, by the index of its line: `1.quantity`.

    The fault of a single line keeps its own code and the plain name of its field.
    """
    errors: dict[str, list[Text]] = {}
    for number, line in enumerate(lines):
        try:
            check_quantity(line.quantity, line.quantity_kind)
            check_line(line.item, line.standard, line.needed_by, now)
        except RuleViolation as violation:
            if len(lines) == 1:
                raise
            errors.update(violation.within(number).errors)
    if errors:
        raise RuleViolation.of_fields(errors, _("Some lines have faults."))
