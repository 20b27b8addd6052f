"""Fields of requests that hold one value: strict, so that a client hears of its mistake instead of a changed value."""

import datetime as dt
from decimal import Decimal
from typing import Any, ClassVar, Final

from django.utils.translation import gettext_lazy
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.api.representation.times import parse_deadline, parse_instant
from apps.catalogue.units import MAX_QUANTITY

# Ten years. A larger number of days is mistyped.
MAX_DAYS: Final = 3650


class StrictIntegerField(serializers.IntegerField):
    """A JSON integer: neither 1.0 nor "1" nor true."""

    def to_internal_value(self, data: Any) -> int:
        # `isinstance` would accept `true`, as `bool` is a subclass of `int`.
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


@extend_schema_field({"type": "string", "format": "date-time"})
class ExactTimeField(serializers.Field[Any, Any, Any, Any]):
    """A time with its offset, to the microsecond, as answers write it."""

    default_error_messages: ClassVar = {
        "invalid": gettext_lazy("Write a time with its offset, such as 2026-11-30T12:00:00Z.")
    }

    def to_internal_value(self, data: Any) -> dt.datetime:
        try:
            return parse_instant(data)
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
