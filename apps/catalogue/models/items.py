"""Items with their units, packs and other names."""

from __future__ import annotations

from typing import ClassVar, Self

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Coalesce, Greatest
from django.utils.translation import gettext_lazy as _

from apps.catalogue.models.naming import Named, bumps_revision, trigram_index
from apps.catalogue.search import clean, matches, rank

# The key of the item that stands for "not in the catalogue, see the note". It can be drafted, but not published or
# matched.
UNLISTED_ITEM = "other"


class AliasLanguage(models.TextChoices):
    ZH = "zh", _("Chinese")
    EN = "en", _("English")


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
    # What a certificate of the register of medical devices in China must be to cover it.
    device_class = models.PositiveSmallIntegerField(
        _("class of medical device"),
        null=True,
        blank=True,
        help_text=_("The lowest that it is; empty for other goods."),
    )
    device_categories = ArrayField(
        models.CharField(max_length=2),
        default=list,
        db_default=[],
        blank=True,
        verbose_name=_("categories of medical device"),
        help_text=_("Of its registration number, such as 14; empty means any."),
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
