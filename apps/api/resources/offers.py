"""`/offers/`: what suppliers have."""

from contextlib import nullcontext
from typing import Any, ClassVar

import django_filters as filters
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import Throttled
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts import limits
from apps.accounts.permissions import Permission
from apps.api.protocol.resource import ResourceViewSet
from apps.api.protocol.view import takes
from apps.api.representation.answers import ModelRowSerializer, StateReasonField
from apps.api.representation.filters import (
    AnyOfFilter,
    ChangedSinceFilter,
    ItemKeyFilter,
    RegionCodeFilter,
    RelatedIdFilter,
)
from apps.api.representation.references import OrganisationField, RegionCodeField
from apps.api.representation.requests import (
    EmptyInputSerializer,
    ModelInputSerializer,
    ReasonInputSerializer,
    SeenInputSerializer,
)
from apps.api.representation.sheets import OfferSheetRowSerializer, OfferSheetSerializer, is_on, show_row
from apps.api.representation.values import MAX_DAYS, StrictBooleanField
from apps.catalogue.models import Region
from apps.core import confined
from apps.core.posts import check_not_repeated
from apps.exports.datasets import OFFERS
from apps.matching import services as matching
from apps.supply import services, sheets
from apps.supply.fields import OFFER_FIELDS
from apps.supply.importing import take_turn
from apps.supply.models import Offer, OfferState
from apps.supply.reading import describe, read_rows, save_rows


class ConfirmField(StrictBooleanField):
    """The caller's answer to `quantity_unusual`, `price_unusual`, `certificate_doubtful` or `duplicate_likely`."""

    def __init__(self) -> None:
        super().__init__(
            required=False, source="confirmed", help_text="What is unusual is right. What is too doubtful is reviewed."
        )


class OfferPublicationSerializer(SeenInputSerializer):
    """How a draft is published."""

    EXAMPLE: ClassVar = {"confirm": True}

    confirm = ConfirmField()


class OfferChangeSerializer(ModelInputSerializer):
    """What a supplier says of an offer. In a change, members that are left out stay as they are."""

    # Members of answers that only the server sets. A client may send back what it has read.
    IGNORED = tuple(column.name for column in OFFERS.columns)
    EXAMPLE: ClassVar[dict[str, Any]] = {"quantity": 40000, "unit_price": "2.40"}

    # `\Z` and not `$`, which would let a line break at the end pass.
    currency = serializers.RegexField(r"^[A-Z]{3}\Z", required=False, help_text="ISO 4217.")
    ships_to = serializers.ListField(child=RegionCodeField(), required=False, max_length=500)

    class Meta:
        model = Offer
        fields = OFFER_FIELDS
        extra_kwargs: ClassVar = {
            "quantity": {"required": True},
            "lead_time_days": {"max_value": MAX_DAYS},
            "origin_region": {"required": False, "help_text": "Your organisation's own region unless said otherwise."},
        }

    def validate_ships_to(self, regions: list[Region]) -> list[str]:
        """The codes, each once."""
        # The column holds codes, and the field has checked that each names a region.
        return list(dict.fromkeys(region.code for region in regions))


class OfferAmendmentSerializer(OfferChangeSerializer):
    """What is changed in an offer, and the answer to a question about it."""

    confirm = ConfirmField()


class NewOfferSerializer(OfferChangeSerializer):
    """A new offer, as a draft or to be published at once."""

    EXAMPLE: ClassVar = {
        "item": "mask.surgical",
        "quantity": 50000,
        "unit_price": "2.50",
        "lead_time_days": 2,
        "ships_to": ["420000"],
        "publish": True,
    }

    organisation = OrganisationField(
        required=False, help_text="Whose; needed only by somebody who acts for several and has no default."
    )
    publish = StrictBooleanField(required=False, help_text="Put it to work at once instead of leaving a draft.")
    confirm = ConfirmField()


class OfferSheetResultSerializer(serializers.Serializer[Any]):
    """How a sheet was understood. Without a preview and without faults, its offers are there."""

    rows = OfferSheetRowSerializer(many=True)
    faulty = serializers.IntegerField(help_text="How many rows have faults.")
    unknown_columns = serializers.ListField(child=serializers.CharField())
    offers = serializers.ListField(child=serializers.CharField(), help_text="Ids of what was imported.")


class OfferSerializer(ModelRowSerializer):
    """An offer: what its supplier says of it, how much of it is promised, and where it stands."""

    organisation_name = serializers.CharField(source="organisation.name")
    unit = serializers.CharField(source="item.unit_id")
    state_reason = StateReasonField(Offer)

    class Meta:
        model = Offer
        fields = tuple(column.name for column in OFFERS.columns)


class OfferFilterSet(filters.FilterSet):
    state = AnyOfFilter(choices=OfferState.choices, label="In one of these states.")
    item = ItemKeyFilter()
    region = RegionCodeFilter(field_name="origin_region")
    organisation = RelatedIdFilter(field_name="organisation")
    updated_since = ChangedSinceFilter()

    class Meta:
        model = Offer
        fields: ClassVar[list[str]] = []


class OfferViewSet(ResourceViewSet):
    """Offers of suppliers: what they have and can make."""

    shown = OfferSerializer
    filterset_class = OfferFilterSet

    def get_queryset(self) -> QuerySet[Offer]:
        return Offer.objects.visible_to(self.request.user)

    def mine(self) -> Offer:
        """The offer, if the caller may change it. Raises `Http404` or `NotAllowedError`."""
        offer: Offer = self.get_object()
        self.require(Permission.PUBLISH_OFFERS, offer.organisation)
        return offer

    @extend_schema(request=NewOfferSerializer, responses={201: OfferSerializer})
    def create(self, _request: Request) -> Response:
        """Draft an offer, or publish it at once."""
        facts = self.taken(NewOfferSerializer)
        organisation = self.organisation_for(Permission.PUBLISH_OFFERS, facts.pop("organisation", None))
        limits.count_drafts(organisation, self.network)
        posted = services.post_offer(organisation, by=self.user, **facts)
        if posted.violation is not None:
            raise posted.violation  # which takes the draft back, too
        if facts.get("publish") and not facts.get("confirmed"):
            check_not_repeated(posted.offer, timezone.now())
        return self.answer(posted.offer.pk, status=201)

    @extend_schema(request=OfferAmendmentSerializer, responses=OfferSerializer)
    def partial_update(self, _request: Request, **_kwargs: Any) -> Response:
        """Change an offer. What is promised stays promised; requests without an answer are taken back."""
        offer = self.mine()
        matching.amend_offer(offer, by=self.user, **self.taken(OfferAmendmentSerializer, partial=True))
        return self.answer(offer.pk)

    @extend_schema(request=OfferPublicationSerializer, responses=OfferSerializer)
    @action(detail=True, methods=["post"])
    def publish(self, _request: Request, **_kwargs: Any) -> Response:
        """Publish a draft, paused or stale offer: from now on it is matched.

        A draft that is doubtful, or repeats an offer of the last days, is `409` until it is confirmed. A doubtful one
        may then wait as a draft for a coordinator.
        """
        offer = self.mine()
        said = self.taken(OfferPublicationSerializer)
        if offer.state == OfferState.DRAFT and not said.get("confirmed"):
            check_not_repeated(offer, timezone.now())
        services.publish_offer(offer, by=self.user, **said)
        return self.answer(offer.pk)

    @extend_schema(request=ReasonInputSerializer, responses=OfferSerializer)
    @action(detail=True, methods=["post"])
    def pause(self, _request: Request, **_kwargs: Any) -> Response:
        """Pause an offer: no new request comes. What was promised stays promised."""
        offer = self.mine()
        services.pause_offer(offer, by=self.user, **self.taken(ReasonInputSerializer))
        return self.answer(offer.pk)

    @extend_schema(request=EmptyInputSerializer, responses=OfferSerializer)
    @action(detail=True, methods=["post"])
    def confirm(self, _request: Request, **_kwargs: Any) -> Response:
        """Confirm that the goods are still there. A stale offer is published again."""
        offer = self.mine()
        self.taken(EmptyInputSerializer)
        services.confirm_offer(offer, by=self.user)
        return self.answer(offer.pk)

    @extend_schema(request=ReasonInputSerializer, responses=OfferSerializer)
    @action(detail=True, methods=["post"])
    def withdraw(self, _request: Request, **_kwargs: Any) -> Response:
        """Withdraw an offer whose goods are gone for good."""
        offer = self.mine()
        services.withdraw_offer(offer, by=self.user, **self.taken(ReasonInputSerializer))
        return self.answer(offer.pk)

    @extend_schema(
        operation_id="offers_import",
        request={"multipart/form-data": OfferSheetSerializer},
        responses={200: OfferSheetResultSerializer, 201: OfferSheetResultSerializer},
    )
    @takes(
        OpenApiParameter("preview", OpenApiTypes.BOOL, description="Only say what would be imported."),
        OpenApiParameter(
            "publish", OpenApiTypes.BOOL, description="Publish what is imported, or preview whether it could be."
        ),
    )
    @action(detail=False, methods=["post"], url_path="import", url_name="import", parser_classes=[MultiPartParser])
    def import_sheet(self, request: Request) -> Response:
        """Import a sheet of offers, all rows or none. With `preview`, only show each row and its faults.

        An organisation has one at a time; another answers 429. `imports/` does the same in the background.
        """
        taken = self.taken(OfferSheetSerializer)
        file = taken["file"]
        organisation = self.organisation_for(Permission.PUBLISH_OFFERS, taken.get("organisation"))
        publish = is_on(request, "publish")
        if not take_turn(organisation):
            raise Throttled(wait=5)
        data = file.read()
        # A process of its own reads a workbook, and there are places for few.
        with confined.place(organisation.pk) if sheets.is_workbook(data) else nullcontext():
            sheet = read_rows(organisation, data, by=self.user, publish=publish)
        body: dict[str, Any] = {
            "rows": [show_row(describe(row)) for row in sheet.rows],
            "faulty": len(sheet.faulty),
            "unknown_columns": sheet.unknown_columns,
            "offers": [],
        }
        if is_on(request, "preview"):
            return Response(body)
        limits.count_drafts(organisation, self.network, len(sheet.rows))
        offers = save_rows(organisation, sheet, by=self.user, publish=publish)
        body["offers"] = [str(offer.pk) for offer in offers]
        return Response(body, status=201)
