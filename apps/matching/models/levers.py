"""Levers: what single acts would do for the open needs, as it was last counted, and what was done about them."""

import datetime as dt
from collections.abc import Collection
from typing import ClassVar, Self

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.catalogue.models import Item, Region, Standard
from apps.core.models import TimeStamped
from apps.matching.scoring.causes import OF_REQUESTERS, Cause
from apps.supply.models import Offer


class LeverQuerySet(models.QuerySet["Lever"]):
    def shown(self) -> Self:
        """With what every page shows of a lever, in one query."""
        return self.select_related("item__unit", "offer__organisation", "asked_standard", "offered_standard")

    def within(self, codes: Collection[str]) -> Self:
        """Those that help some need in one of these regions, or were pulled there."""
        helping = LeverEffect.objects.filter(lever=OuterRef("pk"), region__in=codes)
        pulled = LeverPull.objects.filter(lever=OuterRef("pk"), region__in=codes)
        return self.filter(Exists(helping) | Exists(pulled))


class Lever(TimeStamped):
    """One act that would open goods for needs that are short: why they are kept back, and what is to be asked of whom.

    It stays the same row from count to count. `offers` are those that would give, most first.
    """

    cause = models.CharField(_("cause"), max_length=12)
    item = models.ForeignKey(Item, models.PROTECT, related_name="+", verbose_name=_("item"))
    offer = models.ForeignKey(Offer, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("offer"))
    asked_standard = models.ForeignKey(
        Standard, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("standard asked for")
    )
    offered_standard = models.ForeignKey(
        Standard, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("standard offered")
    )
    # What the supplier is to be asked to lower its minimum order to.
    minimum = models.BigIntegerField(_("minimum order"), null=True, blank=True)
    offers = ArrayField(models.BigIntegerField(), default=list, verbose_name=_("offers"))
    suppliers = models.PositiveIntegerField(_("suppliers"), default=0)

    objects = LeverQuerySet.as_manager()

    class Meta(TimeStamped.Meta):
        verbose_name = _("lever")
        verbose_name_plural = _("levers")
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["cause", "item", "offer", "asked_standard", "offered_standard"],
                nulls_distinct=False,
                name="lever_once",
            ),
            models.CheckConstraint(condition=Q(cause__in=[one.value for one in Cause]), name="lever_cause_known"),
        ]

    def __str__(self) -> str:
        return f"{self.cause}: {self.item}"

    @property
    def key(self) -> tuple[str, int, int | None, int | None, int | None]:
        """As of `levers.acts.Act`."""
        return self.cause, self.item_id, self.offer_id, self.asked_standard_id, self.offered_standard_id

    @property
    def asks_requesters(self) -> bool:
        return self.cause in OF_REQUESTERS


class LeverEffect(models.Model):
    """What a lever would bring to the needs in one region, all that lies in it included. `tier` is the best of them.

    Quantities are in base units.
    """

    lever = models.ForeignKey(Lever, models.CASCADE, db_index=False, related_name="effects", verbose_name=_("lever"))
    region = models.ForeignKey(Region, models.PROTECT, db_index=False, related_name="+", verbose_name=_("region"))
    needs = models.PositiveIntegerField(_("needs"))
    organisations = models.PositiveIntegerField(_("organisations"))
    quantity = models.BigIntegerField(_("quantity"))
    tier = models.PositiveSmallIntegerField(_("tier"))

    class Meta:
        verbose_name = _("effect of a lever")
        verbose_name_plural = _("effects of levers")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["lever", "region"], name="lever_effect_once"),
            models.CheckConstraint(
                condition=Q(needs__gt=0, organisations__gt=0, quantity__gt=0), name="lever_effect_is_some"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["region", "tier", "-organisations", "-quantity"], name="lever_effect_by_rank"),
        ]

    def __str__(self) -> str:
        return f"{self.lever} ({self.region_id})"


class LeverPull(models.Model):
    """That a coordinator pulled a lever for a region: how many were asked, and what it would have brought just then."""

    lever = models.ForeignKey(Lever, models.PROTECT, related_name="pulls", verbose_name=_("lever"))
    region = models.ForeignKey(Region, models.PROTECT, db_index=False, related_name="+", verbose_name=_("region"))
    by = models.ForeignKey(User, models.PROTECT, db_index=False, related_name="+", verbose_name=_("by"))
    note = models.TextField(_("note"), blank=True)
    asked = models.PositiveIntegerField(_("asked"))
    needs = models.PositiveIntegerField(_("needs"))
    organisations = models.PositiveIntegerField(_("organisations"))
    quantity = models.BigIntegerField(_("quantity"))
    pulled_at = models.DateTimeField(_("pulled"))

    class Meta:
        verbose_name = _("pull of a lever")
        verbose_name_plural = _("pulls of levers")
        constraints: ClassVar = [models.CheckConstraint(condition=Q(quantity__gt=0), name="lever_pull_is_some")]

    def __str__(self) -> str:
        return f"{self.lever} ({self.pulled_at})"


class LeverCount(models.Model):
    """The one row that says when levers were last counted, how long that took, and until when a worker counts."""

    counted_at = models.DateTimeField(_("counted"), null=True, blank=True)
    seconds = models.FloatField(_("seconds"), default=0)
    needs = models.PositiveIntegerField(_("needs"), default=0)
    claimed_until = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("count of levers")
        verbose_name_plural = _("counts of levers")
        constraints: ClassVar = [models.CheckConstraint(condition=Q(id=1), name="lever_count_is_one")]

    def __str__(self) -> str:
        return str(self.counted_at)

    def is_due(self, now: dt.datetime) -> bool:
        """Whether to count anew. It rests as long as it took, so that it never takes more than half of a worker."""
        # `counted_at` is when the count began.
        return self.counted_at is None or now - self.counted_at >= 2 * dt.timedelta(seconds=self.seconds)
