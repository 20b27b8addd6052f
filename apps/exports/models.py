"""What left an export, written by triggers, so that no path of the program can forget it; and what was published.

The other models are proxies. A trigger on a table of a lower app is declared here, where the exports are known.
"""

from typing import Any, ClassVar, Final, Self

import pgtrigger
from django.db import models
from django.db.models import Func
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Organisation, User
from apps.core.triggers import Trigger
from apps.demands.models import Demand
from apps.fulfilment.models import Delivery, Order, Shipment
from apps.matching.models import Match
from apps.supply.models import Offer


class TombstoneQuerySet(models.QuerySet["Tombstone"]):
    def visible_to(self, user: User) -> Self:
        """Of rows that the user could see before."""
        return self.filter(user.visibility("organisation", "region"))


class Tombstone(models.Model):
    """One side of a row that was moved, or became another's or of another item, or was deleted.

    It keeps where that side stood before, because whoever watched that place has the row and must hear that it left.
    """

    dataset = models.CharField(max_length=20)
    row = models.BigIntegerField()
    organisation = models.BigIntegerField()  # no foreign keys: what they name may be deleted
    region = models.CharField(max_length=20)
    # As the stamps of rows: by the clock of the statement and not of its transaction.
    updated_at = models.DateTimeField(
        db_default=Func(function="clock_timestamp", output_field=models.DateTimeField()), editable=False
    )

    objects = TombstoneQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["dataset", "updated_at"], name="tombstone_by_change")]

    def __str__(self) -> str:
        return f"{self.dataset} {self.row}"


_BURY: Final = (
    "INSERT INTO exports_tombstone (dataset, row, organisation, region) "
    "SELECT dataset, id, organisation_id, region_id FROM exports_side WHERE "
)


def buries_deleted(dataset: str) -> Trigger:
    """A trigger that keeps who could see a row, before it is deleted."""
    return Trigger(
        name="bury_deleted",
        when=pgtrigger.Before,
        operation=pgtrigger.Delete,
        func=f"{_BURY} dataset = '{dataset}' AND id = OLD.id; RETURN OLD;",
    )


def buries_moved(subject: str, *columns: str) -> Trigger:
    """A trigger that keeps who could see a row and all that follows it, before one of these columns changes."""
    return Trigger(
        name="bury_moved",
        when=pgtrigger.Before,
        operation=pgtrigger.UpdateOf(*columns),  # type: ignore[no-untyped-call]  # has no types
        condition=pgtrigger.AnyChange(*columns),
        func=f"{_BURY} {subject} = OLD.id; RETURN NEW;",
    )


def touches_matches(subject: str, *columns: str) -> Trigger:
    """A trigger that counts the matches of a row as changed, with all that follows them."""
    return Trigger(
        name="touch_matches",
        when=pgtrigger.After,
        operation=pgtrigger.UpdateOf(*columns),  # type: ignore[no-untyped-call]  # has no types
        condition=pgtrigger.AnyChange(*columns),
        func=(
            f"PERFORM exports_touch(ARRAY(SELECT id FROM matching_match WHERE {subject} = NEW.id)); "  # noqa: S608  # ours
            "RETURN NULL;"
        ),
    )


class ExportedDemand(Demand):
    class Meta:
        proxy = True
        triggers: ClassVar = [
            buries_deleted("demands"),
            buries_moved("demand_id", "region_id", "organisation_id", "item_id"),
            touches_matches("demand_id", "region_id", "organisation_id", "item_id"),
        ]


class ExportedOffer(Offer):
    class Meta:
        proxy = True
        triggers: ClassVar = [
            buries_deleted("offers"),
            buries_moved("offer_id", "origin_region_id", "organisation_id", "item_id"),
            touches_matches("offer_id", "origin_region_id", "organisation_id", "item_id"),
        ]


class ExportedOrganisation(Organisation):
    class Meta:
        proxy = True
        triggers: ClassVar = [
            buries_deleted("organisations"),
            Trigger(
                name="bury_moved",
                when=pgtrigger.Before,
                operation=pgtrigger.UpdateOf("region_id"),  # type: ignore[no-untyped-call]  # has no types
                condition=pgtrigger.AnyChange("region_id"),
                func=f"{_BURY} dataset = 'organisations' AND id = OLD.id; RETURN NEW;",
            ),
            # Its name stands in every row of its needs, its offers and what follows them. Rows are locked in the order
            # of their keys, as everywhere (decision 0006): a sweep that takes the same rows waits, and no two wait for
            # each other. Needs that its offers may still serve come first: a sweep locks a match before its offer, an
            # answer does the opposite, and both have the need.
            Trigger(
                name="touch_named",
                when=pgtrigger.After,
                operation=pgtrigger.UpdateOf("name"),  # type: ignore[no-untyped-call]  # has no types
                condition=pgtrigger.AnyChange("name"),
                func="""
                    PERFORM id FROM demands_demand
                    WHERE organisation_id = NEW.id OR id IN (
                        SELECT demand_id FROM matching_match
                        WHERE state IN ('held', 'standby')
                        AND offer_id IN (SELECT id FROM supply_offer WHERE organisation_id = NEW.id)
                    )
                    ORDER BY id FOR NO KEY UPDATE;
                    UPDATE demands_demand SET updated_at = clock_timestamp() WHERE organisation_id = NEW.id;
                    PERFORM id FROM supply_offer WHERE organisation_id = NEW.id ORDER BY id FOR NO KEY UPDATE;
                    UPDATE supply_offer SET updated_at = clock_timestamp() WHERE organisation_id = NEW.id;
                    PERFORM exports_touch(ARRAY(
                        SELECT id FROM matching_match
                        WHERE demand_id IN (SELECT id FROM demands_demand WHERE organisation_id = NEW.id)
                        OR offer_id IN (SELECT id FROM supply_offer WHERE organisation_id = NEW.id)
                    ));
                    RETURN NULL;
                """,
            ),
        ]


class ExportedMatch(Match):
    class Meta:
        proxy = True
        triggers: ClassVar = [buries_deleted("matches")]


class ExportedOrder(Order):
    class Meta:
        proxy = True
        triggers: ClassVar = [buries_deleted("orders")]


class ExportedShipment(Shipment):
    class Meta:
        proxy = True
        triggers: ClassVar = [buries_deleted("shipments")]


class ExportedDelivery(Delivery):
    class Meta:
        proxy = True
        triggers: ClassVar = [buries_deleted("deliveries")]


class Publication(models.Model):
    """The public sums of one hour, as everybody reads them. The next one replaces it."""

    hour = models.DateTimeField(_("hour"), unique=True)
    sums: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(_("sums"))
    # What organisations contributed to each number that was told, by number and item (`renewal.ToldNumbers`). For
    # comparison alone: nobody is shown it.
    behind: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(_("contributions"), default=dict)

    class Meta:
        verbose_name = _("publication")
        verbose_name_plural = _("publications")
        default_permissions: ClassVar = ()

    def __str__(self) -> str:
        return str(self.hour)


class RegionSums(models.Model):
    """What is needed, offered and received in one region, as it was last counted (`exports.region_sums`)."""

    path = models.CharField(_("path"), max_length=50, primary_key=True)
    counted_at = models.DateTimeField(_("counted"))
    # When a reader found them too old: the queue of what is to be counted anew.
    asked_at = models.DateTimeField(null=True, blank=True)
    sums: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(_("sums"))

    class Meta:
        verbose_name = _("sums of a region")
        verbose_name_plural = _("sums of regions")
        default_permissions: ClassVar = ()

    def __str__(self) -> str:
        return self.path
