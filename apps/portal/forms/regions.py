"""Choosing one of several thousand places without JavaScript: say it in words, then pick if the words fit several."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext_lazy as _

from apps.catalogue.models import Region
from apps.catalogue.regions import Gazetteer, Place, stem
from apps.catalogue.search import clean
from apps.portal.places import full_label

_SHOWN: Final = 12


@dataclass(frozen=True)
class Said:
    """What came back from the widget: the words, and the place that was picked for exactly these words."""

    text: str
    code: str


def _is_called(region: Region, text: str) -> bool:
    wanted = text.strip().casefold()
    names = {region.code.casefold(), region.name.casefold(), region.name_en.casefold()}
    return wanted in names or stem(text.strip()) == stem(region.name)


def find(text: str) -> list[Region]:
    """The places that `text` may mean; a single one if it is clear.

    “Wuchang, Wuhan”, “湖北 武汉 武昌” and “湖北省武汉市武昌区” are understood.
    """
    text = text.strip()
    if exact := Region.objects.places().filter(pk__iexact=text).first():
        return [exact]

    commas = text.replace("，", ",").replace("、", ",").replace("›", ",").replace("/", ",")
    parts = [part.strip() for part in commas.split(",") if part.strip()]
    if len(parts) > 1:
        return _nested(parts)

    found = _search(text)
    if any(_is_called(region, text) for region in found):
        return _clear_or_all(found, text)
    if len(words := text.split()) > 1 and (nested := _nested(words)):
        return nested
    return _written(text) or _clear_or_all(found, text)


def _written(text: str) -> list[Region]:
    """The place of an address in Chinese, written in one piece."""
    if text.isascii():
        return []
    places = (Place(*row) for row in Region.objects.values_list("code", "name", "path"))
    code = Gazetteer(places).resolve(address=text).code
    return list(Region.objects.filter(pk=code))


def _search(text: str) -> list[Region]:
    return list(Region.objects.search(text)[:200])


def _clear_or_all(found: Sequence[Region], text: str) -> list[Region]:
    called = [region for region in found if _is_called(region, text)]
    if len(called) == 1:
        return called
    return list(called or found)[:_SHOWN]


def _nested(parts: Sequence[str]) -> list[Region]:
    """Places called one part, that lie in places called the other parts."""
    hits = [_search(part) for part in parts]
    fits: dict[str, Region] = {}
    for index, candidates in enumerate(hits):
        others = [
            {region.pk for region in others if _is_called(region, parts[other]) or len(others) < 5}
            for other, others in enumerate(hits)
            if other != index
        ]
        for region in candidates:
            if _is_called(region, parts[index]) and all(set(region.ancestor_codes) & codes for codes in others):
                fits[region.pk] = region
    return sorted(fits.values(), key=lambda region: region.path)[:_SHOWN]


class RegionWidget(forms.Widget):
    """A text field; beneath it, when the words fit several places, a choice of these."""

    template_name = "portal/widgets/region.html"

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs)
        self.candidates: list[Region] = []

    def value_from_datadict(
        self, data: Mapping[str, Any], _files: MultiValueDict[str, Any] | Mapping[str, Any], name: str
    ) -> Said:
        text = str(data.get(name) or "").strip()
        picked, picked_for = str(data.get(f"{name}_picked") or ""), str(data.get(f"{name}_picked_for") or "")
        return Said(text, picked if text and text == picked_for.strip() else "")

    def value_omitted_from_data(self, data: Mapping[str, Any], _files: Any, name: str) -> bool:
        return name not in data

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, None, attrs)
        text, code = "", ""
        if isinstance(value, Region):
            text, code = full_label(value), value.pk
        elif isinstance(value, Said):
            text, code = value.text, value.code
        elif value:
            region = Region.objects.filter(pk=value).first()
            text, code = (full_label(region), region.pk) if region else (str(value), "")
        # The inner attributes are those of the text field; the group of choices has an id of its own.
        context["widget"] |= {
            "text": text,
            "code": code,
            "candidates": [(region.pk, full_label(region)) for region in self.candidates],
        }
        return context


class RegionField(forms.Field):
    """Gives a `Region`, or None where it may be left empty. Takes a `Region` or a code as initial value.

    `ambiguous`: the form comes back with a choice beneath the field; what was typed elsewhere is kept as in any form.
    """

    widget = RegionWidget
    default_error_messages = {
        "unknown": _("No place of this name was found. Try the name of the city or county alone, or its code."),
        "ambiguous": _("Several places fit. Choose one below."),
    }

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("label", _("Region"))
        kwargs.setdefault(
            "help_text", _("City, district or county, in Chinese or English, or its code: 武昌, Wuchang, 420106.")
        )
        super().__init__(**kwargs)

    def has_changed(self, initial: Any, data: Any) -> bool:
        code = initial.pk if isinstance(initial, Region) else initial
        if isinstance(data, Said):
            return bool(data.text) if not code else data.code != code
        return bool(data != initial)

    def clean(self, value: Any) -> Region | None:
        said = value if isinstance(value, Said) else Said(str(value or ""), "")
        if not said.text:
            if self.required:
                raise ValidationError(self.error_messages["required"], code="required")
            return None

        if said.code:
            picked = Region.objects.places().filter(pk=said.code).first()
            if picked is not None:
                return picked

        text = clean(said.text)
        found = find(text) if any(letter.isalnum() for letter in text) else []
        if len(found) == 1:
            return found[0]
        if not found:
            raise ValidationError(self.error_messages["unknown"], code="unknown")
        widget: Any = self.widget
        widget.candidates = found
        raise ValidationError(self.error_messages["ambiguous"], code="ambiguous")
