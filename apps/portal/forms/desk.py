"""What coordinators say."""

import datetime as dt

from django import forms
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext_lazy as _


class SeenForm(forms.Form):
    """A decision on what a page showed: `seen` is when that was last changed."""

    seen = forms.CharField(required=False, widget=forms.HiddenInput)

    def clean_seen(self) -> dt.datetime | None:
        """What the page showed that the form came from; a form without it (a program's) is taken as it is."""
        try:
            return parse_datetime(self.cleaned_data["seen"])
        except ValueError:
            return None


class VerifyForm(SeenForm):
    until = forms.DateField(
        label=_("Verified until"),
        required=False,
        help_text=_("A year from now, if left empty."),
        widget=forms.DateInput(attrs={"type": "date", "class": "short"}),
    )


class ReasonForm(forms.Form):
    reason = forms.CharField(
        label=_("Reason"),
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("The organisation reads it: say what it can do."),
    )


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
