"""`/imports/`: sheets of offers that are read in the background."""

from typing import Any, ClassVar

import django_filters as filters
from django.db.models import QuerySet
from django.utils.translation import get_language
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts import limits
from apps.accounts.permissions import Permission
from apps.api.protocol.parsers import StrictJsonParser
from apps.api.protocol.resource import ResourceViewSet
from apps.api.protocol.view import takes
from apps.api.representation.answers import FilledByViewSet, IdField, RowSerializer
from apps.api.representation.filters import RelatedIdFilter
from apps.api.representation.requests import EmptyInputSerializer, InputSerializer
from apps.api.representation.sheets import OfferSheetRowSerializer, OfferSheetSerializer, is_on, show_row
from apps.api.representation.values import StrictBooleanField
from apps.notifications.tasks import wake
from apps.supply import importing
from apps.supply.models import ImportState, SheetImport
from apps.supply.tasks import import_sheets


class RowsField(FilledByViewSet, serializers.ListField):
    """How each row was understood: only where one import is asked for, because there may be 2,000."""


class SheetImportSerializer(RowSerializer):
    """A sheet of offers on its way. `checked` means that each row is read and nothing is saved."""

    id = IdField()
    organisation = IdField(source="organisation_id")
    state = serializers.ChoiceField(choices=ImportState.choices)
    progress = serializers.IntegerField(help_text="Per cent of the work that is done.")
    saved = serializers.IntegerField(help_text="While it is saved: how many of the rows `to_save` are done; else 0.")
    to_save = serializers.IntegerField(help_text="How many rows are being saved; 0 while the sheet is read.")
    publish = serializers.BooleanField(
        help_text="Whether its offers are published. Those of an organisation that is not verified stay drafts."
    )
    faulty = serializers.IntegerField(help_text="How many rows have faults. With one, nothing is saved.")
    unknown_columns = serializers.ListField(child=serializers.CharField())
    rows = RowsField(child=OfferSheetRowSerializer(), required=False, help_text="Only where one import is asked for.")
    offers = serializers.ListField(child=serializers.CharField(), help_text="Ids of what was imported.")
    problem_code = serializers.CharField(help_text="Why it failed, for programs; else empty.")
    problem = serializers.CharField(help_text="Why it failed, in words; else empty.")
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class ConfirmInputSerializer(InputSerializer):
    """That the offers of a checked sheet are right."""

    EXAMPLE: ClassVar = {"publish": True}

    publish = StrictBooleanField(required=False, help_text="As it was asked for with the sheet, unless said otherwise.")


class SheetImportFilterSet(filters.FilterSet):
    state = filters.MultipleChoiceFilter(choices=ImportState.choices)
    organisation = RelatedIdFilter(field_name="organisation")

    class Meta:
        model = SheetImport
        fields: ClassVar[list[str]] = []


class SheetImportViewSet(ResourceViewSet):
    """Imports of an organisation, one under way at a time. Only its own people and the sender see them."""

    shown = SheetImportSerializer
    filterset_class = SheetImportFilterSet
    parser_classes = (MultiPartParser, StrictJsonParser)  # a sheet comes as a file

    def get_queryset(self) -> QuerySet[SheetImport]:
        return SheetImport.objects.visible_to(self.request.user)

    def mine(self) -> SheetImport:
        """The import, if the caller may change it. Raises `Http404` or `NotAllowedError`."""
        found: SheetImport = self.get_object()
        self.require(Permission.PUBLISH_OFFERS, found.organisation)
        return found

    def complete(self, rows: list[dict[str, Any]]) -> None:
        # Ids are strings to clients, and the column is an array of numbers.
        for row in rows:
            row["offers"] = [str(pk) for pk in row["offers"]]

    def complete_one(self, row: dict[str, Any]) -> None:
        # A list of imports does not fetch them: a sheet may have 2,000 rows.
        read = self.get_queryset().values_list("rows", flat=True).get(pk=row["id"])
        row["rows"] = [show_row(one) for one in read]

    @extend_schema(
        request={"multipart/form-data": OfferSheetSerializer},
        responses={202: SheetImportSerializer},
    )
    @takes(
        OpenApiParameter("preview", OpenApiTypes.BOOL, description="Save nothing until it is confirmed."),
        OpenApiParameter("publish", OpenApiTypes.BOOL, description="Publish what is imported."),
    )
    def create(self, request: Request) -> Response:
        """Have a sheet of offers read in the background, and imported if no row has a fault."""
        taken = self.taken(OfferSheetSerializer)
        # Before anything is read, because a refusal must cost little.
        organisation = self.organisation_for(Permission.PUBLISH_OFFERS, taken.get("organisation"))
        limits.count_drafts(organisation, self.network, limits.DRAFTS_OF_A_SHEET)
        asked = importing.request_import(
            organisation,
            taken["file"].read(),
            by=self.user,
            language=get_language() or "en",
            publish=is_on(request, "publish"),
            confirmed=not is_on(request, "preview"),
        )
        wake(import_sheets)
        response = self.answer(asked.pk, status=202)
        response["Location"] = request.build_absolute_uri(f"{request.path.rstrip('/')}/{asked.pk}/")
        return response

    @extend_schema(request=ConfirmInputSerializer, responses={202: SheetImportSerializer})
    @action(detail=True, methods=["post"])
    def confirm(self, _request: Request, **_kwargs: Any) -> Response:
        """Save the offers of a checked sheet without faults.

        One that was not checked for publishing is checked again first, and confirmed once more.
        """
        asked = self.mine()
        publish = self.taken(ConfirmInputSerializer).get("publish", asked.publish)
        importing.confirm_import(asked, by=self.user, publish=publish)
        wake(import_sheets)
        return self.answer(asked.pk, status=202)

    @extend_schema(request=EmptyInputSerializer, responses=SheetImportSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, _request: Request, **_kwargs: Any) -> Response:
        """Stop an import that is not done yet. Nothing of it is saved."""
        asked = self.mine()
        self.taken(EmptyInputSerializer)
        importing.cancel_import(asked)
        return self.answer(asked.pk)
