"""The fields that requests and answers are made of, and the serializers that hold them.

The fields of requests are strict: each takes one JSON type and turns nothing into another, so that a client hears of
its mistake instead of finding a changed value later. The fields of answers only describe a value for the schema; the
values themselves are read from columns.
"""

import datetime as dt
from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import cache
from typing import Any, ClassVar, Final, NoReturn, TypeVar, cast

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Model, QuerySet
from django.utils.translation import gettext_lazy
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.accounts.models import Organisation
from apps.api.representation.times import parse_deadline
from apps.catalogue.models import Item, Region, Standard
from apps.catalogue.naming import Proposals
from apps.catalogue.standards import normalise
from apps.catalogue.units import MAX_QUANTITY
from apps.core.posts import Post
from apps.exports.columns import lookup_of

M = TypeVar("M", bound=Model)

# Viewsets have a method `list`, which hides the type inside their bodies; so they use these names.
Rows = list[dict[str, Any]]
KeyedRows = list[tuple[Any, dict[str, Any]]]

# Ten years: beyond it, a number of days is a slip of the pen.
MAX_DAYS: Final = 3650

NO_SUCH_FIELD: Final = gettext_lazy("There is no such field.")


# Fields of requests.


class StrictIntegerField(serializers.IntegerField):
    """A JSON integer: neither 1.0 nor "1" nor true."""

    def to_internal_value(self, data: Any) -> int:
        if type(data) is not int:
            self.fail("invalid")
        return super().to_internal_value(data)


class QuantityField(StrictIntegerField):
    """A number of the item's base units, at least 1 unless `min_value` says otherwise."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"min_value": 1, "max_value": MAX_QUANTITY, **kwargs})


class StrictBooleanField(serializers.BooleanField):
    """A JSON boolean: neither 1 nor "yes"."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return bool(data)


class StrictCharField(serializers.CharField):
    """A JSON string; a number is not turned into one."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class PriceField(serializers.DecimalField):
    """A price of one base unit as a string, so that no program rounds it. A JSON number is accepted too."""

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
    """A time with its offset, or a day, which means its end in the time zone of the caller. The value is in UTC."""

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
    """An ISO 8601 date between 1970 and 2999: beyond these years the arithmetic of time zones overflows."""

    def to_internal_value(self, value: Any) -> dt.date:
        if not isinstance(value, str):
            self.fail("invalid", format="YYYY-MM-DD")
        day = super().to_internal_value(value)
        if not 1970 <= day.year <= 2999:
            self.fail("invalid", format="YYYY-MM-DD")
        return day


@extend_schema_field({"type": "string"})
class CatalogueCodeField(serializers.Field[Any, Any, Any, Any]):
    """A row of reference data, named by its public code. The value is the row.

    Each code is looked up once in a request, however many lines name it: the serializer's context keeps what was found.
    """

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
            known[self.find, data] = self.find(data) if _may_be_code(data) else None
        found = known[self.find, data]
        if found is None:
            self.refuse(data)
        return found

    def refuse(self, text: str) -> NoReturn:
        """Raise the error for a text that names no row."""
        self.fail("unknown", value=text[:60])

    def to_representation(self, value: Any) -> Any:
        return value


class ItemField(CatalogueCodeField):
    """An item, named by its key."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(find_item, **kwargs)


class StandardField(CatalogueCodeField):
    """A standard, named by its code in whatever spelling."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(find_standard, **kwargs)


class RegionCodeField(CatalogueCodeField):
    """A region, named by its code. Who writes a name instead is told the codes of the regions with such a name."""

    default_error_messages: ClassVar = {"unlike": gettext_lazy("There is no region “{value}”. Did you mean {near}?")}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(find_region, **kwargs)

    def refuse(self, text: str) -> NoReturn:
        proposals = cast("dict[str, Any]", self.context).setdefault("proposals", Proposals())
        if near := proposals.get(text):
            self.fail("unlike", value=text[:60], near=near)
        super().refuse(text)


class PermittedRegionField(RegionCodeField):
    """A region in which the caller may place a row of theirs: a token for one region places nothing outside of it."""

    default_error_messages: ClassVar = {"outside": gettext_lazy("This token is for {region} only.")}

    def to_internal_value(self, data: Any) -> Region:
        region: Region = super().to_internal_value(data)
        limit = self.context["request"].user.region_limit
        if limit is not None and not region.is_within(limit):
            self.fail("outside", region=limit.code)
        return region


def _may_be_code(text: str) -> bool:
    """Whether the database can be asked for such a text at all; it refuses a null character."""
    return 0 < len(text) <= 120 and text.isprintable()


def find_item(key: str) -> Item | None:
    """The item with this key, with its unit; None if there is none."""
    return Item.objects.select_related("unit").filter(key=key).first()


def find_standard(code: str) -> Standard | None:
    """The standard with this code, in whatever spelling; None if there is none."""
    return Standard.objects.filter(code__in={code, normalise(code)}).first()


def find_region(code: str) -> Region | None:
    """The region with this code; None if there is none."""
    return Region.objects.places().filter(code=code).first()


@extend_schema_field({"type": "string"})
class OrganisationField(serializers.Field[Any, Any, Any, Any]):
    """The id of an organisation that the caller may see. The value is the organisation, with its region."""

    default_error_messages: ClassVar = {"unknown": gettext_lazy("There is none with this id that you may see.")}

    def to_internal_value(self, data: Any) -> Organisation:
        pk = as_id(data)
        visible = Organisation.objects.visible_to(self.context["request"].user).select_related("region")
        found = visible.filter(pk=pk).first() if pk is not None else None
        if found is None:
            self.fail("unknown")
        return found

    def to_representation(self, value: Any) -> Any:
        return value


def as_id(text: Any) -> int | None:
    """The primary key that an id stands for; None for what cannot be an id.

    Ids are opaque strings to clients. Here they are numbers that fit a bigint.
    """
    if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) <= 18:
        return int(text)
    return None


# Fields of answers. `shown`, where a field has it, turns a column's value into what JSON holds; None stays None.


class IdField(serializers.CharField):
    """An opaque id."""

    shown = str


class BaseUnitsField(serializers.IntegerField):
    """A number of the item's base units."""


class DecimalTextField(serializers.CharField):
    """A decimal number as a string."""

    shown = str


class StateReasonField(serializers.CharField):
    """Why a need or an offer is in its state, in the language of the reader."""

    def __init__(self, post: type[Post], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.expression = post.reason_expression


class FilledByViewSet:
    """A field whose value comes from no column of the row: the viewset fills it in for a whole page at once."""


# Serializers of requests.


class InputSerializer(serializers.Serializer[Any]):
    """What a client sends.

    A member that does not exist is an error, so that a misspelt name is not lost silently. A member that only the
    server sets (`IGNORED`) is passed over, so that a client can send back what it has read.
    """

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
    """An object without members."""


class ReasonInputSerializer(InputSerializer):
    """Why, in the caller's own words."""

    reason = StrictCharField(required=False, allow_blank=True, max_length=500)


class ModelInputSerializer(InputSerializer, serializers.ModelSerializer[Any]):
    """A request whose members are fields of a model: type, length and whether it is required follow from the model.

    The members are those that `Meta.fields` names, and the fields of the class body. What the model does not say, such
    as the range of a number, is added by `Meta.extra_kwargs` or by a field in the class body.
    """

    serializer_field_mapping: ClassVar[dict[Any, Any]] = {
        models.BigIntegerField: QuantityField,
        models.IntegerField: StrictIntegerField,
        models.PositiveSmallIntegerField: StrictIntegerField,
        models.BooleanField: StrictBooleanField,
        models.CharField: StrictCharField,
        models.TextField: StrictCharField,
        models.DecimalField: PriceField,
        models.DateTimeField: DeadlineField,
        models.DateField: StrictDateField,
    }
    related_fields: ClassVar[dict[type[Model], type[CatalogueCodeField]]] = {
        Item: ItemField,
        Standard: StandardField,
        Region: PermittedRegionField,
    }

    def get_field_names(self, declared_fields: Any, info: Any) -> list[str]:
        return list(dict.fromkeys([*self.Meta.fields, *declared_fields]))

    def build_standard_field(self, field_name: str, model_field: Any) -> Any:
        field_class, kwargs = super().build_standard_field(field_name, model_field)
        # The labels are those of forms, and all documents of the API name a member by its name.
        for name in ("label", "style", "validators"):
            kwargs.pop(name, None)
        if issubclass(field_class, QuantityField | PriceField):
            # The model's bounds are those of the column's type; the field has those of its domain.
            kwargs.pop("min_value", None)
            kwargs.pop("max_value", None)
        return field_class, kwargs

    def build_relational_field(self, field_name: str, relation_info: Any) -> Any:
        field = relation_info.model_field
        optional = field.null or field.has_default()
        kwargs = {"required": False} if optional else {}
        return self.related_fields[relation_info.related_model], {**kwargs, "allow_null": field.null}


# Serializers of answers.


class RowSerializer(serializers.Serializer[Any]):
    """How a row is shown. One `values_list()` reads all plain fields: models would take several times as long."""

    @classmethod
    @cache
    def plain(cls) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """The fields that come straight from columns, by name."""
        return {
            name: field
            for name, field in cls().fields.items()
            if not isinstance(field, FilledByViewSet | serializers.BaseSerializer)
        }

    @classmethod
    def read(cls, queryset: QuerySet[Any], *extra: str) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
        """Each row of the queryset as (values of the `extra` lookups, what is shown), by one query."""
        fields = [(name, getattr(field, "shown", None)) for name, field in cls.plain().items()]
        lookups = [_column(field) for field in cls.plain().values()]
        first = len(extra)
        shown = []
        for values in queryset.values_list(*extra, *lookups):
            row = {
                name: show(value) if show is not None and value is not None else value
                for (name, show), value in zip(fields, values[first:], strict=True)
            }
            shown.append((values[:first], row))
        return shown


def _column(field: Any) -> Any:
    """The lookup that a field is read from, or the expression: a field that has one makes it for each request."""
    expression = getattr(field, "expression", None)
    return expression() if expression is not None else str(field.source).replace(".", "__")


class ModelRowSerializer(RowSerializer, serializers.ModelSerializer[Any]):
    """A row whose plain fields are fields of a model. Only the fields that `Meta.fields` names are shown."""

    serializer_field_mapping: ClassVar[dict[Any, Any]] = {
        models.BigAutoField: IdField,
        models.BigIntegerField: BaseUnitsField,
        models.IntegerField: serializers.IntegerField,
        models.PositiveSmallIntegerField: serializers.IntegerField,
        models.BooleanField: serializers.BooleanField,
        models.CharField: serializers.CharField,
        models.TextField: serializers.CharField,
        models.DecimalField: DecimalTextField,
        models.DateTimeField: serializers.DateTimeField,
        models.DateField: serializers.DateField,
        ArrayField: serializers.ListField,
    }

    def build_standard_field(self, field_name: str, model_field: Any) -> Any:
        field_class, kwargs = super().build_standard_field(field_name, model_field)
        # The rest says what may be sent, and every member stands in every answer.
        kept = {"choices", "child", "allow_null", "help_text"}
        return field_class, {name: value for name, value in kwargs.items() if name in kept}

    def build_relational_field(self, field_name: str, relation_info: Any) -> Any:
        """A related row is shown by its public code or id."""
        field = relation_info.model_field
        kind = IdField if relation_info.related_model is Organisation else serializers.CharField
        return kind, {"source": lookup_of(field).replace("__", "."), "allow_null": field.null}
