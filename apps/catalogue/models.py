"""Items, units, standards and regions: reference data with its searches."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar, Self

import pgtrigger
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models.functions import Coalesce, Concat, Greatest, Length, Upper
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from apps.catalogue.regions import GROUPINGS
from apps.catalogue.search import clean, is_chinese, matches, rank
from apps.catalogue.standards import normalise
from apps.core.triggers import Trigger

# The key of the item that stands for "not in the catalogue, see the note". It can be drafted, but not published or
# matched.
UNLISTED_ITEM = "other"


class AliasLanguage(models.TextChoices):
    ZH = "zh", _("Chinese")
    EN = "en", _("English")


class Jurisdiction(models.TextChoices):
    CN = "CN", _("China")
    EU = "EU", _("European Union")
    US = "US", _("United States")
    INTERNATIONAL = "INT", _("International")
    KR = "KR", _("South Korea")
    JP = "JP", _("Japan")
    AU = "AU", _("Australia and New Zealand")


class RegionLevel(models.TextChoices):
    COUNTRY = "country", _("country")
    PROVINCE = "province", _("province")
    PREFECTURE = "prefecture", _("prefecture or city")
    COUNTY = "county", _("county or district")


def trigram_index(*fields: str, prefix: str) -> list[models.Index]:
    """One index per column that serves `icontains` and word similarity, whatever the letters' case.

    The tables are written seldom and searched often. So the indexes have no pending list (`fastupdate`), which every
    search would have to scan first.
    """
    return [
        GinIndex(OpClass(Upper(field), name="gin_trgm_ops"), name=f"{prefix}_{field}_trgm", fastupdate=False)
        for field in fields
    ]


def bumps_revision() -> Trigger:
    """A trigger that renews the catalogue's revision on every statement that changes this table.

    A trigger sees every path: services, the back office, SQL by hand. The revision is the ETag of the reference data.
    """
    return Trigger(
        name="bump_revision",
        level=pgtrigger.Statement,
        when=pgtrigger.After,
        operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
        func=(
            "INSERT INTO catalogue_revision (id, value) VALUES (1, gen_random_uuid()) "
            "ON CONFLICT (id) DO UPDATE SET value = excluded.value; RETURN NULL;"
        ),
    )


class Named(models.Model):
    """A row with a name in both languages."""

    name_zh = models.CharField(_("name in Chinese"), max_length=120)
    name_en = models.CharField(_("name in English"), max_length=120)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.label

    @property
    def label(self) -> str:
        """The name in the language that is active now."""
        return self.name_zh if (get_language() or "").startswith("zh") else self.name_en

    @property
    def names(self) -> dict[str, str]:
        """The name by language code, for messages."""
        return {"en": self.name_en, "zh-hans": self.name_zh}


class Revision(models.Model):
    """The version of the whole catalogue, in one row. Triggers of every other table of this app renew it."""

    value = models.UUIDField(_("value"))

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(condition=models.Q(pk=1), name="catalogue_one_revision")]

    def __str__(self) -> str:
        return str(self.value)


class Category(Named):
    """A heading of the catalogue that groups items, such as respiratory protection."""

    key = models.SlugField(_("key"), max_length=40, primary_key=True)
    position = models.PositiveSmallIntegerField(_("position"), default=0)

    class Meta:
        verbose_name = _("category")
        verbose_name_plural = _("categories")
        ordering = ("position", "key")
        triggers: ClassVar = [bumps_revision()]


class Unit(Named):
    """The base unit in which an item is counted. All quantities are whole numbers of base units."""

    code = models.CharField(_("code"), max_length=12, primary_key=True)
    symbol = models.CharField(_("symbol"), max_length=12, help_text=_("As shown after a number in every language."))

    class Meta:
        verbose_name = _("unit")
        verbose_name_plural = _("units")
        ordering = ("code",)
        triggers: ClassVar = [bumps_revision()]

    @property
    def short_names(self) -> dict[str, str]:
        """The unit as written after a number, by language code. In Chinese it is the name itself."""
        return {"en": self.symbol, "zh-hans": self.name_zh}


class ItemQuerySet(models.QuerySet["Item"]):
    def search(self, text: str) -> Self:
        """Items whose name, key or alias, in either language, holds `text` or comes close to it; the best first."""
        # An empty search restricts nothing, so a page can pass whatever was typed.
        if not (text := clean(text)):
            return self

        # A union of keys, one query per column, lets each use its own trigram index. One condition with OR over two
        # tables would make PostgreSQL read both whole.
        names = ("name_zh", "name_en", "key")
        found = Item.objects.order_by().values("pk")
        hits = found.filter(matches("name_zh", text)).union(
            found.filter(matches("name_en", text)),
            found.filter(matches("key", text)),
            ItemAlias.objects.order_by().filter(matches("text", text)).values("item"),
            all=True,
        )
        # An item counts by its best alias, so that many aliases do not make it better.
        by_alias = ItemAlias.objects.filter(item=models.OuterRef("pk")).order_by()
        best_alias = by_alias.annotate(score=rank("text", text)).order_by("-score").values("score")[:1]

        return (
            self.filter(pk__in=hits)
            .annotate(
                search_rank=Greatest(*(rank(name, text) for name in names), Coalesce(models.Subquery(best_alias), 0.0))
            )
            .order_by("-search_rank", "category__position", "position", "key")
        )

    def listed(self) -> Self:
        """All items except the stand-in for goods that the catalogue does not have."""
        return self.exclude(key=UNLISTED_ITEM)


class Item(Named):
    """A kind of thing that can be needed and offered, such as a surgical mask, counted in its base unit."""

    key = models.CharField(_("key"), max_length=60, unique=True, help_text=_("Stable, for programs: mask.surgical"))
    category = models.ForeignKey(Category, models.PROTECT, related_name="items", verbose_name=_("category"))
    unit = models.ForeignKey(Unit, models.PROTECT, related_name="+", verbose_name=_("base unit"))
    # An unknown quantity is never counted as a number, yet suppliers must be asked for one: a lot that is of use
    # anywhere.
    trial_lot = models.PositiveBigIntegerField(
        _("trial lot"), help_text=_("What to offer when the needed quantity is unknown, in base units.")
    )
    is_consumable = models.BooleanField(_("consumable"), default=True)
    position = models.PositiveSmallIntegerField(_("position"), default=0)
    codes: models.JSONField[list[dict[str, str]], list[dict[str, str]]] = models.JSONField(
        _("codes"), default=list, blank=True, help_text=_("In other systems: a list of system, version and code.")
    )

    objects = ItemQuerySet.as_manager()

    class Meta:
        verbose_name = _("item")
        verbose_name_plural = _("items")
        ordering = ("category__position", "position", "key")
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(trial_lot__gt=0), name="catalogue_item_trial_lot_positive")
        ]
        indexes: ClassVar = trigram_index("name_zh", "name_en", "key", prefix="item")
        triggers: ClassVar = [bumps_revision()]

    @property
    def is_unlisted(self) -> bool:
        return self.key == UNLISTED_ITEM


class ItemAlias(models.Model):
    """Another name that people use for an item: a brand, a spelling, the wording of a form."""

    item = models.ForeignKey(Item, models.CASCADE, related_name="aliases", verbose_name=_("item"))
    language = models.CharField(_("language"), max_length=2, choices=AliasLanguage)
    text = models.CharField(_("text"), max_length=120)

    class Meta:
        verbose_name = _("alias")
        verbose_name_plural = _("aliases")
        ordering = ("item", "language", "text")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["item", "text"], name="catalogue_alias_once_per_item"),
            models.CheckConstraint(
                condition=models.Q(language__in=AliasLanguage.values), name="catalogue_alias_language"
            ),
            models.CheckConstraint(condition=~models.Q(text=""), name="catalogue_alias_not_empty"),
        ]
        indexes: ClassVar = trigram_index("text", prefix="alias")
        triggers: ClassVar = [bumps_revision()]

    def __str__(self) -> str:
        return self.text


class Pack(Named):
    """How an item is usually packed: shown beside quantities, never stored instead of them."""

    item = models.ForeignKey(Item, models.CASCADE, related_name="packs", verbose_name=_("item"))
    size = models.PositiveIntegerField(_("size"), help_text=_("Base units in one pack."))

    class Meta:
        verbose_name = _("pack")
        verbose_name_plural = _("packs")
        ordering = ("item", "size")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["item", "name_en", "size"], name="catalogue_pack_once_per_item"),
            # A pack of one is the unit itself.
            models.CheckConstraint(condition=models.Q(size__gt=1), name="catalogue_pack_holds_several"),
        ]
        triggers: ClassVar = [bumps_revision()]


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
