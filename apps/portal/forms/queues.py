"""How a coordinator narrows a queue of the desk down, in the address of the page."""

from collections.abc import Iterable
from typing import Any, Final

from django import forms
from django.db.models import Count, QuerySet
from django.utils.translation import gettext_lazy as _

from apps.catalogue.models import Item, Region
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


class QueueFilter(forms.Form):
    """Places and items are those of the rows that wait, with how many of them. Whatever else is typed is ignored."""

    region = forms.ChoiceField(label=_("Place"), required=False)
    item = forms.ChoiceField(label=_("Item"), required=False)
    cause = forms.ChoiceField(
        label=_("Why not covered"),
        required=False,
        choices=[("", _("all")), *((reason.value, words) for reason, words in CAUSES.items())],
    )

    def __init__(self, typed: Any, *, rows: QuerySet[Any], region: str, has_items: bool, has_causes: bool) -> None:
        super().__init__(typed)
        self.rows, self.at = rows.order_by(), region
        self._offer("region", self._places())
        if has_items:
            self._offer("item", self._items())
        else:
            del self.fields["item"]
        if not has_causes:
            del self.fields["cause"]

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
        return rows
