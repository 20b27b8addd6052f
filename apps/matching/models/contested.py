"""The queue of the allocation: items that are contested, and which worker is at them."""

import datetime as dt
from typing import Self

from django.db import models
from django.db.models import Count, Min, Q
from django.utils.translation import gettext_lazy as _

from apps.catalogue.models import Item


class ContestedItemQuerySet(models.QuerySet["ContestedItem"]):
    def unclaimed(self, now: dt.datetime) -> Self:
        """Items that no worker is at. A worker that died loses its claim when the time is over."""
        return self.filter(Q(claimed_until=None) | Q(claimed_until__lt=now))

    def unfinished(self) -> Self:
        """Items whose last turn had no time to write all that it had decided."""
        return self.filter(holds_left__gt=0)

    def groups_to_allocate(self, now: dt.datetime) -> models.QuerySet["ContestedItem", int]:
        """Names of the groups of which nobody has an item, the longest waiting first."""
        groups = (
            self.order_by()
            .values("group")
            .annotate(since=Min("waiting_since"), busy=Count("pk", filter=Q(claimed_until__gte=now)))
        )
        return groups.filter(busy=0).order_by("since", "group").values_list("group", flat=True)


class ContestedItem(models.Model):
    """An item that some needs lack while suppliers were asked for others and have not answered.

    Items that accepted substitutes link are one group. Its name is the smallest of their keys. One worker claims all
    of its items and allocates them together.
    """

    item = models.OneToOneField(Item, models.CASCADE, primary_key=True, related_name="contested")
    group = models.BigIntegerField(_("group"))
    # Since it became contested, or since it was last claimed. A group that ends its worker does not come first again.
    waiting_since = models.DateTimeField(_("waiting since"))
    claimed_until = models.DateTimeField(_("claimed until"), null=True, blank=True, editable=False)
    # Which needs the next turn reads, where they are too many for one.
    slice = models.PositiveIntegerField(_("next slice"), db_default=0, editable=False)
    # What the last turn that ended came to: the certified gap of its plan, and the holds that it had no time to write.
    last_turn_at = models.DateTimeField(_("last turn"), null=True, blank=True, editable=False)
    gap = models.FloatField(_("certified gap"), null=True, blank=True, editable=False)
    holds_left = models.PositiveIntegerField(_("holds left to the next turn"), db_default=0, editable=False)

    objects = ContestedItemQuerySet.as_manager()

    class Meta:
        verbose_name = _("contested item")
        verbose_name_plural = _("contested items")

    def __str__(self) -> str:
        return str(self.item)
