"""Filters that several lists share."""

from typing import Any

import django_filters as filters
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.forms import CharField
from django.utils.translation import gettext_lazy as _
from drf_spectacular.drainage import get_override
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema_field

from apps.api.representation.references import as_id
from apps.api.representation.times import parse_instant
from apps.catalogue.models import Item, Region


class InstantField(CharField):
    """A time with its offset; the value is in UTC."""

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not text:
            return None
        try:
            return parse_instant(text)
        except ValueError as error:
            raise ValidationError(_("Write a time with its offset, such as 2026-11-30T12:00:00Z.")) from error


class AnyOfFilter(filters.MultipleChoiceFilter):
    """Rows whose column has one of these values."""

    def __init__(self, **kwargs: Any) -> None:
        # A column of the row itself finds no row twice. DISTINCT would sort all that are found for one page of them.
        super().__init__(**{"distinct": False, **kwargs})


@extend_schema_field({"type": "string", "format": "date-time", "description": "Changed then or later."})
class ChangedSinceFilter(filters.Filter):
    """Rows that changed at this time or later."""

    field_class = InstantField

    def filter(self, qs: QuerySet[Any], value: Any) -> QuerySet[Any]:
        return qs.filter(qs.model.changed_since(value)) if value else qs


@extend_schema_field({"type": "string", "description": "Key of the item."})
class ItemKeyFilter(filters.ModelChoiceFilter):
    """Rows of one item, named by its key."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"queryset": Item.objects.all(), "to_field_name": "key", **kwargs})


@extend_schema_field({"type": "string", "description": "Code of a region: it and all in it."})
class RegionCodeFilter(filters.ModelChoiceFilter):
    """Rows in a region or anywhere inside of it, named by its code."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"queryset": Region.objects.all(), **kwargs})

    def filter(self, qs: QuerySet[Any], value: Any) -> QuerySet[Any]:
        # Everything in a region has a path that begins with the region's own.
        return qs.filter(**{f"{self.field_name}__path__startswith": value.path}) if value else qs


@extend_schema_field({"type": "string", "description": "The id that it has in answers."})
class RelatedIdFilter(filters.Filter):
    """Rows of one related row, named by its id. A text that cannot be an id finds nothing."""

    field_class = CharField

    def filter(self, qs: QuerySet[Any], value: Any) -> QuerySet[Any]:
        if not value:
            return qs
        # Not an error: an id is opaque to clients, so this is an id that we never gave out.
        pk = as_id(value)
        return qs.none() if pk is None else qs.filter(**{self.field_name: pk})


def parameters_of(filterset: type[filters.FilterSet]) -> list[OpenApiParameter]:
    """The filters as query parameters, for an action that lists rows of another resource."""
    return [
        OpenApiParameter(
            name,
            OpenApiTypes.STR if (choices := found.extra.get("choices")) else get_override(found, "field"),
            enum=[value for value, _label in choices] if choices else None,
            many=isinstance(found, filters.MultipleChoiceFilter),
            description=str(found.label or (get_override(found, "field") or {}).get("description", "")),
        )
        for name, found in filterset.base_filters.items()
    ]
