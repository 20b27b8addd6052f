"""What coordinators say."""

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.portal.forms.seen import SeenForm


class VerifyForm(SeenForm):
    until = forms.DateField(
        label=_("Verified until"),
        required=False,
        help_text=_("A year from now, if left empty."),
        widget=forms.DateInput(attrs={"type": "date", "class": "short"}),
    )
    call_back = forms.CharField(
        label=_("Call-back"),
        max_length=300,
        required=False,
        help_text=_(
            "A hospital without a document: call a number from a public register, not one that they gave. "
            "Note the number, the register and who answered."
        ),
    )


class RequiredReasonForm(forms.Form):
    reason = forms.CharField(
        label=_("Reason"),
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("The organisation reads it: say what it can do."),
    )


class RejectForm(SeenForm, RequiredReasonForm):
    """Why not, of what was seen."""


class OptionalReasonForm(forms.Form):
    reason = forms.CharField(
        label=_("Reason"),
        max_length=500,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("The organisation reads it."),
    )


class SearchForm(forms.Form):
    q = forms.CharField(
        label=_("Reference, name or phone"),
        max_length=80,
        required=False,
        widget=forms.TextInput(attrs={"type": "search"}),
    )
