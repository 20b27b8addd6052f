"""What coordinators say."""

from collections.abc import Sequence
from typing import Any, Final

from django import forms
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Organisation
from apps.portal.forms.seen import SeenField, SeenForm, seeing

# Of those that are named so, the numbers of these are told.
_NAMED: Final = 5


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


class LeverForm(forms.Form):
    note = forms.CharField(
        label=_("Note"),
        max_length=500,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("For colleagues. Whoever is asked does not read it."),
    )


class NoteForm(forms.Form):
    text = forms.CharField(label=_("Note for colleagues"), max_length=500, widget=forms.Textarea(attrs={"rows": 2}))


class TakeForm(forms.Form):
    """Whom one saw as the owner when one took a need over."""

    instead_of = forms.IntegerField(required=False, widget=forms.HiddenInput)


class SearchForm(forms.Form):
    q = forms.CharField(
        label=_("Reference, name or phone"),
        max_length=80,
        required=False,
        widget=forms.TextInput(attrs={"type": "search"}),
    )


class DismissForm(forms.Form):
    note = forms.CharField(
        label=_("How do you know?"),
        max_length=500,
        required=False,
        help_text=_("For other coordinators. The organisations do not read it."),
    )


class ProposePairForm(forms.Form):
    """Two organisations that a coordinator takes for one, each by its name, registration number or number here."""

    one = forms.CharField(label=_("One organisation"), max_length=200)
    other = forms.CharField(
        label=_("The same as"),
        max_length=200,
        help_text=_("Its whole name, its registration number, or the number in the address of its page."),
    )
    reason = forms.CharField(
        label=_("How do you know that they are one?"),
        max_length=500,
        help_text=_("Another coordinator reads it and decides."),
    )

    def __init__(self, *args: Any, among: QuerySet[Organisation], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.among = among

    def clean_one(self) -> Organisation:
        return self._found("one")

    def clean_other(self) -> Organisation:
        return self._found("other")

    def _found(self, name: str) -> Organisation:
        text = self.cleaned_data[name].strip()
        named = Q(name__iexact=text) | Q(identifier__iexact=text)
        if text.isascii() and text.isdigit() and len(text) < 18:
            named |= Q(pk=int(text))
        found = list(self.among.filter(named).order_by("pk")[:_NAMED])
        if not found:
            raise forms.ValidationError(_("No organisation of your region is named so."))
        if len(found) > 1:
            numbers = ", ".join(str(one.pk) for one in found)
            raise forms.ValidationError(
                _("Several are named so. Write the number: %(numbers)s.") % {"numbers": numbers}
            )
        return found[0]


class MergeForm(forms.Form):
    """Which of two organisations stays, and who comes along."""

    survivor = forms.ChoiceField(label=_("Which one stays?"), widget=forms.RadioSelect)
    with_people = forms.BooleanField(
        label=_("The people and webhooks of the other one come along"),
        required=False,
        help_text=_("They see and do in the one that stays what their role allows. Otherwise they must be invited."),
    )
    note = forms.CharField(
        label=_("How do you know that they are one?"),
        max_length=500,
        help_text=_("For other coordinators. The organisations do not read it."),
    )
    # What the page showed of the first and the second.
    seen_first = SeenField()
    seen_second = SeenField()

    def __init__(self, *args: Any, pair: Sequence[Organisation], **kwargs: Any) -> None:
        shown = dict(zip(("seen_first", "seen_second"), (seeing(one.updated_at) for one in pair), strict=True))
        # The verified one, else the older one.
        likely = min(pair, key=lambda one: (not one.is_verified, one.pk))
        other = pair[1] if likely == pair[0] else pair[0]
        # Somebody may have registered a name in order to be merged into it, so unverified people stay out at first.
        kwargs["initial"] = {"survivor": str(likely.pk), "with_people": other.is_verified, **shown}
        super().__init__(*args, **kwargs)
        self.pair = pair
        field = self.fields["survivor"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(str(one.pk), f"{one.name} ({one.get_state_display()}, {one.pk})") for one in pair]

    def clean(self) -> dict[str, Any]:
        """With `survivor` and `merged` as organisations, and what was seen of the two in the order of the verb."""
        cleaned: dict[str, Any] = super().clean() or {}
        if "survivor" not in cleaned:
            return cleaned
        seen = {one.pk: cleaned.pop(name) for one, name in zip(self.pair, ("seen_first", "seen_second"), strict=True)}
        survivor = next(one for one in self.pair if str(one.pk) == cleaned["survivor"])
        merged = next(one for one in self.pair if one != survivor)
        times = [seen[merged.pk], seen[survivor.pk]]
        return {**cleaned, "survivor": survivor, "merged": merged, "seen": times if all(times) else []}
