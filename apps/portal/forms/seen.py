"""What the page showed that a form came from, so that nobody decides on what they did not see."""

import datetime as dt
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.dateparse import parse_datetime


class SeenField(forms.CharField):
    """The `updated_at` of the row, hidden; None for a form without it (a program's), which is taken as it is."""

    widget = forms.HiddenInput

    def __init__(self) -> None:
        super().__init__(required=False)

    def clean(self, value: Any) -> dt.datetime | None:
        try:
            return parse_datetime(value or "")
        # `parse_datetime` gives None for nonsense, and raises for a 31 February.
        except ValueError:
            return None


class SeenForm(forms.Form):
    """A decision on what a page showed."""

    seen = SeenField()


def seeing(updated_at: dt.datetime) -> str:
    """As the field is filled in."""
    return updated_at.isoformat()


def look_again(form: forms.Form, updated_at: dt.datetime) -> None:
    """After `state_changed`: the form is shown with all that was typed beside the row as it is now, so that it can be
    sent again.
    """
    assert isinstance(form.data, QueryDict)
    typed = form.data.copy()
    typed[form.add_prefix("seen")] = seeing(updated_at)
    form.data = typed
