"""Choosing one of several thousand places without JavaScript: say it in words, then pick if the words fit several."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext_lazy as _

from apps.catalogue.models import Region
from apps.catalogue.naming import find, nearest
from apps.portal.places import full_label


@dataclass(frozen=True)
class Said:
    """What came back from the widget: the words, and the place that was picked for exactly these words."""

    text: str
    code: str


class RegionWidget(forms.Widget):
    """A text field; beneath it, when the words fit several places or none, a choice of what may be meant."""

    template_name = "portal/widgets/region.html"

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs)
        self.candidates: list[Region] = []

    def value_from_datadict(
        self, data: Mapping[str, Any], _files: MultiValueDict[str, Any] | Mapping[str, Any], name: str
    ) -> Said:
        text = str(data.get(name) or "").strip()
        picked, picked_for = str(data.get(f"{name}_picked") or ""), str(data.get(f"{name}_picked_for") or "")
        # A place picked for other words does not count: the words were changed since.
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

    `ambiguous`, `unlike`: the form comes back with a choice beneath the field; what was typed elsewhere is kept as in
    any form.
    """

    widget = RegionWidget
    default_error_messages = {
        "unknown": _("No place of this name was found. Try the name of the city or county alone, or its code."),
        "unlike": _("No place of this name is known. Choose one that is like it below, or write it differently."),
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

        # The words alone would be ambiguous again, and the same question would come back for ever.
        if said.code:
            picked = Region.objects.places().filter(pk=said.code).first()
            if picked is not None:
                return picked

        found = find(said.text)
        if len(found) == 1:
            return found[0]
        widget: Any = self.widget
        # Django copies the fields of a form for each request, so the choice is nobody else's.
        widget.candidates = found or nearest(said.text)
        code = "ambiguous" if found else "unlike" if widget.candidates else "unknown"
        raise ValidationError(self.error_messages[code], code=code)
