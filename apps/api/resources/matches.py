"""`/matches/`: offers held for needs, and the suppliers' answers."""

from typing import Any, ClassVar

import django_filters as filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.models import TokenScope
from apps.accounts.permissions import Permission
from apps.api.protocol.authentication import has_scope
from apps.api.protocol.resource import ResourceViewSet
from apps.api.representation.answers import BaseUnitsField, FilledByViewSet, IdField, Rows, RowSerializer
from apps.api.representation.filters import (
    AnyOfFilter,
    ChangedSinceFilter,
    ItemKeyFilter,
    RegionCodeFilter,
    RelatedIdFilter,
)
from apps.api.representation.requests import InputSerializer
from apps.api.representation.values import MAX_DAYS, QuantityField, StrictCharField, StrictIntegerField
from apps.demands.models import Urgency
from apps.fulfilment import services as fulfilment
from apps.matching import services
from apps.matching.explanation import wording
from apps.matching.models import DeclineReason, Match, MatchState


@extend_schema_field({"type": ["number", "string", "null"]})
class MeasuredField(serializers.JSONField):
    """A number, a word, or null where nothing was known, such as the price of a match without one."""


class ExplanationTermSerializer(serializers.Serializer[Any]):
    """One term of the score: what was measured, how well it fits, and how much it weighs."""

    term = serializers.CharField()
    value = MeasuredField(help_text="What was measured: a number, a word, or null where it is not known.")
    score = serializers.FloatField(help_text="From 0 to 1.")
    weight = serializers.FloatField()
    text = serializers.CharField(help_text="The same in words, in the language of the request.")


class ExplanationField(serializers.ListField):
    """The terms that are stored with a match, in the language of the request."""

    child = ExplanationTermSerializer()
    expression = staticmethod(Match.terms_expression)
    # Only facts are stored, so each reader gets the sentences in a language of their own.
    shown = staticmethod(wording.explain)


class ContactSerializer(serializers.Serializer[Any]):
    """Whom to call at one side."""

    name = serializers.CharField()
    phone = serializers.CharField()
    email = serializers.CharField()


class MatchContactsSerializer(FilledByViewSet, serializers.Serializer[Any]):
    """Whom to call at both sides."""

    requester = ContactSerializer()
    supplier = ContactSerializer()


class MatchSerializer(RowSerializer):
    """An offer that is held for a need, or stands by for it, with the reasons why it was chosen."""

    id = IdField()
    demand = IdField(source="demand_id")
    reference = serializers.CharField(source="demand.reference")
    requester = serializers.CharField(source="demand.organisation.name")
    offer = IdField(source="offer_id")
    supplier = serializers.CharField(source="offer.organisation.name")
    item = serializers.CharField(source="demand.item.key", help_text="What is needed.")
    offered_item = serializers.CharField(source="offer.item.key", help_text="Another one, if this is a substitute.")
    standard = serializers.CharField(source="demand.standard.code", allow_null=True)
    unit = serializers.CharField(source="demand.item.unit_id")
    region = serializers.CharField(source="demand.region_id")
    needed_by = serializers.DateTimeField(source="demand.needed_by", allow_null=True)
    urgency = serializers.ChoiceField(source="demand.urgency", choices=Urgency.choices)
    quantity = BaseUnitsField()
    quantity_asked = BaseUnitsField()
    rank = serializers.IntegerField()
    score = serializers.FloatField()
    explanation = ExplanationField(source="terms")
    policy_version = serializers.IntegerField()
    is_substitute = serializers.BooleanField()
    state = serializers.ChoiceField(choices=MatchState.choices)
    respond_by = serializers.DateTimeField(allow_null=True)
    responded_at = serializers.DateTimeField(allow_null=True)
    lead_time_days = serializers.IntegerField(allow_null=True)
    decline_reason = serializers.ChoiceField(choices=DeclineReason.choices, allow_blank=True)
    decline_note = serializers.CharField()
    contact = MatchContactsSerializer(
        allow_null=True,
        help_text="Both sides', once accepted, where a single match is asked for. In lists null: each look is logged.",
    )
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    requester_id = IdField(source="demand.organisation_id")
    supplier_id = IdField(source="offer.organisation_id")


class AcceptanceSerializer(InputSerializer):
    """How much the supplier accepts, and in how many days it can be there."""

    EXAMPLE: ClassVar = {"quantity": 1000, "lead_time_days": 2}

    quantity = QuantityField(required=False, help_text="All that was asked for, unless less is said.")
    lead_time_days = StrictIntegerField(required=False, min_value=0, max_value=MAX_DAYS)


class DeclineSerializer(InputSerializer):
    """Why the supplier says no. The reason decides whether the same supplier is asked again."""

    EXAMPLE: ClassVar = {"reason": "distance", "note": "We deliver within the province only."}

    reason = serializers.ChoiceField(choices=DeclineReason.choices)
    note = StrictCharField(required=False, allow_blank=True, max_length=500)


class MatchFilterSet(filters.FilterSet):
    state = AnyOfFilter(choices=MatchState.choices, label="In one of these states.")
    item = ItemKeyFilter(field_name="demand__item")
    region = RegionCodeFilter(field_name="demand__region")
    demand = RelatedIdFilter(field_name="demand")
    offer = RelatedIdFilter(field_name="offer")
    updated_since = ChangedSinceFilter()

    class Meta:
        model = Match
        fields: ClassVar[list[str]] = []


def fill_matches(rows: Rows) -> None:
    """Lists show no contact, because each look at one is logged."""
    for row in rows:
        row["contact"] = None


class MatchViewSet(ResourceViewSet):
    """Offers put together with needs, and the suppliers' answers."""

    shown = MatchSerializer
    filterset_class = MatchFilterSet

    def get_queryset(self) -> QuerySet[Match]:
        if self.action == "list":
            return Match.objects.listed_for(self.request.user)
        return Match.objects.visible_to(self.request.user)

    def complete(self, rows: Rows) -> None:
        fill_matches(rows)

    def complete_one(self, row: dict[str, Any]) -> None:
        # Contacts are personal data: only after acceptance, only with the scope, and each look is logged.
        if row["state"] == MatchState.ACCEPTED and has_scope(self.request, TokenScope.CONTACTS):
            match = Match.objects.shown().get(pk=row["id"])
            row["contact"] = fulfilment.reveal_contact(match, to=self.user)

    # A repeat of an acceptance shows the contact again: that is a look, by somebody who may have left since.
    complete_repeat = complete_one

    def asked(self) -> Match:
        """The match, if the caller may answer it."""
        match: Match = self.get_object()
        self.require(Permission.PUBLISH_OFFERS, match.offer.organisation)
        return match

    @extend_schema(request=AcceptanceSerializer, responses=MatchSerializer)
    @action(detail=True, methods=["post"])
    def accept(self, _request: Request, **_kwargs: Any) -> Response:
        """Accept all or part. This makes an order, and both sides may see each other's contact."""
        match = self.asked()
        fulfilment.accept_match(match, by=self.user, **self.taken(AcceptanceSerializer))
        return self.answer(match.pk)

    @extend_schema(request=DeclineSerializer, responses=MatchSerializer)
    @action(detail=True, methods=["post"])
    def decline(self, _request: Request, **_kwargs: Any) -> Response:
        """Say no, and why. The next offer in the order is asked."""
        match = self.asked()
        services.decline(match, by=self.user, **self.taken(DeclineSerializer))
        return self.answer(match.pk)
