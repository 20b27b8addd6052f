"""The fields that requests and answers are made of."""

import datetime as dt
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, ClassVar, Final, NoReturn, TypeVar, cast

from django.db.models import Model, QuerySet
from django.utils.translation import gettext_lazy
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.api.times import parse_deadline
from apps.catalogue.models import Item, Region, Standard
from apps.catalogue.naming import Proposals
from apps.catalogue.standards import normalise
from apps.catalogue.units import MAX_QUANTITY

M = TypeVar("M", bound=Model)

# Viewsets have a method `list`, so annotations in them cannot name the type.
Rows = list[dict[str, Any]]
KeyedRows = list[tuple[Any, dict[str, Any]]]

NO_SUCH_FIELD: Final = gettext_lazy("There is no such field.")


# What comes in.


class InputSerializer(serializers.Serializer[Any]):
    """What a client sends. An unknown member is an error; one that only the server sets (`IGNORED`) is passed over."""

    IGNORED: ClassVar[Iterable[str]] = ()

    def to_internal_value(self, data: Any) -> Any:
        errors: dict[str, Any] = {}
        value: Any = {}
        try:
            value = super().to_internal_value(data)
        except serializers.ValidationError as error:
            if not isinstance(data, dict) or not isinstance(error.detail, dict):
                raise
            errors.update(error.detail)
        ignored = set(self.IGNORED)
        errors.update({name: [NO_SUCH_FIELD] for name in data if name not in self.fields and name not in ignored})
        if errors:
            raise serializers.ValidationError(errors)
        return value


class EmptyInputSerializer(InputSerializer):
    """No members."""


class StrictIntegerField(serializers.IntegerField):
    """A JSON integer: neither 1.0 nor "1" nor true."""

    def to_internal_value(self, data: Any) -> int:
        if type(data) is not int:
            self.fail("invalid")
        return super().to_internal_value(data)


class QuantityField(StrictIntegerField):
    """In the item's base unit."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"min_value": 1, "max_value": MAX_QUANTITY, **kwargs})


class StrictBooleanField(serializers.BooleanField):
    """A JSON boolean."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return bool(data)


class StrictCharField(serializers.CharField):
    """A JSON string."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class ReasonInputSerializer(InputSerializer):
    reason = StrictCharField(required=False, allow_blank=True, max_length=500)


class PriceField(serializers.DecimalField):
    """As a string, so that no program rounds it; a JSON number is taken too."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            **{"max_digits": 14, "decimal_places": 4, "min_value": Decimal(0), "coerce_to_string": True, **kwargs}
        )

    def to_internal_value(self, data: Any) -> Decimal:
        if isinstance(data, bool) or not isinstance(data, str | int | float):
            self.fail("invalid")
        return super().to_internal_value(data)


@extend_schema_field(
    {"type": "string", "description": "RFC 3339, or a date: then the end of that day in your time zone."}
)
class DeadlineField(serializers.Field[Any, Any, Any, Any]):
    default_error_messages: ClassVar = {
        "invalid": gettext_lazy("Write a date (2026-12-31) or a time with its offset (2026-12-31T12:00:00Z).")
    }

    def to_internal_value(self, data: Any) -> dt.datetime:
        user = self.context["request"].user
        try:
            return parse_deadline(data, user.time_zone)
        except (ValueError, TypeError, AttributeError, OverflowError):
            self.fail("invalid")

    def to_representation(self, value: Any) -> Any:
        return value


class StrictDateField(serializers.DateField):
    """An ISO 8601 date between 1970 and 2999."""

    def to_internal_value(self, value: Any) -> dt.date:
        if not isinstance(value, str):
            self.fail("invalid", format="YYYY-MM-DD")
        day = super().to_internal_value(value)
        if not 1970 <= day.year <= 2999:
            self.fail("invalid", format="YYYY-MM-DD")
        return day


@extend_schema_field({"type": "string"})
class CatalogueCodeField(serializers.Field[Any, Any, Any, Any]):
    """A row of reference data by its public name, looked up once in a request however many lines name it."""

    default_error_messages: ClassVar = {
        "invalid": gettext_lazy("This must be text."),
        "unknown": gettext_lazy("There is no “{value}”."),
    }

    def __init__(self, find: Callable[[str], Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.find = find

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str):
            self.fail("invalid")
        known = cast("dict[str, Any]", self.context).setdefault("codes", {})
        if (self.find, data) not in known:
            known[self.find, data] = self.find(data) if _is_name(data) else None
        found = known[self.find, data]
        if found is None:
            self.refuse(data)
        return found

    def refuse(self, text: str) -> NoReturn:
        self.fail("unknown", value=text[:60])

    def to_representation(self, value: Any) -> Any:
        return value


class RegionCodeField(CatalogueCodeField):
    """A region by its code; whoever writes a name instead is told the codes of those with such a name."""

    default_error_messages: ClassVar = {"unlike": gettext_lazy("There is no region “{value}”. Did you mean {near}?")}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(find_region, **kwargs)

    def refuse(self, text: str) -> NoReturn:
        proposals = cast("dict[str, Any]", self.context).setdefault("proposals", Proposals())
        if near := proposals.get(text):
            self.fail("unlike", value=text[:60], near=near)
        super().refuse(text)


class PermittedRegionField(RegionCodeField):
    """A region for a row of the caller's: a token for one region places nothing outside of it."""

    default_error_messages: ClassVar = {"outside": gettext_lazy("This token is for {region} only.")}

    def to_internal_value(self, data: Any) -> Region:
        region: Region = super().to_internal_value(data)
        limit = self.context["request"].user.region_limit
        if limit is not None and not region.is_within(limit):
            self.fail("outside", region=limit.code)
        return region


def _is_name(text: str) -> bool:
    return 0 < len(text) <= 120 and text.isprintable()


def find_item(key: str) -> Item | None:
    return Item.objects.select_related("unit").filter(key=key).first()


def find_standard(code: str) -> Standard | None:
    """By its code, in whatever spelling."""
    return Standard.objects.filter(code__in={code, normalise(code)}).first()


def find_region(code: str) -> Region | None:
    return Region.objects.places().filter(code=code).first()


class VisibleIdField(serializers.Field[Any, Any, Any, Any]):
    """The id of a row that the caller may see."""

    default_error_messages: ClassVar = {"unknown": gettext_lazy("There is none with this id that you may see.")}

    def __init__(self, rows: Callable[[Any], QuerySet[Any]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rows = rows

    def to_internal_value(self, data: Any) -> Any:
        pk = as_id(data)
        found = self.rows(self.context["request"].user).filter(pk=pk).first() if pk is not None else None
        if found is None:
            self.fail("unknown")
        return found

    def to_representation(self, value: Any) -> Any:
        return value


extend_schema_field({"type": "string"})(VisibleIdField)


def as_id(text: Any) -> int | None:
    """Ids are opaque to clients; to us they are numbers that fit a bigint."""
    if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) <= 18:
        return int(text)
    return None


# What goes out.


class IdField(serializers.CharField):
    """Opaque."""

    shown = str


class BaseUnitsField(serializers.IntegerField):
    """In the item's base unit."""


class DecimalTextField(serializers.CharField):
    """A decimal number as a string."""

    shown = str


class FilledByViewSet:
    """A field that the resource fills in for a whole page at once."""


class RowSerializer(serializers.Serializer[Any]):
    """What is shown of a row. Plain fields are read by one `values_list()`: models would take several times as long."""

    @classmethod
    def plain(cls) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """The fields that come straight from columns."""
        return {
            name: field
            for name, field in cls._declared_fields.items()
            if not isinstance(field, FilledByViewSet | serializers.BaseSerializer)
        }

    @classmethod
    def read(cls, queryset: QuerySet[Any], *extra: str) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
        """Each row as (values of the `extra` lookups, what is shown)."""
        fields = [(name, getattr(field, "shown", None)) for name, field in cls.plain().items()]
        lookups = [_lookup(field, name) for name, field in cls.plain().items()]
        first = len(extra)
        shown = []
        for values in queryset.values_list(*extra, *lookups):
            row = {
                name: show(value) if show is not None and value is not None else value
                for (name, show), value in zip(fields, values[first:], strict=True)
            }
            shown.append((values[:first], row))
        return shown


def _lookup(field: serializers.Field[Any, Any, Any, Any], name: str) -> str:
    source = cast("Any", field)._kwargs.get("source", name)  # noqa: SLF001  # `source` is only there once bound
    return str(source).replace(".", "__")
