"""Regions, with the names above each."""

from __future__ import annotations

from functools import lru_cache
from typing import ClassVar, Self

from django.db import models
from django.db.models.functions import Concat, Greatest, Length
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from apps.catalogue.models.naming import bumps_revision, trigram_index
from apps.catalogue.regions import GROUPINGS
from apps.catalogue.search import clean, is_chinese, matches, rank


class RegionLevel(models.TextChoices):
    COUNTRY = "country", _("country")
    PROVINCE = "province", _("province")
    PREFECTURE = "prefecture", _("prefecture or city")
    COUNTY = "county", _("county or district")


class RegionQuerySet(models.QuerySet["Region"]):
    def search(self, text: str) -> Self:
        """Regions whose code or name, in either language, holds `text`; the best first, large before small."""
        if not (text := clean(text)):
            return self

        # A text in one script can only be in one column. With fewer conditions, the planner chooses the index.
        score: models.expressions.Combinable
        if is_chinese(text):
            wanted, score = matches("name", text), rank("name", text)
        else:
            wanted = models.Q(code__startswith=text.upper()) | matches("name_en", text)
            score = Greatest(rank("code", text), rank("name_en", text))
        return self.places().filter(wanted).annotate(search_rank=score).order_by("-search_rank", Length("path"), "code")

    def places(self) -> Self:
        """Regions in which somebody can be, without the rows of GB/T 2260 that only group codes."""
        return self.exclude(name__in=GROUPINGS)

    def within(self, region: Region) -> Self:
        """The region itself and everything in it."""
        # Paths end in a slash, so `CN/420000/` does not match `CN/4200001/`.
        return self.filter(path__startswith=region.path)


@lru_cache(maxsize=4096)
def _names_above(codes: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """The (Chinese, English) names of these regions, in the order of the codes.

    They are cached, because messages name the same few regions again and again. Reference data changes only when it is
    loaded, and a stale name in a message does no harm.
    """
    rows = Region.objects.filter(pk__in=codes).values_list("code", "name", "name_en")
    found = {code: (name, name_en) for code, name, name_en in rows}
    return tuple(found[code] for code in codes if code in found)


class Region(models.Model):
    """An administrative area, coded by GB/T 2260 in China and by ISO 3166 elsewhere.

    `path` lists the codes from the country down, each followed by a slash: `CN/420000/420100/420106/`. Counties
    directly under a province are its children (`CN/420000/429004/`), whatever their digits say.

    Besides its own triggers, one of supply watches where it lies (`supply.models.OriginRegion`).
    """

    code = models.CharField(_("code"), max_length=10, primary_key=True)
    name = models.CharField(_("name"), max_length=120)
    name_en = models.CharField(_("name in English"), max_length=120)
    level = models.CharField(_("level"), max_length=10, choices=RegionLevel)
    parent = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="children", verbose_name=_("part of")
    )
    path = models.CharField(_("path"), max_length=50, unique=True)
    latitude = models.FloatField(_("latitude"), null=True, blank=True)
    longitude = models.FloatField(_("longitude"), null=True, blank=True)

    objects = RegionQuerySet.as_manager()

    class Meta:
        verbose_name = _("region")
        verbose_name_plural = _("regions")
        ordering = ("path",)
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(level__in=RegionLevel.values), name="catalogue_region_level"),
            # Every search for "everything in this region" compares the beginnings of paths.
            models.CheckConstraint(
                condition=models.Q(path__endswith=Concat("code", models.Value("/"))),
                name="catalogue_region_path_ends_with_code",
            ),
            models.CheckConstraint(
                condition=models.Q(latitude__isnull=True, longitude__isnull=True)
                | models.Q(latitude__range=(-90, 90), longitude__range=(-180, 180)),
                name="catalogue_region_coordinates",
            ),
        ]
        indexes: ClassVar = trigram_index("name", "name_en", prefix="region")
        triggers: ClassVar = [bumps_revision()]

    def __str__(self) -> str:
        return self.label

    @property
    def label(self) -> str:
        return self.name if (get_language() or "").startswith("zh") else self.name_en

    @property
    def names(self) -> dict[str, str]:
        """The name by language code, for messages."""
        return {"en": self.name_en, "zh-hans": self.name}

    @property
    def full_names(self) -> dict[str, str]:
        """The name with what it lies in, by language code: many cities have a Xicheng or a Chaoyang."""
        # The country is left out, because addresses within a country do not name it.
        above = [pair for pair in _names_above(tuple(self.ancestor_codes[1:])) if pair[0] not in GROUPINGS]
        known = [*above, (self.name, self.name_en)]
        return {
            "en": ", ".join(dict.fromkeys(english for _name, english in reversed(known))),
            "zh-hans": "".join(dict.fromkeys(name for name, _english in known)),
        }

    def is_within(self, other: Region) -> bool:
        """Whether this is `other` or a part of it."""
        return self.path.startswith(other.path)

    @property
    def ancestor_codes(self) -> list[str]:
        """From the country down, without itself."""
        return self.path.split("/")[:-2]
