"""Sheets of offers, as they come in and as their rows are shown."""

from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from apps.api.representation.references import OrganisationField
from apps.api.representation.requests import InputSerializer


class OfferSheetSerializer(InputSerializer):
    """A sheet of offers, one in each row."""

    file = serializers.FileField(help_text="CSV or XLSX, at most 2,000 rows.")
    organisation = OrganisationField(required=False)

    def validate_file(self, file: UploadedFile[bytes]) -> UploadedFile[bytes]:
        if (file.size or 0) > settings.UPLOAD_MAX_BYTES:
            raise ValidationError(_("This file is too large."))
        return file


class OfferSheetRowSerializer(serializers.Serializer[Any]):
    """How one row of a sheet was understood, and what is wrong with it."""

    row = serializers.IntegerField(help_text="As a person counts: the header is row 1.")
    item = serializers.CharField(allow_null=True)
    quantity = serializers.IntegerField(allow_null=True)
    errors = serializers.DictField(  # type: ignore[assignment]  # the metaclass takes it away
        child=serializers.ListField(child=serializers.CharField())
    )
    doubts = serializers.ListField(
        child=serializers.CharField(), help_text="What is unusual. A row that is too doubtful waits for a coordinator."
    )
    duplicate_of = serializers.CharField(
        allow_null=True, help_text="An offer of the last days that says the same, if this one is to be published."
    )


def show_row(described: dict[str, Any]) -> dict[str, Any]:
    shown = {name: described[name] for name in ("row", "item", "quantity", "errors")}
    doubts = [doubt["text"] for doubt in described["doubts"]]
    return {**shown, "doubts": doubts, "duplicate_of": described.get("duplicate_of")}


def is_on(request: Request, name: str) -> bool:
    value = request.query_params.get(name, "false").lower()
    if value not in {"true", "false", "1", "0"}:
        raise ValidationError({name: [_("Write true or false.")]})
    return value in {"true", "1"}
