"""Fields and serializers of answers: rows, read from their columns.

`shown`, where a field has it, turns a column's value into what JSON holds; None stays None.
"""

from functools import cache
from typing import Any, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import QuerySet
from rest_framework import serializers

from apps.accounts.models import Organisation
from apps.core.posts import Post
from apps.exports.columns import lookup_of

# Viewsets have a method `list`, which hides the type inside their bodies; so they use these names.
Rows = list[dict[str, Any]]
KeyedRows = list[tuple[Any, dict[str, Any]]]


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


class RowSerializer(serializers.Serializer[Any]):
    """How a row is shown. One `values_list()` reads all plain fields: models would take several times as long."""

    @classmethod
    @cache
    def plain(cls) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """The fields that come straight from columns, by name."""
        # Once for each class, because DRF copies all fields for each object.
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
        # The order of the lookups is that of the fields, so values and names pair up by position.
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
        # The other arguments (such as `required` and `max_length`) say what may be sent, and this is an answer.
        kept = {"choices", "child", "allow_null", "help_text"}
        return field_class, {name: value for name, value in kwargs.items() if name in kept}

    def build_relational_field(self, field_name: str, relation_info: Any) -> Any:
        """A related row is shown by its public code or id."""
        field = relation_info.model_field
        kind = IdField if relation_info.related_model is Organisation else serializers.CharField
        return kind, {"source": lookup_of(field).replace("__", "."), "allow_null": field.null}
