"""The offer index, which the search for the best offers reads."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.catalogue.models import Item
from apps.supply.models import Offer


class IndexCell(models.Model):
    """The offers of one item from one city, and how good the best of them can be.

    Bounds are never too low. `search.offer_index` is the only writer of cells and of what is in them: it makes the
    bounds of a cell anew from its offers, in the transaction that changes one of them.
    """

    item = models.ForeignKey(Item, models.CASCADE, db_index=False, related_name="+")
    city = models.CharField(max_length=10, blank=True, db_collation="C")  # empty: places without coordinates
    policy_version = models.PositiveIntegerField()  # whose weights its keys were made with
    best_key = models.FloatField()
    soonest = models.PositiveSmallIntegerField()  # the fewest days of lead time
    # The box around its offers, on the unit sphere. Null: places without coordinates.
    min_x, max_x = models.FloatField(null=True), models.FloatField(null=True)
    min_y, max_y = models.FloatField(null=True), models.FloatField(null=True)
    min_z, max_z = models.FloatField(null=True), models.FloatField(null=True)

    class Meta:
        verbose_name = _("cell of the offer index")
        verbose_name_plural = _("cells of the offer index")
        constraints: ClassVar = [models.UniqueConstraint(fields=["item", "city"], name="index_cell_once")]

    def __str__(self) -> str:
        return f"{self.item_id} / {self.city}"


class IndexedOffer(models.Model):
    """A published offer as the search for the best offers sees it: what its bound is made of.

    A copy that may be out of date: an offer that has changed since is noted (`supply.OfferChange`), and until it is
    indexed anew the search looks at it without a bound.

    `key` is the part of the score that does not depend on the need: the weighted steady terms, and freshness with the
    time of confirmation instead of the age, which orders offers the same at any time.
    """

    offer = models.OneToOneField(Offer, models.CASCADE, primary_key=True, related_name="indexed")
    # Copied from an offer, whose own foreign key guards it. `offer_index` is the only writer.
    item = models.ForeignKey(Item, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    city = models.CharField(max_length=10, blank=True, db_collation="C")
    key = models.FloatField()
    # Freshness ends at 0, which a key cannot say: from then on the key is too low.
    good_until = models.DateTimeField()
    quantity = models.BigIntegerField()  # all that is offered: what is free changes with every hold
    minimum_order = models.BigIntegerField()
    areas = models.BigIntegerField()  # one bit for each region shipped to; -1: anywhere. Regions share bits.
    lead_time_days = models.PositiveSmallIntegerField()
    # On the unit sphere; null where the place has no coordinates.
    x, y, z = models.FloatField(null=True), models.FloatField(null=True), models.FloatField(null=True)
    standard_id = models.BigIntegerField(null=True)

    class Meta:
        verbose_name = _("indexed offer")
        verbose_name_plural = _("indexed offers")
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(quantity__gte=0), name="indexed_offer_quantity_in_range")
        ]
        indexes: ClassVar = [
            # The search reads this index and not the table. What may be null comes last: the columns before it are
            # read quickly.
            models.Index(
                fields=["item", "city", "-key"],
                include=[
                    *("offer", "quantity", "minimum_order", "areas", "lead_time_days"),
                    *("x", "y", "z", "standard_id"),
                ],
                name="indexed_offer_best_first",
            ),
            models.Index(fields=["item", "good_until"], name="indexed_offer_by_end"),
        ]

    def __str__(self) -> str:
        return str(self.offer_id)
