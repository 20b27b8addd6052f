"""Which tables can be pulled, and how each column is written.

The names of columns are those of the API. Ids are text, quantities whole numbers of the item's base unit, times RFC
3339 in UTC to the microsecond, regions and items their public codes. There is no contact in any dataset.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from django.db.models import F, Func, Q, QuerySet, TextField
from django.db.models.expressions import Combinable
from django.utils import translation

from apps.accounts.models import Organisation, OrganisationState, User
from apps.catalogue.models import Item, Region
from apps.core.models import TimeStamped
from apps.demands.models import Demand, DemandState
from apps.fulfilment.models import Order, OrderState
from apps.matching.models import Match, MatchState
from apps.supply.models import Offer, OfferState


class Kind(Enum):
    """How a column is written in each format."""

    PLAIN = "plain"  # numbers and codes of ours
    ID = "id"
    TIME = "time"
    FLAG = "flag"
    FREE = "free"  # text that somebody typed
    LIST = "list"  # codes; in CSV divided by spaces


@dataclass(frozen=True)
class Column:
    name: str
    lookup: str | Callable[[], Combinable]
    kind: Kind = Kind.PLAIN

    @property
    def value(self) -> Combinable:
        """What is read. Words of ours are English in every file: a column means the same to all who pull it."""
        if isinstance(self.lookup, str):
            return F(self.lookup)
        with translation.override("en"):
            return self.lookup()


@dataclass(frozen=True)
class Dataset:
    """A table that can be pulled."""

    name: str
    model: type[TimeStamped]
    columns: tuple[Column, ...]
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

    def as_sql(self, *args: Any, **kwargs: Any) -> Any:
        """The template names the text three times, so its parameters are passed three times."""
        sql, parameters = super().as_sql(*args, **kwargs)
        return sql, (*parameters,) * 3


def for_csv(column: Column) -> Any:
    value = column.value
    if column.kind is Kind.TIME:
        return UtcText(value)
    if column.kind is Kind.FLAG:
        return AsText(value)
    if column.kind is Kind.LIST:
        return Joined(value)
    if column.kind is Kind.FREE:
        return HarmlessText(value)
    return value


def for_json(column: Column) -> Any:
    value = column.value
    if column.kind is Kind.TIME:
        return UtcText(value)
    if column.kind is Kind.ID:
        return AsText(value)
    return value


def _stamps() -> tuple[Column, ...]:
    return (Column("created_at", "created_at", Kind.TIME), Column("updated_at", "updated_at", Kind.TIME))


DEMANDS: Final = Dataset(
    name="demands",
    model=Demand,
    columns=(
        Column("id", "pk", Kind.ID),
        Column("reference", "reference"),
        Column("organisation", "organisation_id", Kind.ID),
        Column("organisation_name", "organisation__name", Kind.FREE),
        Column("item", "item__key"),
        Column("quantity", "quantity"),
        Column("quantity_kind", "quantity_kind"),
        Column("quantity_held", "quantity_held"),
        Column("quantity_matched", "quantity_matched"),
        Column("quantity_received", "quantity_received"),
        Column("unit", "item__unit_id"),
        Column("standard", "standard__code"),
        Column("accepts_substitutes", "accepts_substitutes", Kind.FLAG),
        Column("region", "region_id"),
        Column("address", "address", Kind.FREE),
        Column("needed_by", "needed_by", Kind.TIME),
        Column("urgency", "urgency"),
        Column("days_of_supply", "days_of_supply"),
        Column("note", "note", Kind.FREE),
        Column("state", "state"),
        Column("state_reason", Demand.reason_expression, Kind.FREE),
        Column("confirmed_at", "confirmed_at", Kind.TIME),
        Column("opened_at", "opened_at", Kind.TIME),
        *_stamps(),
    ),
    states=tuple(DemandState.values),
    item="item",
)

OFFERS: Final = Dataset(
    name="offers",
    model=Offer,
    columns=(
        Column("id", "pk", Kind.ID),
        Column("organisation", "organisation_id", Kind.ID),
        Column("organisation_name", "organisation__name", Kind.FREE),
        Column("item", "item__key"),
        Column("standard", "standard__code"),
        Column("quantity", "quantity"),
        Column("quantity_reserved", "quantity_reserved"),
        Column("unit", "item__unit_id"),
        Column("daily_capacity", "daily_capacity"),
        Column("minimum_order", "minimum_order"),
        Column("lead_time_days", "lead_time_days"),
        Column("unit_price", "unit_price", Kind.ID),
        Column("currency", "currency"),
        Column("is_donation", "is_donation", Kind.FLAG),
        Column("origin_region", "origin_region_id"),
        Column("ships_to", "ships_to", Kind.LIST),
        Column("certificate_number", "certificate_number", Kind.FREE),
        Column("certificate_valid_until", "certificate_valid_until"),
        Column("note", "note", Kind.FREE),
        Column("state", "state"),
        Column("state_reason", Offer.reason_expression, Kind.FREE),
        Column("confirmed_at", "confirmed_at", Kind.TIME),
        *_stamps(),
    ),
    states=tuple(OfferState.values),
    item="item",
    regions=("origin_region",),
)

MATCHES: Final = Dataset(
    name="matches",
    model=Match,
    columns=(
        Column("id", "pk", Kind.ID),
        Column("demand", "demand_id", Kind.ID),
        Column("reference", "demand__reference"),
        Column("requester", "demand__organisation__name", Kind.FREE),
        Column("offer", "offer_id", Kind.ID),
        Column("supplier", "offer__organisation__name", Kind.FREE),
        Column("item", "demand__item__key"),
        Column("offered_item", "offer__item__key"),
        Column("unit", "demand__item__unit_id"),
        Column("region", "demand__region_id"),
        Column("quantity", "quantity"),
        Column("quantity_asked", "quantity_asked"),
        Column("rank", "rank"),
        Column("score", "score"),
        Column("policy_version", "policy_version"),
        Column("is_substitute", "is_substitute", Kind.FLAG),
        Column("state", "state"),
        Column("respond_by", "respond_by", Kind.TIME),
        Column("responded_at", "responded_at", Kind.TIME),
        Column("lead_time_days", "lead_time_days"),
        Column("decline_reason", "decline_reason"),
        Column("decline_note", "decline_note", Kind.FREE),
        *_stamps(),
    ),
    states=tuple(MatchState.values),
    item="demand__item",
    regions=("demand__region",),
)

ORDERS: Final = Dataset(
    name="orders",
    model=Order,
    columns=(
        Column("id", "pk", Kind.ID),
        Column("match", "match_id", Kind.ID),
        Column("repeat_of", "repeat_of_id", Kind.ID),
        Column("demand", "match__demand_id", Kind.ID),
        Column("reference", "match__demand__reference"),
        Column("requester", "match__demand__organisation__name", Kind.FREE),
        Column("supplier", "match__offer__organisation__name", Kind.FREE),
        Column("item", "match__offer__item__key"),
        Column("unit", "match__offer__item__unit_id"),
        Column("region", "match__demand__region_id"),
        Column("quantity", "quantity"),
        Column("state", "state"),
        Column("state_reason", "state_reason", Kind.FREE),
        Column("quantity_received", "quantity_received"),
        Column("quantity_rejected", "quantity_rejected"),
        *_stamps(),
    ),
    states=tuple(OrderState.values),
    item="match__offer__item",
    regions=("match__demand__region", "match__offer__origin_region"),
)

ORGANISATIONS: Final = Dataset(
    name="organisations",
    model=Organisation,
    columns=(
        Column("id", "pk", Kind.ID),
        Column("name", "name", Kind.FREE),
        Column("kind", "kind"),
        Column("identifier_kind", "identifier_kind"),
        Column("identifier", "identifier", Kind.FREE),
        Column("region", "region_id"),
        Column("address", "address", Kind.FREE),
        Column("state", "state"),
        Column("state_reason", "state_reason", Kind.FREE),
        Column("verified_at", "verified_at", Kind.TIME),
        Column("verified_until", "verified_until"),
        *_stamps(),
    ),
    states=tuple(OrganisationState.values),
    item=None,
)

DATASETS: Final = {dataset.name: dataset for dataset in (DEMANDS, OFFERS, MATCHES, ORDERS, ORGANISATIONS)}
