"""Answering a request, shipping, receiving, ending and repeating an order."""

import datetime as dt
from collections.abc import Sequence
from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.fulfilment.models import OrderState, RejectReason, Side
from apps.matching.models import DeclineReason, Match
from apps.portal.forms.needs import ReasonForm
from apps.portal.forms.quantities import QuantityFormField


class AcceptForm(forms.Form):
    """How much of what was asked, and how soon."""

    quantity = QuantityFormField(label=_("How much can you send?"))
    lead_time_days = QuantityFormField(label=_("In how many days can it be there?"), required=False, least=0, most=3650)

    def __init__(self, *args: Any, match: Match, **kwargs: Any) -> None:
        kwargs.setdefault("initial", {"quantity": match.quantity, "lead_time_days": match.offer.lead_time_days})
        super().__init__(*args, **kwargs)


class DeclineForm(forms.Form):
    reason = forms.ChoiceField(
        label=_("Why not?"),
        choices=DeclineReason.choices,
        widget=forms.RadioSelect,
        help_text=_("If you are out of stock, your offer is suspended until you confirm it again."),
        error_messages={"required": _("Choose one of the reasons."), "invalid_choice": _("Choose one of the reasons.")},
    )
    note = forms.CharField(label=_("In your words"), required=False, max_length=500)


class ShipForm(forms.Form):
    """What leaves now; all that is left unless said otherwise."""

    quantity = QuantityFormField(label=_("How much do you send now?"))
    carrier = forms.CharField(label=_("Carrier"), required=False, max_length=100)
    tracking_number = forms.CharField(label=_("Tracking number"), required=False, max_length=100)
    expected_on = forms.DateField(
        label=_("Expected to arrive on"),
        required=False,
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
        input_formats=["%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d"],
        error_messages={"invalid": _("Write a date such as 2026-02-15.")},
    )

    def clean_expected_on(self) -> dt.date | None:
        day: dt.date | None = self.cleaned_data["expected_on"]
        if day is not None and abs((day - timezone.localdate()).days) > 366:
            raise ValidationError(_("This is more than a year away. Is the year right?"), code="too_far")
        return day


class DeliverForm(forms.Form):
    """What came: accepted, rejected, and why."""

    quantity_accepted = QuantityFormField(label=_("Accepted quantity"), least=0)
    quantity_rejected = QuantityFormField(label=_("Rejected quantity"), least=0, required=False)
    reason_kind = forms.ChoiceField(
        label=_("Why rejected?"), choices=[("", "–"), *RejectReason.choices], required=False
    )
    reason = forms.CharField(
        label=_("In your words"), required=False, max_length=400, help_text=_("The supplier will read this.")
    )

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("quantity_rejected") and not data.get("reason_kind") and not data.get("reason", "").strip():
            self.add_error("reason_kind", _("Say why you rejected them."))
        return data

    def facts(self) -> dict[str, Any]:
        """As the service takes them: the kind and the words are one reason."""
        data = self.cleaned_data
        kind = dict(RejectReason.choices).get(data["reason_kind"], "")
        reason = ": ".join(str(part) for part in (kind, data["reason"].strip()) if part)
        rejected = data["quantity_rejected"] or 0
        return {
            "quantity_accepted": data["quantity_accepted"],
            "quantity_rejected": rejected,
            "reason": reason if rejected else "",
        }


class CancelForm(ReasonForm):
    """Why, and for whoever may act for several sides, on whose behalf."""

    side = forms.ChoiceField(label=_("Who cancels it?"), choices=Side.choices, widget=forms.RadioSelect)

    def __init__(self, *args: Any, sides: Sequence[Side], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sides = sides
        if len(sides) == 1:
            del self.fields["side"]
        else:
            cast(forms.ChoiceField, self.fields["side"]).choices = [(side.value, side.label) for side in sides]

    def facts(self) -> dict[str, Any]:
        """As the service takes them."""
        data = self.cleaned_data
        return {"reason": data["reason"], "side": Side(data.get("side", self.sides[0]))}


class RepeatForm(forms.Form):
    quantity = QuantityFormField(label=_("How much more?"))


class OrdersFilter(forms.Form):
    state = forms.ChoiceField(label=_("State"), choices=[("", _("all")), *OrderState.choices], required=False)
    q = forms.CharField(label=_("Item or reference"), required=False, max_length=200)
