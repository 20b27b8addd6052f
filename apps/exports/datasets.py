"""Which tables can be pulled, and how each column is written.

The names of columns are those of the API. Ids are text, quantities whole numbers of the item's base unit, times RFC
3339 in UTC to the microsecond, regions and items their public codes. There is no contact in any dataset.
"""

import datetime as dt
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from django.db.models import F, Func, Q, QuerySet, TextField

from apps.accounts.models import Organisation, OrganisationState, User
from apps.catalogue.models import Item, Region
from apps.core.models import TimeStamped
from apps.demands.models import Demand, DemandState
from apps.fulfilment.models import Order, OrderState
from apps.matching.models import Match, MatchState
from apps.supply.models import Offer, OfferState


class ColumnKind(Enum):
    """How a column is written in each format."""

    PLAIN = "plain"  # numbers and codes of ours
    ID = "id"
    TIME = "time"
    FLAG = "flag"
    FREE = "free"  # text that somebody typed
    LIST = "list"  # codes; in CSV divided by spaces


@dataclass(frozen=True)
class ExportColumn:
    name: str
    lookup: str
    kind: ColumnKind = ColumnKind.PLAIN


@dataclass(frozen=True)
class ExportDataset:
    """A table that can be pulled."""

    name: str
    model: type[TimeStamped]
    columns: tuple[ExportColumn, ...]
    states: tuple[str, ...]
    item: str | None  # the lookup of its item
    regions: tuple[str, ...] = field(default=("region",))  # the lookups of the regions that it lies in

    def rows(
        self,
        user: User,
        *,
        region: Region | None = None,
        item: Item | None = None,
        states: tuple[str, ...] = (),
        updated_since: dt.datetime | None = None,
    ) -> QuerySet[Any]:
        """What the user may see of it, in the order of change."""
        rows: QuerySet[Any] = self.model._default_manager.visible_to(user)  # type: ignore[attr-defined]  # each has it
        if region is not None:
            within = Q()
            for lookup in self.regions:
                within |= Q(**{f"{lookup}__path__startswith": region.path})
            rows = rows.filter(within)
        if item is not None and self.item:
            rows = rows.filter(**{self.item: item})
        if states:
            rows = rows.filter(state__in=states)
        if updated_since is not None:
            rows = rows.filter(self.model.changed_since(updated_since))
        return rows.order_by(*self.model.BY_CHANGE)


class UtcText(Func):
    """A time as `2026-11-30T12:00:00.000000Z`."""

    function = "to_char"
    template = """%(function)s(%(expressions)s AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
    output_field = TextField()


class AsText(Func):
    template = "(%(expressions)s)::text"
    output_field = TextField()


class Joined(Func):
    template = "array_to_string(%(expressions)s, ' ')"
    output_field = TextField()


class HarmlessText(Func):
    """Text that a spreadsheet would take for a formula gets an apostrophe in front: it is shown, and nothing is run.

    The wide signs are formulas too where Excel speaks Chinese or Japanese.
    """

    template = (
        "CASE WHEN left(%(expressions)s, 1) IN ('=', '+', '-', '@', '＝', '＋', '－', '＠', E'\\t', E'\\r', E'\\n') "
        "THEN concat('''', %(expressions)s) ELSE %(expressions)s END"
    )
    output_field = TextField()


def for_csv(column: ExportColumn) -> Any:
    value = F(column.lookup)
    if column.kind is ColumnKind.TIME:
        return UtcText(value)
    if column.kind is ColumnKind.FLAG:
        return AsText(value)
    if column.kind is ColumnKind.LIST:
        return Joined(value)
    if column.kind is ColumnKind.FREE:
        return HarmlessText(value)
    return value


def for_json(column: ExportColumn) -> Any:
    value = F(column.lookup)
    if column.kind is ColumnKind.TIME:
        return UtcText(value)
    if column.kind is ColumnKind.ID:
        return AsText(value)
    return value


def _stamps() -> tuple[ExportColumn, ...]:
    return (
        ExportColumn("created_at", "created_at", ColumnKind.TIME),
        ExportColumn("updated_at", "updated_at", ColumnKind.TIME),
    )


DEMANDS: Final = ExportDataset(
    name="demands",
    model=Demand,
    columns=(
        ExportColumn("id", "pk", ColumnKind.ID),
        ExportColumn("reference", "reference"),
        ExportColumn("organisation", "organisation_id", ColumnKind.ID),
        ExportColumn("organisation_name", "organisation__name", ColumnKind.FREE),
        ExportColumn("item", "item__key"),
        ExportColumn("quantity", "quantity"),
        ExportColumn("quantity_kind", "quantity_kind"),
        ExportColumn("quantity_held", "quantity_held"),
        ExportColumn("quantity_matched", "quantity_matched"),
        ExportColumn("quantity_received", "quantity_received"),
        ExportColumn("unit", "item__unit_id"),
        ExportColumn("standard", "standard__code"),
        ExportColumn("accepts_substitutes", "accepts_substitutes", ColumnKind.FLAG),
        ExportColumn("region", "region_id"),
        ExportColumn("address", "address", ColumnKind.FREE),
        ExportColumn("needed_by", "needed_by", ColumnKind.TIME),
        ExportColumn("urgency", "urgency"),
        ExportColumn("days_of_supply", "days_of_supply"),
        ExportColumn("note", "note", ColumnKind.FREE),
        ExportColumn("state", "state"),
        ExportColumn("state_reason", "state_reason", ColumnKind.FREE),
        ExportColumn("confirmed_at", "confirmed_at", ColumnKind.TIME),
        ExportColumn("opened_at", "opened_at", ColumnKind.TIME),
        *_stamps(),
    ),
    states=tuple(DemandState.values),
    item="item",
)

OFFERS: Final = ExportDataset(
    name="offers",
    model=Offer,
    columns=(
        ExportColumn("id", "pk", ColumnKind.ID),
        ExportColumn("organisation", "organisation_id", ColumnKind.ID),
        ExportColumn("organisation_name", "organisation__name", ColumnKind.FREE),
        ExportColumn("item", "item__key"),
        ExportColumn("standard", "standard__code"),
        ExportColumn("quantity", "quantity"),
        ExportColumn("quantity_reserved", "quantity_reserved"),
        ExportColumn("unit", "item__unit_id"),
        ExportColumn("daily_capacity", "daily_capacity"),
        ExportColumn("minimum_order", "minimum_order"),
        ExportColumn("lead_time_days", "lead_time_days"),
        ExportColumn("unit_price", "unit_price", ColumnKind.ID),
        ExportColumn("currency", "currency"),
        ExportColumn("is_donation", "is_donation", ColumnKind.FLAG),
        ExportColumn("origin_region", "origin_region_id"),
        ExportColumn("ships_to", "ships_to", ColumnKind.LIST),
        ExportColumn("certificate_number", "certificate_number", ColumnKind.FREE),
        ExportColumn("certificate_valid_until", "certificate_valid_until"),
        ExportColumn("note", "note", ColumnKind.FREE),
        ExportColumn("state", "state"),
        ExportColumn("state_reason", "state_reason", ColumnKind.FREE),
        ExportColumn("confirmed_at", "confirmed_at", ColumnKind.TIME),
        *_stamps(),
    ),
    states=tuple(OfferState.values),
    item="item",
    regions=("origin_region",),
)

MATCHES: Final = ExportDataset(
    name="matches",
    model=Match,
    columns=(
        ExportColumn("id", "pk", ColumnKind.ID),
        ExportColumn("demand", "demand_id", ColumnKind.ID),
        ExportColumn("reference", "demand__reference"),
        ExportColumn("requester", "demand__organisation__name", ColumnKind.FREE),
        ExportColumn("offer", "offer_id", ColumnKind.ID),
        ExportColumn("supplier", "offer__organisation__name", ColumnKind.FREE),
        ExportColumn("item", "demand__item__key"),
        ExportColumn("offered_item", "offer__item__key"),
        ExportColumn("unit", "demand__item__unit_id"),
        ExportColumn("region", "demand__region_id"),
        ExportColumn("quantity", "quantity"),
        ExportColumn("quantity_asked", "quantity_asked"),
        ExportColumn("rank", "rank"),
        ExportColumn("score", "score"),
        ExportColumn("policy_version", "policy_version"),
        ExportColumn("is_substitute", "is_substitute", ColumnKind.FLAG),
        ExportColumn("state", "state"),
        ExportColumn("respond_by", "respond_by", ColumnKind.TIME),
        ExportColumn("responded_at", "responded_at", ColumnKind.TIME),
        ExportColumn("lead_time_days", "lead_time_days"),
        ExportColumn("decline_reason", "decline_reason"),
        ExportColumn("decline_note", "decline_note", ColumnKind.FREE),
        *_stamps(),
    ),
    states=tuple(MatchState.values),
    item="demand__item",
    regions=("demand__region",),
)

ORDERS: Final = ExportDataset(
    name="orders",
    model=Order,
    columns=(
        ExportColumn("id", "pk", ColumnKind.ID),
        ExportColumn("match", "match_id", ColumnKind.ID),
        ExportColumn("repeat_of", "repeat_of_id", ColumnKind.ID),
        ExportColumn("demand", "match__demand_id", ColumnKind.ID),
        ExportColumn("reference", "match__demand__reference"),
        ExportColumn("requester", "match__demand__organisation__name", ColumnKind.FREE),
        ExportColumn("supplier", "match__offer__organisation__name", ColumnKind.FREE),
        ExportColumn("item", "match__offer__item__key"),
        ExportColumn("unit", "match__offer__item__unit_id"),
        ExportColumn("region", "match__demand__region_id"),
        ExportColumn("quantity", "quantity"),
        ExportColumn("state", "state"),
        ExportColumn("state_reason", "state_reason", ColumnKind.FREE),
        ExportColumn("quantity_received", "quantity_received"),
        ExportColumn("quantity_rejected", "quantity_rejected"),
        *_stamps(),
    ),
    states=tuple(OrderState.values),
    item="match__offer__item",
    regions=("match__demand__region", "match__offer__origin_region"),
)

ORGANISATIONS: Final = ExportDataset(
    name="organisations",
    model=Organisation,
    columns=(
        ExportColumn("id", "pk", ColumnKind.ID),
        ExportColumn("name", "name", ColumnKind.FREE),
        ExportColumn("kind", "kind"),
        ExportColumn("identifier_kind", "identifier_kind"),
        ExportColumn("identifier", "identifier", ColumnKind.FREE),
        ExportColumn("region", "region_id"),
        ExportColumn("address", "address", ColumnKind.FREE),
        ExportColumn("state", "state"),
        ExportColumn("state_reason", "state_reason", ColumnKind.FREE),
        ExportColumn("verified_at", "verified_at", ColumnKind.TIME),
        ExportColumn("verified_until", "verified_until"),
        *_stamps(),
    ),
    states=tuple(OrganisationState.values),
    item=None,
)

DATASETS: Final = {dataset.name: dataset for dataset in (DEMANDS, OFFERS, MATCHES, ORDERS, ORGANISATIONS)}
