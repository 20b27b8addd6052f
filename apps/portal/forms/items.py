"""Choosing an item without JavaScript: a search box over a list that is grouped by category, the most needed first."""

from collections import Counter
from functools import cached_property
from typing import Any

from django.db.models import Prefetch
from django.utils.translation import gettext as _

from apps.accounts.models import Organisation
from apps.catalogue.models import Item, Standard
from apps.demands.models import Demand
from apps.supply.models import Offer

# As many as fit on a phone before the groups begin.
MOST_USED = 6
# The latest rows tell what is asked for now, and cost the same however many there are.
_LOOKED_AT = 300

Choices = list[tuple[str, list[tuple[str, str]]]]


class ItemChoices:
    """All items with their packs and standards, read once for a page, whatever the number of lines on it."""

    def __init__(self, organisation: Organisation | None = None, *, of: type[Demand] | type[Offer] = Demand) -> None:
        self.organisation = organisation
        self.of = of

    @cached_property
    def items(self) -> dict[int, Item]:
        standards = Standard.objects.current().order_by("code")
        rows = Item.objects.select_related("category", "unit").prefetch_related(
            "packs", Prefetch("standards", queryset=standards)
        )
        return {item.pk: item for item in rows.order_by("category__position", "position", "key")}

    @cached_property
    def most_used(self) -> list[Item]:
        """What this organisation asks for (or offers) most, filled up with what everybody does."""
        recent = self.of._default_manager.order_by("-pk")
        own = Counter(recent.filter(organisation=self.organisation).values_list("item", flat=True)[:_LOOKED_AT])
        everybody = Counter(recent.values_list("item", flat=True)[:_LOOKED_AT])
        # A dict keeps the order and drops what both name.
        ranked = dict.fromkeys([*(pk for pk, _n in own.most_common()), *(pk for pk, _n in everybody.most_common())])
        found = [self.items[pk] for pk in ranked if pk in self.items and not self.items[pk].is_unlisted]
        return found[:MOST_USED]

    def item(self, raw: Any) -> Item | None:
        """The item that a raw value of a form means: its key in the database or its name for programs."""
        if isinstance(raw, Item):
            return self.items.get(raw.pk)
        text = str(raw or "")
        if text.isascii() and text.isdigit() and len(text) < 19:
            return self.items.get(int(text))
        # Links from the board name an item by its key, which never changes.
        return next((item for item in self.items.values() if item.key == text), None)

    def found(self, text: str) -> list[Item]:
        return list(Item.objects.listed().search(text).select_related("unit")[:40])

    def choices(self, text: str = "", *, keep: Item | None = None) -> tuple[Choices, int | None]:
        """The grouped choices, narrowed to what `text` finds, and how many it found (None: there was no search).

        `keep` stays among them: a search must not lose what was chosen.
        """
        if text.strip():
            found = self.found(text)
            if found:
                groups: Choices = [(_("Found"), _options(found))]
                if keep is not None and keep.pk not in {item.pk for item in found}:
                    groups.append((_("Chosen before"), _options([keep])))
                return groups, len(found)
            return self._all(), 0
        return self._all(), None

    def _all(self) -> Choices:
        groups: Choices = []
        if self.most_used:
            groups.append(
                (_("Most often needed") if self.of is Demand else _("Most often offered"), _options(self.most_used))
            )
        by_category: dict[str, list[Item]] = {}
        for item in self.items.values():
            if not item.is_unlisted:
                by_category.setdefault(item.category.label, []).append(item)
        groups += [(name, _options(items)) for name, items in by_category.items()]
        unlisted = [item for item in self.items.values() if item.is_unlisted]
        # A need may be described in words. An offer must name an item, or nobody finds it.
        if unlisted and self.of is Demand:
            groups.append(
                (_("Not in this list"), [(str(unlisted[0].pk), _("Something else: describe it in the note"))])
            )
        return groups


def _options(items: list[Item]) -> list[tuple[str, str]]:
    return [(str(item.pk), item.label) for item in items]
