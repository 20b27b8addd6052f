"""Posting and amending needs."""

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError
from django.forms.renderers import get_default_renderer
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Organisation
from apps.catalogue.models import Item, ItemStandard, Pack, Standard
from apps.core.errors import RuleViolation
from apps.demands.lines import DemandLine, check_quantity
from apps.demands.models import Demand, DemandState, QuantityKind, Urgency
from apps.portal.forms.items import ItemChoices
from apps.portal.forms.quantities import QuantityFormField, pack_choices
from apps.portal.forms.regions import RegionField
from apps.portal.web import blame

# A phone shows few lines, and one post is written in one transaction.
MAX_LINES: Final = 20
# Browsers let people type year 20260 and say nothing.
YEARS_AHEAD: Final = 2
_FOLDED: Final = ("standard", "accepts_substitutes", "days_of_supply", "note")


class LenientTextField(forms.CharField):
    """Text that is cut and cleaned rather than refused: the format of a phone number never blocks a need."""

    def __init__(self, *, longest: int, **kwargs: Any) -> None:
        super().__init__(required=False, **kwargs)
        self.longest = longest
        self.widget.attrs["maxlength"] = longest

    def to_python(self, value: Any) -> str:
        # Lone surrogates come from broken keyboards; the database cannot store them.
        text = str(value or "").encode("utf-8", "ignore").decode()
        return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())[: self.longest]


class DayField(forms.DateField):
    """A day by whose end something is needed, in the time zone of whoever writes it."""

    default_error_messages = {"invalid": _("Write a date such as 2026-02-15.")}

    def __init__(self, **kwargs: Any) -> None:
        widget = forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"})
        super().__init__(required=False, widget=widget, input_formats=["%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d"], **kwargs)

    def clean(self, value: Any) -> dt.datetime | None:
        day = super().clean(value)
        if day is None:
            return None
        if day > timezone.localdate() + dt.timedelta(days=366 * YEARS_AHEAD):
            raise ValidationError(_("This is more than two years ahead. Is the year right?"), code="too_far")
        # Not midnight: a need “by Friday” may be met on Friday.
        return timezone.make_aware(dt.datetime.combine(day, dt.time(23, 59)))


class CountedForm(forms.Form):
    """An item and a quantity of it, counted in its unit or in packs. After cleaning, `amount` is in base units."""

    def __init__(self, *args: Any, item_choices: ItemChoices, keep_item: Item | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.item_choices = item_choices
        self.fixed_item = keep_item
        raw = self.data.get(self.add_prefix("item")) if self.is_bound else self.initial.get("item")
        self.chosen = keep_item or item_choices.item(raw)
        text = self.data.get(self.add_prefix("find"), "") if self.is_bound else self.initial.get("find", "")
        if keep_item is not None:
            del self.fields["item"], self.fields["find"]
            self.found = None
        else:
            choices, self.found = item_choices.choices(str(text or ""), keep=self.chosen)
            self.fields["item"].widget.choices = [("", _("– choose –")), *choices]
        if "pack" in self.fields:
            self.fields["pack"].widget.choices = pack_choices(self.chosen)
        codes = self.chosen.standards.all() if self.chosen else []
        self.standards = [(str(one.pk), f"{one.code} · {one.title}") for one in codes]
        self.fields["standard"].widget.choices = [("", _("any")), *self.standards]

    @property
    def packs(self) -> list[Pack]:
        return list(self.chosen.packs.all()) if self.chosen else []

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        item = self.fixed_item or data.get("item")
        if item is None:
            return data
        pack: Pack | None = data.get("pack")
        # Without a script, the packs of the item chosen before are still in the list.
        if pack is not None and pack.item_id != item.pk:
            self.add_error("pack", _("This pack belongs to another item. Choose again."))
            pack = None
        standard: Standard | None = data.get("standard")
        if standard is not None and not ItemStandard.objects.filter(item=item, standard=standard).exists():
            self.add_error(
                "standard",
                _("“%(standard)s” is not a standard for %(item)s.") % {"standard": standard, "item": item.label},
            )
        quantity = data.get("quantity")
        data["amount"] = quantity * (pack.size if pack else 1) if quantity is not None else None
        return data


class LineForm(CountedForm):
    """One line of a post."""

    find = forms.CharField(label=_("Search"), required=False, max_length=200)
    item = forms.ModelChoiceField(
        Item.objects.all(), label=_("What do you need?"), error_messages={"required": _("Choose what you need.")}
    )
    quantity = QuantityFormField(label=_("How much?"), required=False)
    pack = forms.ModelChoiceField(Pack.objects.all(), label=_("Counted in"), required=False)
    quantity_kind = forms.ChoiceField(
        label=_("This number is"), choices=QuantityKind.choices, initial=QuantityKind.EXACT, required=False
    )
    standard = forms.ModelChoiceField(Standard.objects.all(), label=_("Standard"), required=False)
    accepts_substitutes = forms.BooleanField(label=_("Substitutes are welcome"), required=False)
    days_of_supply = QuantityFormField(
        label=_("Days your stock will last"), required=False, least=0, most=3650, help_text=_("If you know it.")
    )
    note = forms.CharField(
        label=_("Note"), required=False, max_length=2000, widget=forms.Textarea(attrs={"rows": 2, "maxlength": 2000})
    )
    # The quantity that was asked back: confirmed only if it is still the one.
    asked_back = QuantityFormField(required=False, widget=forms.HiddenInput)

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        # A page from before an upgrade, or a form sent by a script, may lack the field.
        data["quantity_kind"] = data.get("quantity_kind") or QuantityKind.EXACT
        item: Item | None = data.get("item")
        if item is not None and item.is_unlisted and not data.get("note"):
            self.add_error("note", _("Describe what you need, so that suppliers understand it."))
        if "amount" in data and "quantity" not in self.errors:
            try:
                check_quantity(data["amount"], data["quantity_kind"])
            except RuleViolation as violation:
                blame(self, violation)
        return data

    def facts(self) -> dict[str, Any]:
        """The fields of a demand that stand in this line."""
        data = self.cleaned_data
        names = ("quantity_kind", "standard", "accepts_substitutes", "days_of_supply", "note")
        return {"quantity": data["amount"], **{name: data[name] for name in names}}

    @property
    def is_unfolded(self) -> bool:
        """Whether something stands, or is to be mended, in the fields that few people need."""
        return any(self[name].value() or self[name].errors for name in _FOLDED)

    @property
    def is_confirmed(self) -> bool:
        """Whether the quantity is the one that the question was about."""
        amount = self.cleaned_data.get("amount")
        return amount is not None and amount == self.cleaned_data.get("asked_back")


class DetailsForm(forms.Form):
    """What the lines of a post share: how urgent, by when, where to, whom to call."""

    urgency = forms.ChoiceField(label=_("How urgent is it?"), choices=Urgency.choices, initial=Urgency.URGENT)
    needed_by = DayField(label=_("Needed by"), help_text=_("It must arrive by the end of this day."))
    region = RegionField(label=_("Deliver to: district"))
    address = forms.CharField(label=_("Delivery address"), required=False, max_length=300)
    contact_name = LenientTextField(label=_("Whom to call"), longest=100)
    contact_phone = LenientTextField(
        label=_("Phone"),
        longest=60,
        help_text=_(
            "Shown to a supplier only after it accepts. If left empty, the contact of your organisation is shown."
        ),
    )

    def __init__(self, *args: Any, organisation: Organisation, **kwargs: Any) -> None:
        own = {"region": organisation.region, "address": organisation.address}
        # Most deliveries go to the organisation itself: nothing to type.
        kwargs["initial"] = own | dict(kwargs.get("initial") or {})
        super().__init__(*args, **kwargs)

    def clean_needed_by(self) -> dt.datetime | None:
        """A day that is over is named with the other faults, not after them; what stands already may stay."""
        moment: dt.datetime | None = self.cleaned_data["needed_by"]
        # Only what was just typed: an old date must not block a change of something else.
        if moment is not None and moment < timezone.now() and "needed_by" in self.changed_data:
            raise ValidationError(_("This date has passed."), code="needed_by_past")
        return moment

    def facts(self) -> dict[str, Any]:
        names = ("urgency", "needed_by", "region", "address", "contact_name", "contact_phone")
        return {name: self.cleaned_data[name] for name in names}


class LineFormSet(forms.BaseFormSet[LineForm]):
    """The lines of a post; lines left empty are no lines, but one there must be."""

    # What `formset_factory` would set, written where it can be typed.
    form = LineForm
    renderer = get_default_renderer()
    extra = 0
    min_num = 1
    max_num = absolute_max = MAX_LINES
    can_order = can_delete = can_delete_extra = False
    validate_min = False
    validate_max = True

    default_error_messages = {
        "too_many_forms": _("At most %(num)d lines in one post. Post the others separately."),
        "missing_management_form": _("Part of the form did not arrive. Please try again."),
    }

    @property
    def filled(self) -> list[LineForm]:
        # The first line counts even when it is empty, so that it is named as missing.
        first = self.forms[:1]
        return [form for form in self.forms if form in first or form.has_changed()]


LINE_FIELDS: Final = tuple(LineForm.base_fields)


def typed_lines(data: Mapping[str, Any], *, prefix: str = "lines") -> list[dict[str, Any]]:
    """What was typed into each line, as it was typed, to show the form again without judging it yet."""
    raw = str(data.get(f"{prefix}-TOTAL_FORMS", ""))
    # The number comes from the page, so it may be anything.
    count = min(int(raw), MAX_LINES) if raw.isascii() and raw.isdigit() and len(raw) < 4 else 1
    lines = []
    for number in range(max(1, count)):
        line = {name: data.get(f"{prefix}-{number}-{name}", "") for name in LINE_FIELDS}
        line["accepts_substitutes"] = bool(line["accepts_substitutes"])
        line["quantity_kind"] = line["quantity_kind"] or QuantityKind.EXACT
        lines.append(line)
    return lines


def lines_of(formset: LineFormSet, details: DetailsForm, token: str) -> list[DemandLine]:
    """The lines to post. The token of the page makes posting it twice impossible."""
    return [
        DemandLine(
            item=form.cleaned_data["item"],
            **form.facts(),
            **details.facts(),
            source="portal",
            source_key=f"{token}:{number}",
        )
        for number, form in enumerate(formset.filled)
    ]


def page_token(raw: object) -> str:
    """The token of the page as it came, or a new one."""
    try:
        return str(uuid.UUID(str(raw)))
    except ValueError:
        return str(uuid.uuid4())


class AmendForm(LineForm, DetailsForm):
    """Everything about one need. The item is fixed once it is open."""

    field_order = ("find", "item", "quantity", "pack", "quantity_kind", "standard", "accepts_substitutes", "urgency",
                   "needed_by", "days_of_supply", "region", "address", "contact_name", "contact_phone",
                   "note")  # fmt: skip

    def __init__(self, *args: Any, demand: Demand, item_choices: ItemChoices, **kwargs: Any) -> None:
        names = ("item", "quantity", "quantity_kind", "standard", "accepts_substitutes", "urgency", "days_of_supply",
                 "region", "address", "contact_name", "contact_phone", "note")  # fmt: skip
        now = {name: getattr(demand, name) for name in names}
        now["standard"] = demand.standard_id
        now["needed_by"] = timezone.localtime(demand.needed_by).date() if demand.needed_by else None
        kwargs["initial"] = now | dict(kwargs.get("initial") or {})
        # Suppliers have been asked for this item. Another item is another need.
        fixed = None if demand.state == DemandState.DRAFT else item_choices.item(demand.item)
        super().__init__(*args, organisation=demand.organisation, item_choices=item_choices, keep_item=fixed, **kwargs)
        self.demand = demand

    def changes(self) -> dict[str, Any]:
        changes = {**LineForm.facts(self), **DetailsForm.facts(self)}
        if "item" in self.cleaned_data:
            changes["item"] = self.cleaned_data["item"]
        before, after = self.demand.needed_by, changes["needed_by"]
        if before and after and timezone.localdate(before) == timezone.localdate(after):
            changes["needed_by"] = before  # the same day: not a change that suppliers must be asked about again
        return changes


class ReasonForm(forms.Form):
    """Why something ends: asked, never demanded."""

    reason = forms.CharField(label=_("Why?"), required=False, max_length=500)


class NeedsFilter(forms.Form):
    """Which of one's needs to list."""

    state = forms.ChoiceField(label=_("State"), choices=[("", _("all")), *DemandState.choices], required=False)
    q = forms.CharField(label=_("Item or reference"), required=False, max_length=200)


def alike_for(organisation: Organisation, items: Iterable[Item], since: dt.datetime) -> list[Demand]:
    """Live needs of the organisation for any of these items since then: likely the same needs."""
    wanted = [item.pk for item in items]
    found = Demand.objects.live().filter(organisation=organisation, item__in=wanted, created_at__gte=since)
    return list(found.shown().order_by("-pk")[:10])
