"""Serializers of requests: what a client sends."""

from collections.abc import Iterable
from typing import Any, ClassVar, Final

from django.db import models
from django.db.models import Model
from django.utils.translation import gettext_lazy
from rest_framework import serializers

from apps.api.representation.references import CatalogueCodeField, ItemField, PermittedRegionField, StandardField
from apps.api.representation.values import (
    DeadlineField,
    ExactTimeField,
    PriceField,
    QuantityField,
    StrictBooleanField,
    StrictCharField,
    StrictDateField,
    StrictIntegerField,
)
from apps.catalogue.models import Item, Region, Standard

NO_SUCH_FIELD: Final = gettext_lazy("There is no such field.")


class InputSerializer(serializers.Serializer[Any]):
    """What a client sends.

    A member that does not exist is an error, so that a misspelt name is not lost silently. A member that only the
    server sets (`IGNORED`) is passed over, so that a client can send back what it has read.
    """

    IGNORED: ClassVar[Iterable[str]] = ()
    # A body that the description of the API shows; None for one that is not JSON.
    EXAMPLE: ClassVar[dict[str, Any] | None] = None

    def to_internal_value(self, data: Any) -> Any:
        # Unknown members are added to the other faults, so that one answer names them all.
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


class SeenInputSerializer(InputSerializer):
    """A decision, with what was seen of the row."""

    updated_at = ExactTimeField(
        required=False,
        source="seen",
        help_text="The `updated_at` that you have seen. If the row has changed since, the answer is 409.",
    )


class DecisionInputSerializer(SeenInputSerializer):
    """What a coordinator decides on, and the proof that it is the coordinator."""

    factor_code = StrictCharField(
        required=False,
        max_length=10,
        help_text="With a token, where second factors are required: the present code of your authenticator app.",
    )


class ReasonInputSerializer(InputSerializer):
    """Why, in the caller's own words."""

    EXAMPLE: ClassVar = {"reason": "Another hospital sent us some."}

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
