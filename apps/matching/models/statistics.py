"""What is counted once an hour: records of suppliers, usual prices."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Organisation
from apps.catalogue.models import Item


class SupplierRecord(models.Model):
    """What became of a supplier's promises in the last half year, as last counted."""

    organisation = models.OneToOneField(Organisation, models.CASCADE, primary_key=True, related_name="record")
    kept = models.PositiveIntegerField(_("kept"))
    broken = models.PositiveIntegerField(_("broken"))
    # Those of the broken ones that a requester had relied on.
    called_off = models.PositiveIntegerField(_("called off after acceptance"), db_default=0)
    failed = models.PositiveIntegerField(_("failed deliveries"), db_default=0)
    counted_at = models.DateTimeField(_("counted"))

    class Meta:
        verbose_name = _("record of a supplier")
        verbose_name_plural = _("records of suppliers")

    def __str__(self) -> str:
        return f"{self.organisation}: {self.kept} / {self.broken}"


class ReferencePrice(models.Model):
    """What an item usually costs: the median unit price of its published offers, as last taken.

    Only offers in the currency of most of them count, and no price in another currency is compared with it.
    """

    item = models.OneToOneField(Item, models.CASCADE, primary_key=True, related_name="reference_price")
    price = models.FloatField(_("price per unit"))
    currency = models.CharField(_("currency"), max_length=3, default="CNY")
    taken_at = models.DateTimeField(_("taken"))

    class Meta:
        verbose_name = _("reference price")
        verbose_name_plural = _("reference prices")

    def __str__(self) -> str:
        return f"{self.item}: {self.price} {self.currency}"
