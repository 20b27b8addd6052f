"""Standards, and what satisfies or replaces what."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from django.db import models
from django.db.models.functions import Greatest
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from apps.catalogue.models.items import Item
from apps.catalogue.models.naming import bumps_revision, trigram_index
from apps.catalogue.search import clean, matches, rank
from apps.catalogue.standards import normalise


class Jurisdiction(models.TextChoices):
    CN = "CN", _("China")
    EU = "EU", _("European Union")
    US = "US", _("United States")
    INTERNATIONAL = "INT", _("International")
    KR = "KR", _("South Korea")
    JP = "JP", _("Japan")
    AU = "AU", _("Australia and New Zealand")


class StandardQuerySet(models.QuerySet["Standard"]):
    def search(self, text: str) -> Self:
        """Standards whose code or title holds `text`, however the code is spelt; the best first."""
        if not (text := clean(text)):
            return self

        # People write `yy0469` or `YY 0469—2011`; codes are stored in one spelling.
        spelling = normalise(text)
        names = ("code", "title_zh", "title_en")
        wanted = matches("code", spelling)
        for name in names:
            wanted |= matches(name, text)

        return (
            self.filter(wanted)
            .annotate(
                search_rank=Greatest(rank("code", spelling), *(rank(name, text) for name in names))
                + models.Case(models.When(succeeded_by=None, then=0.5), default=0.0)  # what is in force comes first
            )
            .order_by("-search_rank", "code")
        )

    def current(self) -> Self:
        """Standards that no newer edition has replaced."""
        return self.filter(succeeded_by=None)


class Standard(models.Model):
    """One grade of one edition of a standard, with what it guarantees as comparable attributes."""

    code = models.CharField(_("code"), max_length=60, unique=True)
    title_zh = models.CharField(_("title in Chinese"), max_length=200)
    title_en = models.CharField(_("title in English"), max_length=200)
    jurisdiction = models.CharField(_("jurisdiction"), max_length=3, choices=Jurisdiction)
    grade = models.CharField(_("grade"), max_length=20, blank=True)
    attributes: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(
        _("attributes"), default=dict, blank=True
    )
    valid_from = models.DateField(_("in force since"), null=True, blank=True)
    succeeded_by = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="succeeds", verbose_name=_("replaced by")
    )
    items: models.ManyToManyField[Item, ItemStandard] = models.ManyToManyField(
        Item, through="ItemStandard", related_name="standards", verbose_name=_("items")
    )

    objects = StandardQuerySet.as_manager()

    class Meta:
        verbose_name = _("standard")
        verbose_name_plural = _("standards")
        ordering = ("code",)
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(jurisdiction__in=Jurisdiction.values), name="catalogue_standard_jurisdiction"
            ),
            models.CheckConstraint(
                condition=~models.Q(succeeded_by=models.F("pk")), name="catalogue_standard_not_its_own_successor"
            ),
        ]
        indexes: ClassVar = trigram_index("code", "title_zh", "title_en", prefix="standard")
        triggers: ClassVar = [bumps_revision()]

    def __str__(self) -> str:
        return self.code

    @property
    def title(self) -> str:
        """The title in the language that is active now."""
        return self.title_zh if (get_language() or "").startswith("zh") else self.title_en


class ItemStandard(models.Model):
    """A standard that applies to an item: needs may ask for it, and offers may claim it."""

    item = models.ForeignKey(Item, models.CASCADE, related_name="+", verbose_name=_("item"))
    standard = models.ForeignKey(Standard, models.CASCADE, related_name="+", verbose_name=_("standard"))

    class Meta:
        verbose_name = _("standard of an item")
        verbose_name_plural = _("standards of items")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["item", "standard"], name="catalogue_standard_once_per_item")
        ]
        triggers: ClassVar = [bumps_revision()]

    def __str__(self) -> str:
        return f"{self.item} · {self.standard}"


class Satisfaction(models.Model):
    """Goods of the offered standard meet or exceed everything that the demanded one asks for.

    The relation has a direction. Every standard satisfies itself. `standards.satisfactions` computes the rows.
    """

    offered = models.ForeignKey(Standard, models.CASCADE, related_name="satisfies", verbose_name=_("offered"))
    demanded = models.ForeignKey(Standard, models.CASCADE, related_name="satisfied_by", verbose_name=_("demanded"))

    class Meta:
        verbose_name = _("satisfaction")
        verbose_name_plural = _("satisfactions")
        constraints: ClassVar = [
            # `demanded` comes first, because matching asks what may serve a demanded standard.
            models.UniqueConstraint(fields=["demanded", "offered"], name="catalogue_satisfaction_once")
        ]
        triggers: ClassVar = [bumps_revision()]

    def __str__(self) -> str:
        return f"{self.offered} ⊇ {self.demanded}"


class Substitution(models.Model):
    """The offered item may serve instead of the demanded one, if the requester accepts substitutes.

    The relation has a direction. Both items have the same base unit, so quantities need no conversion. Pages and
    messages always call such goods a substitute.
    """

    offered = models.ForeignKey(Item, models.CASCADE, related_name="substitutes_for", verbose_name=_("offered"))
    demanded = models.ForeignKey(Item, models.CASCADE, related_name="substituted_by", verbose_name=_("demanded"))
    note_zh = models.CharField(_("note in Chinese"), max_length=200, blank=True)
    note_en = models.CharField(_("note in English"), max_length=200, blank=True)

    class Meta:
        verbose_name = _("substitution")
        verbose_name_plural = _("substitutions")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["demanded", "offered"], name="catalogue_substitution_once"),
            models.CheckConstraint(
                condition=~models.Q(offered=models.F("demanded")), name="catalogue_substitution_of_another"
            ),
        ]
        triggers: ClassVar = [bumps_revision()]

    def __str__(self) -> str:
        return f"{self.offered} → {self.demanded}"

    @property
    def note(self) -> str:
        """The note in the language that is active now."""
        return self.note_zh if (get_language() or "").startswith("zh") else self.note_en
