"""Publishing offers, one by one or from a sheet."""

import datetime as dt
from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.forms.models import fields_for_model
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Organisation
from apps.catalogue.models import Item, Pack, Region, Standard
from apps.catalogue.naming import Proposals, find, nearest
from apps.portal.forms.items import ItemChoices
from apps.portal.forms.needs import CountedForm
from apps.portal.forms.quantities import QuantityFormField
from apps.portal.forms.regions import RegionField
from apps.portal.places import full_label
from apps.supply.fields import OFFER_FIELDS
from apps.supply.models import Offer, OfferState

# The sheet goes to the browser and back between preview and confirmation, so it must fit into a form.
MAX_SHEET_BYTES: Final = 1_500_000
# A list that long means “anywhere”, and each name is a search.
MAX_DESTINATIONS: Final = 50
# Those of published relief boards. An offer made by a program may have another; it keeps it.
CURRENCIES: Final = ["CNY", "USD", "EUR", "HKD", "JPY", "KRW", "GBP"]


class DestinationsField(forms.CharField):
    """Places, one on each line; empty means anywhere. Gives their codes."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("widget", forms.Textarea(attrs={"rows": 3, "maxlength": 3000}))
        super().__init__(required=False, max_length=3000, **kwargs)

    def clean(self, value: Any) -> list[str]:
        text = super().clean(value)
        names = [
            name.strip() for line in text.splitlines() for name in line.replace("；", ";").split(";") if name.strip()
        ]
        if len(names) > MAX_DESTINATIONS:
            raise ValidationError(_("At most %(most)s places.") % {"most": MAX_DESTINATIONS}, code="too_many")
        codes: list[str] = []
        faults: list[ValidationError] = []
        proposed = 0
        for name in names:
            found = find(name)
            if len(found) == 1:
                codes.append(found[0].pk)
            elif found:
                several = " / ".join(full_label(region) for region in found[:4])
                faults.append(
                    ValidationError(
                        _("“%(name)s” may be several places: %(several)s.") % {"name": name, "several": several}
                    )
                )
            # Looking for likely names compares with thousands: a pasted list of nonsense would take minutes.
            elif proposed < Proposals.MOST and (near := " / ".join(full_label(place) for place in nearest(name)[:4])):
                proposed += 1
                text = _("No place called “%(name)s” was found. Did you mean %(near)s?")
                faults.append(ValidationError(text % {"name": name, "near": near}))
            else:
                faults.append(ValidationError(_("No place called “%(name)s” was found.") % {"name": name}))
        if faults:
            raise ValidationError(faults)
        return list(dict.fromkeys(codes))

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(str(initial or "").split() != str(data or "").split())


class OfferForm(CountedForm):
    """One offer: goods that can be promised."""

    find = forms.CharField(label=_("Search"), required=False, max_length=200)
    item = forms.ModelChoiceField(
        Item.objects.listed(), label=_("What do you offer?"), error_messages={"required": _("Choose what you offer.")}
    )
    quantity = QuantityFormField(
        label=_("How much?"),
        help_text=_("All that you can promise: stock on hand, or what you can surely make in time."),
    )
    pack = forms.ModelChoiceField(Pack.objects.all(), label=_("Counted in"), required=False)
    standard = forms.ModelChoiceField(
        Standard.objects.all(), label=_("Standard that the goods meet"), required=False,
        help_text=_("With a standard, many more needs fit."),
    )  # fmt: skip
    daily_capacity = QuantityFormField(label=_("Daily capacity"), required=False)
    minimum_order = QuantityFormField(label=_("Minimum order"), required=False)
    lead_time_days = QuantityFormField(
        label=_("Delivery time in days"),
        required=False,
        least=0,
        most=3650,
        help_text=_("From the order on; 0 means at once."),
    )
    unit_price = forms.DecimalField(
        label=_("Price per unit"), required=False, min_value=0, max_digits=14, decimal_places=4,
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
    )  # fmt: skip
    currency = forms.ChoiceField(
        label=_("Currency"), choices=[(code, code) for code in CURRENCIES], initial="CNY", required=False
    )
    is_donation = forms.BooleanField(label=_("It is a donation"), required=False)
    origin_region = RegionField(label=_("Ships from"))
    ships_to = DestinationsField(
        label=_("Ships to"), help_text=_("Places, one on each line: 湖北, Wuhan, IT-25. Empty means anywhere.")
    )
    certificate_number = forms.CharField(
        label=_("Certificate number"), required=False, max_length=60, help_text=_("Such as 国械注准20153640000.")
    )
    certificate_valid_until = forms.DateField(
        label=_("Certificate valid until"),
        required=False,
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
        input_formats=["%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d"],
        error_messages={"invalid": _("Write a date such as 2026-02-15.")},
    )
    note = forms.CharField(
        label=_("Note"), required=False, max_length=2000, widget=forms.Textarea(attrs={"rows": 2, "maxlength": 2000})
    )

    def __init__(
        self,
        *args: Any,
        organisation: Organisation,
        item_choices: ItemChoices,
        offer: Offer | None = None,
        **kwargs: Any,
    ) -> None:
        now: dict[str, Any] = {"origin_region": organisation.region}
        if offer is not None:
            now |= {name: getattr(offer, name) for name in OFFER_FIELDS if name != "ships_to"}
            now["standard"] = offer.standard_id
            now["ships_to"] = "\n".join(destinations(offer.ships_to))
        kwargs["initial"] = now | dict(kwargs.get("initial") or {})
        # Requesters have been matched with this item. Other goods are another offer.
        fixed = item_choices.item(offer.item) if offer is not None and offer.state != OfferState.DRAFT else None
        super().__init__(*args, item_choices=item_choices, keep_item=fixed, **kwargs)
        if offer is not None:
            currency = self.fields["currency"]
            assert isinstance(currency, forms.ChoiceField)
            if offer.currency not in CURRENCIES:
                currency.choices = [(code, code) for code in [*CURRENCIES, offer.currency]]

    def further(self) -> list[forms.BoundField]:
        """The fields that no template places by name."""
        return [self[name] for name in _FURTHER]

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        pack: Pack | None = data.get("pack")
        for name in ("daily_capacity", "minimum_order"):
            if (
                data.get(name) is not None
                and pack is not None
                and pack.item_id == getattr(data.get("item"), "pk", None)
            ):
                data[name] *= pack.size
        day: dt.date | None = data.get("certificate_valid_until")
        # PostgreSQL takes the year 9999, and everybody would take the certificate for valid.
        if day is not None and day.year > 2200:
            self.add_error("certificate_valid_until", _("Is the year right?"))
        if data.get("amount") == 0:
            self.add_error("quantity", _("Say how much you offer."))
        return data

    def facts(self) -> dict[str, Any]:
        """As the services take them."""
        data = self.cleaned_data
        facts: dict[str, Any] = {name: data[name] for name in OFFER_FIELDS if name in data}
        facts["quantity"] = data["amount"]
        # Left empty, the least that means anything.
        facts["minimum_order"] = data["minimum_order"] or 1
        facts["lead_time_days"] = data["lead_time_days"] or 0
        facts["currency"] = data["currency"] or "CNY"
        return facts


# Facts of an offer that need no form field of their own: the model's will do.
_FURTHER: Final = tuple(name for name in OFFER_FIELDS if name not in OfferForm.base_fields)
OfferForm.base_fields.update(fields_for_model(Offer, _FURTHER))


def destinations(codes: list[str]) -> list[str]:
    """The full names of places, in the order of their codes."""
    regions = Region.objects.in_bulk(codes)
    return [full_label(regions[code]) if code in regions else code for code in codes]


class OffersFilter(forms.Form):
    state = forms.ChoiceField(label=_("State"), choices=[("", _("all")), *OfferState.choices], required=False)
    q = forms.CharField(label=_("Item"), required=False, max_length=200)


class SheetForm(forms.Form):
    """A sheet to be read."""

    file = forms.FileField(
        label=_("CSV or XLSX file"),
        allow_empty_file=True,
        error_messages={"required": _("Choose a file.")},
        widget=forms.ClearableFileInput(attrs={"accept": ".csv,.xlsx"}),
        help_text=_("Up to 2,000 rows."),
    )
    publish = forms.BooleanField(label=_("Publish them at once"), required=False, initial=True)

    def clean_file(self) -> "UploadedFile[bytes]":
        file: UploadedFile[bytes] = self.cleaned_data["file"]
        if (file.size or 0) > MAX_SHEET_BYTES:
            raise forms.ValidationError(_("The file is too large: at most 1.5 MB. Divide it into several."))
        return file
