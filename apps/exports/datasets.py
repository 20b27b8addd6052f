"""Which tables partners can pull, and with which columns.

The names of columns are those of the API. There is no contact in any dataset. The order of columns is part of what
partners rely on: a new column goes to the end. A new field of an offer or a need goes behind the fields before it.
"""

import datetime as dt
from dataclasses import dataclass, field
from typing import Any, Final

from django.db.models import Q, QuerySet

from apps.accounts.models import Organisation, OrganisationState, User
from apps.catalogue.models import Item, Region
from apps.core.models import TimeStamped
from apps.demands.fields import DEMAND_FIELDS
from apps.demands.models import Demand, DemandState
from apps.exports.columns import ColumnKind, ExportColumn, columns_of
from apps.exports.models import Tombstone
from apps.fulfilment.models import Delivery, Order, OrderState, Shipment
from apps.matching.models import Match, MatchState
from apps.supply.fields import OFFER_FIELDS
from apps.supply.models import Offer, OfferState


@dataclass(frozen=True)
class ExportDataset:
    """A table that can be pulled."""

    name: str
    model: type[TimeStamped]
    columns: tuple[ExportColumn, ...]
    states: tuple[str, ...]  # none where a row has none
    item: str | None  # the lookup of the row's item; None where a row has none
    regions: tuple[str, ...] = field(default=("region",))  # the lookups of the regions that the row lies in
    has_drafts: bool = False

    def rows(
        self,
        user: User,
        *,
        region: Region | None = None,
        item: Item | None = None,
        states: tuple[str, ...] = (),
        updated_since: dt.datetime | None = None,
    ) -> QuerySet[Any]:
        """The rows that the user may see, in the order of change. A region stands for all within it."""
        rows = self._within(user, region, item)
        if states:
            rows = rows.filter(state__in=states)
        if updated_since is not None:
            rows = rows.filter(self.model.changed_since(updated_since))
        return rows.order_by(*self.model.BY_CHANGE)

    def tombstones(
        self,
        user: User,
        *,
        region: Region | None = None,
        item: Item | None = None,
        states: tuple[str, ...] = (),
        updated_since: dt.datetime,
    ) -> list[tuple[str, QuerySet[Any]]]:
        """What left these rows since, as (lookup of its id, rows with `updated_at`). Some were never among them.

        First what changed and is in none of the states now, then what the user does not see there any more.
        """
        within = self._within(user, region, item)
        changed = within.filter(self.model.changed_since(updated_since)).exclude(state__in=states) if states else None
        gone = Tombstone.objects.visible_to(user).filter(dataset=self.name, updated_at__gte=updated_since)
        gone = gone.exclude(row__in=within.values("pk")).order_by("row", "-updated_at").distinct("row")
        return [
            *([("pk", changed.order_by(*self.model.BY_CHANGE))] if changed is not None else []),
            ("row", gone),
        ]

    def _within(self, user: User, region: Region | None, item: Item | None) -> QuerySet[Any]:
        """The rows that the user may see, of an item and in a region, whatever their state."""
        # `visible_to` comes first and alone decides what a partner gets; all other filters only narrow it.
        rows: QuerySet[Any] = self.model._default_manager.visible_to(user)  # type: ignore[attr-defined]  # each has it
        if self.has_drafts:
            # A draft is its owner's alone: others learn of a row when it is posted.
            own = [grant.organisation_id for grant in user.grants]
            rows = rows.exclude(~Q(organisation__in=own), state="draft")
        if region is not None:
            within = Q()
            for lookup in self.regions:
                # A region's path is the prefix of the paths of all regions within it.
                within |= Q(**{f"{lookup}__path__startswith": region.path})
            rows = rows.filter(within)
        if item is not None and self.item:
            rows = rows.filter(**{self.item: item})
        return rows


# Columns whose value stands in a related row, or which are text that nobody typed.

_ORGANISATION_NAME: Final = ExportColumn("organisation_name", "organisation__name", ColumnKind.TYPED)
_UNIT: Final = ExportColumn("unit", "item__unit_id")
_REFERENCE: Final = ExportColumn("reference", "reference")


def _insert_after(name: str, columns: tuple[ExportColumn, ...], *more: ExportColumn) -> tuple[ExportColumn, ...]:
    """The columns, with some more behind the one of that name."""
    index = [column.name for column in columns].index(name) + 1
    return (*columns[:index], *more, *columns[index:])


DEMANDS: Final = ExportDataset(
    name="demands",
    model=Demand,
    columns=(
        *columns_of(Demand, "id"),
        _REFERENCE,
        *columns_of(Demand, "organisation"),
        _ORGANISATION_NAME,
        *_insert_after(
            "quantity_kind",
            columns_of(Demand, *DEMAND_FIELDS),
            *columns_of(Demand, "quantity_held", "quantity_matched", "quantity_received"),
            _UNIT,
        ),
        *columns_of(Demand, "state"),
        ExportColumn("state_reason", Demand.reason_expression, ColumnKind.TYPED),
        *columns_of(Demand, "confirmed_at", "opened_at", "created_at", "updated_at"),
    ),
    states=tuple(DemandState.values),
    item="item",
    has_drafts=True,
)

OFFERS: Final = ExportDataset(
    name="offers",
    model=Offer,
    columns=(
        *columns_of(Offer, "id", "organisation"),
        _ORGANISATION_NAME,
        *_insert_after("quantity", columns_of(Offer, *OFFER_FIELDS), *columns_of(Offer, "quantity_reserved"), _UNIT),
        *columns_of(Offer, "state"),
        ExportColumn("state_reason", Offer.reason_expression, ColumnKind.TYPED),
        *columns_of(Offer, "confirmed_at", "created_at", "updated_at"),
    ),
    states=tuple(OfferState.values),
    item="item",
    regions=("origin_region",),
    has_drafts=True,
)

MATCHES: Final = ExportDataset(
    name="matches",
    model=Match,
    columns=(
        *columns_of(Match, "id", "demand"),
        ExportColumn("reference", "demand__reference"),
        ExportColumn("requester", "demand__organisation__name", ColumnKind.TYPED),
        *columns_of(Match, "offer"),
        ExportColumn("supplier", "offer__organisation__name", ColumnKind.TYPED),
        ExportColumn("item", "demand__item__key"),
        ExportColumn("offered_item", "offer__item__key"),
        ExportColumn("unit", "demand__item__unit_id"),
        ExportColumn("region", "demand__region_id"),
        *columns_of(Match, "quantity", "quantity_asked", "rank", "score", "policy_version", "is_substitute"),
        *columns_of(Match, "state", "respond_by", "responded_at", "lead_time_days"),
        *columns_of(Match, "decline_reason", "decline_note", "created_at", "updated_at"),
        ExportColumn("requester_id", "demand__organisation_id", ColumnKind.ID),
        ExportColumn("supplier_id", "offer__organisation_id", ColumnKind.ID),
    ),
    states=tuple(MatchState.values),
    item="demand__item",
    regions=("demand__region",),
)

ORDERS: Final = ExportDataset(
    name="orders",
    model=Order,
    columns=(
        *columns_of(Order, "id", "match", "repeat_of"),
        ExportColumn("demand", "match__demand_id", ColumnKind.ID),
        ExportColumn("reference", "match__demand__reference"),
        ExportColumn("requester", "match__demand__organisation__name", ColumnKind.TYPED),
        ExportColumn("supplier", "match__offer__organisation__name", ColumnKind.TYPED),
        ExportColumn("item", "match__offer__item__key"),
        ExportColumn("unit", "match__offer__item__unit_id"),
        ExportColumn("region", "match__demand__region_id"),
        *columns_of(Order, "quantity", "state", "state_reason", "quantity_received", "quantity_rejected"),
        *columns_of(Order, "created_at", "updated_at"),
        ExportColumn("requester_id", "match__demand__organisation_id", ColumnKind.ID),
        ExportColumn("supplier_id", "match__offer__organisation_id", ColumnKind.ID),
        *columns_of(Order, "unit_price", "currency", "redirected_at"),
    ),
    states=tuple(OrderState.values),
    item="match__offer__item",
    # A partner of either region sees the order, so either narrows it.
    regions=("match__demand__region", "match__offer__origin_region"),
)


def _of_orders(model: type[Shipment | Delivery], *facts: str) -> tuple[ExportColumn, ...]:
    """The columns of what belongs to an order: which one, between whom, of what, and these facts."""
    return (
        *columns_of(model, "id", "order"),
        ExportColumn("match", "order__match_id", ColumnKind.ID),
        ExportColumn("demand", "order__match__demand_id", ColumnKind.ID),
        ExportColumn("reference", "order__match__demand__reference"),
        ExportColumn("requester_id", "order__match__demand__organisation_id", ColumnKind.ID),
        ExportColumn("requester", "order__match__demand__organisation__name", ColumnKind.TYPED),
        ExportColumn("supplier_id", "order__match__offer__organisation_id", ColumnKind.ID),
        ExportColumn("supplier", "order__match__offer__organisation__name", ColumnKind.TYPED),
        ExportColumn("item", "order__match__offer__item__key"),
        ExportColumn("unit", "order__match__offer__item__unit_id"),
        ExportColumn("region", "order__match__demand__region_id"),
        *columns_of(model, *facts, "created_at", "updated_at"),
    )


SHIPMENTS: Final = ExportDataset(
    name="shipments",
    model=Shipment,
    columns=_of_orders(Shipment, "quantity", "carrier", "tracking_number", "expected_on", "shipped_at"),
    states=(),
    item="order__match__offer__item",
    regions=("order__match__demand__region", "order__match__offer__origin_region"),
)

DELIVERIES: Final = ExportDataset(
    name="deliveries",
    model=Delivery,
    columns=_of_orders(Delivery, "quantity_accepted", "quantity_rejected", "reason", "received_at"),
    states=(),
    item="order__match__offer__item",
    regions=("order__match__demand__region", "order__match__offer__origin_region"),
)

ORGANISATIONS: Final = ExportDataset(
    name="organisations",
    model=Organisation,
    columns=(
        *columns_of(Organisation, "id", "name", "kind", "identifier_kind", "identifier", "region", "address"),
        *columns_of(Organisation, "state", "state_reason", "verified_at", "verified_until"),
        *columns_of(Organisation, "created_at", "updated_at"),
        *columns_of(Organisation, "merged_into"),
    ),
    states=tuple(OrganisationState.values),
    item=None,
)

DATASETS: Final = {
    dataset.name: dataset for dataset in (DEMANDS, OFFERS, MATCHES, ORDERS, SHIPMENTS, DELIVERIES, ORGANISATIONS)
}
