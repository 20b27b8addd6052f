"""Quantities as people type them, on a phone, in a hurry: “1,000”, “１０００”, “2万”, “12” boxes of 50."""

import re
import unicodedata
from decimal import Decimal
from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from apps.catalogue.models import Item
from apps.catalogue.units import MAX_QUANTITY

# At most 30 digits: nothing is counted in more, and reading thousands of them takes long.
_NUMBER: Final = re.compile(r"(\d{1,30})(?:\.(\d{1,8}))?\s*(万|萬|千|k|w)?", re.IGNORECASE)
# “2w” is what a keyboard makes of 2万 without switching to Chinese.
_TIMES: Final = {"万": 10_000, "萬": 10_000, "w": 10_000, "千": 1_000, "k": 1_000}
_SEPARATORS: Final = str.maketrans("", "", ",，'’ \u00a0\u2009\u202f")


def read_quantity(text: str) -> int | None:
    """A whole number however it is written, with separators, wide digits, 千, 万 or k; None when it is none."""
    # NFKC turns the wide digits of Chinese keyboards into plain ones.
    plain = unicodedata.normalize("NFKC", text).strip().translate(_SEPARATORS)
    match = _NUMBER.fullmatch(plain)
    if match is None:
        return None
    whole, fraction, times = match.groups()
    number = Decimal(f"{whole}.{fraction or 0}") * _TIMES.get((times or "").lower(), 1)
    return int(number) if number == number.to_integral_value() else None


class QuantityFormField(forms.Field):
    """A whole number of base units or packs."""

    default_error_messages = {"invalid": _("Write a whole number, such as 600.")}

    def __init__(self, *, least: int = 1, most: int = MAX_QUANTITY, **kwargs: Any) -> None:
        kwargs.setdefault(
            # A number field would refuse “2万” and “1,000”, and changes when somebody scrolls over it.
            "widget",
            forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off", "maxlength": 40}),
        )
        super().__init__(**kwargs)
        self.least, self.most = least, most

    def to_python(self, value: Any) -> int | None:
        text = "" if value is None else str(value).strip()
        if not text:
            return None
        number = read_quantity(text)
        if number is None:
            raise ValidationError(self.error_messages["invalid"], code="invalid")
        if number < self.least:
            raise ValidationError(_("Write at least %(least)s.") % {"least": f"{self.least:,}"}, code="min_value")
        if number > self.most:
            raise ValidationError(_("Write at most %(most)s.") % {"most": f"{self.most:,}"}, code="max_value")
        return number


def pack_choices(item: Item | None) -> list[tuple[str, str]]:
    """What the quantity of this item can be counted in: its unit, and its packs."""
    if item is None:
        return [("", str(_("single pieces (its unit)")))]
    unit = item.unit.label
    packs = [
        (str(pack.pk), str(_("%(pack)s of %(size)s") % {"pack": pack.label, "size": f"{pack.size:,}"}))
        for pack in item.packs.all()
    ]
    return [("", unit), *packs]
