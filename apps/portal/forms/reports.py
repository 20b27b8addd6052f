"""What people say about abuse, and what coordinators decide about it."""

from typing import Final

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.portal.forms.seen import SeenForm
from apps.reports.models import Measure, ReportReason

_DISMISS: Final = "dismiss"


class ReportForm(forms.Form):
    reason = forms.ChoiceField(
        label=_("What is wrong?"), choices=[("", _("Choose…")), *ReportReason.choices], required=True
    )
    note = forms.CharField(
        label=_("What happened?"),
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 4, "maxlength": 2000}),
        help_text=_("Coordinators read it, and nobody else. Say what you saw, when, and how they could check it."),
    )


class AppealForm(forms.Form):
    appeal = forms.CharField(
        label=_("What is wrong with the decision?"),
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 4, "maxlength": 2000}),
        help_text=_("Another coordinator reads it and decides anew."),
    )


class _DecisionForm(SeenForm):
    decision = forms.CharField(
        label=_("Reason"),
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 3, "maxlength": 500}),
        help_text=_("Both sides read it. Do not say who reported."),
    )


class DecideForm(_DecisionForm):
    measure = forms.ChoiceField(label=_("What follows?"), choices=[])
    field_order = ("measure", "decision")

    def __init__(self, *args: object, can_block: bool, can_suspend: bool, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # whatever a form takes
        possible = {Measure.NONE: True, Measure.POST: can_block, Measure.ORGANISATION: can_suspend}
        choices = [("", _("Choose…")), (_DISMISS, _("Nothing was found: dismiss the report"))]
        choices += [(one.value, one.label) for one, is_possible in possible.items() if is_possible]
        self.fields["measure"].choices = choices  # type: ignore[attr-defined]  # it is a choice field

    def clean_measure(self) -> str | None:
        """The measure; None to dismiss the report."""
        measure: str = self.cleaned_data["measure"]
        return None if measure == _DISMISS else measure


class AppealDecisionForm(_DecisionForm):
    lift = forms.ChoiceField(
        label=_("What follows?"),
        choices=[("", _("Choose…")), ("no", _("The measure stands")), ("yes", _("The measure is lifted"))],
    )
    field_order = ("lift", "decision")

    def clean_lift(self) -> bool:
        return bool(self.cleaned_data["lift"] == "yes")
