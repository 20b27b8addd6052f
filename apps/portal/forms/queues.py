"""How a coordinator narrows a queue of the desk down, in the address of the page."""

from collections.abc import Iterable
from typing import Any, Final

from django import forms
from django.db.models import Count, QuerySet
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.catalogue.models import Item, Region
from apps.desk.services import BulkAct
from apps.matching.models import DeclineReason
from apps.matching.scoring.eligibility import Reason
from apps.portal import places

CAUSES: Final = {
    Reason.NO_SOURCE: _("no offer fits"),
    Reason.MINIMUM: _("less than minimum orders ask for"),
    Reason.CAPPED: _("its share is given"),
    Reason.SHARED: _("shared with others"),
    Reason.HIGHER: _("higher tiers came first"),
    Reason.EXHAUSTED: _("all that fits is given"),
}
# Of the path of a region: country, province, city. Districts of one city are one place at the desk.
_CITY: Final = 3
_MINE: Final = "me"
_NOBODY: Final = "nobody"


class QueueFilter(forms.Form):
    """Places and items are those of the rows that wait, with how many of them. Whatever else is typed is ignored."""

    region = forms.ChoiceField(label=_("Place"), required=False)
    item = forms.ChoiceField(label=_("Item"), required=False)
    cause = forms.ChoiceField(
        label=_("Why not covered"),
        required=False,
        choices=[("", _("all")), *((reason.value, words) for reason, words in CAUSES.items())],
    )

    owner = forms.ChoiceField(
        label=_("Who sees to it"),
        required=False,
        choices=[("", _("all")), (_MINE, _("I do")), (_NOBODY, _("nobody"))],
    )

    def __init__(
        self, typed: Any, *, user: User, rows: QuerySet[Any], region: str, has_items: bool, has_causes: bool
    ) -> None:
        super().__init__(typed)
        self.user = user
        self.rows, self.at = rows.order_by(), region
        self._offer("region", self._places())
        if has_items:
            self._offer("item", self._items())
        else:
            del self.fields["item"]
        if not has_causes:
            del self.fields["cause"]
            del self.fields["owner"]

    def _offer(self, name: str, choices: Iterable[tuple[str, str]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [("", _("all")), *choices]

    def _places(self) -> Iterable[tuple[str, str]]:
        counted: dict[str, int] = {}
        for path, number in self.rows.values_list(f"{self.at}__path").annotate(Count("pk")):
            parts = path.split("/")[:-1]
            # The province as well as the city, so that either can be chosen.
            for code in {*parts[1:_CITY], parts[min(_CITY, len(parts)) - 1]}:
                counted[code] = counted.get(code, 0) + number
        found = Region.objects.in_bulk(counted)
        # By path, so that the cities of a province stand below it.
        for place in sorted(found.values(), key=lambda place: place.path):
            yield place.pk, f"{places.full_label(place)} ({counted[place.pk]})"

    def _items(self) -> Iterable[tuple[str, str]]:
        counted = dict(self.rows.values_list("item").annotate(Count("pk")))
        found = Item.objects.in_bulk(counted)
        for key, number in sorted(counted.items(), key=lambda pair: (-pair[1], pair[0])):
            yield str(key), f"{found[key].label} ({number})"

    def narrowed(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """The rows, in their order, that fit what is chosen."""
        self.is_valid()
        chosen = self.cleaned_data
        if code := chosen.get("region"):
            within = Region.objects.filter(path__startswith=Region.objects.get(pk=code).path)
            rows = rows.filter(**{f"{self.at}__in": within.values("pk")})
        if item := chosen.get("item"):
            rows = rows.filter(item=item)
        if cause := chosen.get("cause"):
            rows = rows.filter(shortfall__because=cause)
        if owner := chosen.get("owner"):
            rows = rows.filter(handling=None) if owner == _NOBODY else rows.filter(handling__owner=self.user)
        return rows


class BulkForm(forms.Form):
    """What to do with the needs that are ticked in a queue. The keys of the needs are read by the view."""

    act = forms.ChoiceField(choices=BulkAct.choices)
    note = forms.CharField(
        label=_("Note"),
        max_length=500,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("Colleagues read it; of a pause the requester does, too."),
    )


class VerifyManyForm(forms.Form):
    """How one knows that the organisations that are ticked are what they say. Their keys are read by the view."""

    call_back = forms.CharField(
        label=_("Call-back"),
        max_length=300,
        required=False,
        help_text=_(
            "Hospitals without a document: which numbers of which public register were called, and who answered."
        ),
    )


class CallForm(forms.Form):
    """What a supplier said by phone about one need."""

    answer = forms.ChoiceField(
        label=_("They said"),
        choices=[("yes", _("Yes")), ("no", _("No")), ("no_answer", _("Nobody answered"))],
        widget=forms.RadioSelect,
    )
    quantity = forms.IntegerField(
        label=_("How much do they promise?"), required=False, min_value=1, help_text=_("Of a yes, in base units.")
    )
    reason = forms.ChoiceField(label=_("Why not?"), required=False, choices=[("", "–"), *DeclineReason.choices])
    text = forms.CharField(label=_("Note for colleagues"), required=False, max_length=400)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("answer") == "yes" and not cleaned.get("quantity") and "quantity" not in self.errors:
            self.add_error("quantity", _("Say how much they promise."))
        if cleaned.get("answer") == "no" and not cleaned.get("reason"):
            self.add_error("reason", _("Choose one of the reasons."))
        return cleaned
