"""`/organisations/`: who needs, offers, carries, watches or coordinates."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import django_filters as filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts import limits, services
from apps.accounts.models import IdentifierKind, Organisation, OrganisationState, TokenScope
from apps.accounts.permissions import OrganisationKind, Permission
from apps.api.protocol.authentication import has_scope, require_password
from apps.api.protocol.resource import ResourceViewSet
from apps.api.representation.answers import FilledByViewSet, IdField, Rows, RowSerializer
from apps.api.representation.filters import AnyOfFilter, ChangedSinceFilter, RegionCodeFilter
from apps.api.representation.references import PermittedRegionField
from apps.api.representation.requests import DecisionInputSerializer, EmptyInputSerializer, InputSerializer
from apps.api.representation.values import StrictCharField, StrictDateField
from apps.fulfilment import destinations


class OrganisationContactSerializer(FilledByViewSet, serializers.Serializer[Any]):
    """Whom to call at the organisation."""

    name = serializers.CharField()
    phone = serializers.CharField()
    email = serializers.CharField()


class OrganisationSerializer(RowSerializer):
    """A hospital, supplier, authority or other body on whose behalf people act."""

    id = IdField()
    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=OrganisationKind.choices)
    identifier_kind = serializers.ChoiceField(choices=IdentifierKind.choices, allow_blank=True)
    identifier = serializers.CharField()
    region = serializers.CharField(source="region_id")
    address = serializers.CharField()
    contact = OrganisationContactSerializer(allow_null=True, help_text="Only for its own people.")
    state = serializers.ChoiceField(choices=OrganisationState.choices)
    state_reason = serializers.CharField()
    verified_at = serializers.DateTimeField(allow_null=True)
    verified_until = serializers.DateField(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    merged_into = IdField(
        source="merged_into_id",
        allow_null=True,
        help_text="Set if this was a duplicate: the needs and offers are of that organisation now.",
    )


class OrganisationInputSerializer(InputSerializer):
    """What an organisation says of itself. In a change, members that are left out stay as they are."""

    # Members of answers that only the server sets. A client may send back what it has read.
    IGNORED = tuple(OrganisationSerializer().fields)
    EXAMPLE: ClassVar = {"name": "Wuhan Third Hospital", "kind": "hospital", "region": "420106"}

    name = StrictCharField(max_length=200)
    kind = serializers.ChoiceField(choices=OrganisationKind.choices)
    region = PermittedRegionField()
    identifier_kind = serializers.ChoiceField(choices=IdentifierKind.choices, required=False)
    identifier = StrictCharField(required=False, allow_blank=True, max_length=40)
    address = StrictCharField(required=False, allow_blank=True, max_length=300)
    contact_name = StrictCharField(required=False, allow_blank=True, max_length=100)
    contact_phone = StrictCharField(required=False, allow_blank=True, max_length=60)
    contact_email = serializers.EmailField(required=False, allow_blank=True, max_length=254)


class VerificationSerializer(DecisionInputSerializer):
    """Until when the verification holds, and what it rests on."""

    EXAMPLE: ClassVar = {"until": "2027-11-30", "updated_at": "2026-11-30T08:15:42.031337Z"}

    until = StrictDateField(required=False, allow_null=True, help_text="A year from now unless said otherwise.")
    call_back = StrictCharField(
        required=False,
        allow_blank=True,
        max_length=300,
        help_text="For a hospital without a document: which number of which public register was called, who answered.",
    )


class RejectionSerializer(DecisionInputSerializer):
    """Why the organisation is not verified. It reads this."""

    EXAMPLE: ClassVar = {
        "reason": "The licence on the photo cannot be read.",
        "updated_at": "2026-11-30T08:15:42.031337Z",
    }

    reason = StrictCharField(max_length=500)


class OrganisationFilterSet(filters.FilterSet):
    state = AnyOfFilter(choices=OrganisationState.choices, label="In one of these states.")
    kind = AnyOfFilter(choices=OrganisationKind.choices, label="Of one of these kinds.")
    region = RegionCodeFilter(field_name="region")
    updated_since = ChangedSinceFilter()

    class Meta:
        model = Organisation
        fields: ClassVar[list[str]] = []


def fill_contacts(rows: Rows, own: Mapping[str, dict[str, str]] = MappingProxyType({})) -> None:
    """Show the contacts in `own`, by id, and no others."""
    for row in rows:
        row["contact"] = own.get(row["id"])


class OrganisationViewSet(ResourceViewSet):
    """Organisations. Only verified ones take part in matching."""

    shown = OrganisationSerializer
    filterset_class = OrganisationFilterSet

    def get_queryset(self) -> QuerySet[Organisation]:
        return Organisation.objects.visible_to(self.request.user)

    def get_object(self) -> Organisation:
        found: Organisation = super().get_object()
        return found

    def complete(self, rows: Rows) -> None:
        # Partners and coordinators see organisations of their region here, but not whom to call.
        own: dict[str, dict[str, str]] = {}
        if has_scope(self.request, TokenScope.CONTACTS):
            own = {str(grant.organisation_id): grant.organisation.contact for grant in self.user.grants}
        fill_contacts(rows, own)

    @extend_schema(request=OrganisationInputSerializer, responses={201: OrganisationSerializer})
    def create(self, _request: Request) -> Response:
        """Register an organisation. You become its manager."""
        limits.count_organisation(self.network)
        organisation = services.register_organisation(by=self.user, **self.taken(OrganisationInputSerializer))
        return self.answer(organisation.pk, status=201)

    @extend_schema(request=OrganisationInputSerializer, responses=OrganisationSerializer)
    def partial_update(self, _request: Request, **_kwargs: Any) -> Response:
        """Change what the organisation says of itself. Changing a verified fact clears the verification."""
        organisation = self.get_object()
        self.require(Permission.MANAGE_ORGANISATION, organisation)
        changes = self.taken(OrganisationInputSerializer, partial=True)
        if organisation.changes_contact(changes):
            require_password(self.request)
        destinations.amend_organisation(organisation, by=self.user, **changes)
        self.user.__dict__.pop("grants", None)  # cached, with the organisation as it was before
        return self.answer(organisation.pk)

    @extend_schema(request=EmptyInputSerializer, responses=OrganisationSerializer)
    @action(detail=True, methods=["post"])
    def submit(self, _request: Request, **_kwargs: Any) -> Response:
        """Ask the coordinators to verify the organisation."""
        organisation = self.get_object()
        self.require(Permission.MANAGE_ORGANISATION, organisation)
        self.taken(EmptyInputSerializer)
        services.submit_for_verification(organisation, by=self.user)
        return self.answer(organisation.pk)

    @extend_schema(request=VerificationSerializer, responses=OrganisationSerializer)
    @action(detail=True, methods=["post"])
    def verify(self, _request: Request, **_kwargs: Any) -> Response:
        """Verify an organisation whose evidence a coordinator has seen."""
        organisation = self.get_object()
        self.require(Permission.COORDINATE, organisation)
        services.verify_organisation(organisation, by=self.user, **self.decided(VerificationSerializer))
        return self.answer(organisation.pk)

    @extend_schema(request=RejectionSerializer, responses=OrganisationSerializer)
    @action(detail=True, methods=["post"])
    def reject(self, _request: Request, **_kwargs: Any) -> Response:
        """Refuse to verify an organisation, and say why."""
        organisation = self.get_object()
        self.require(Permission.COORDINATE, organisation)
        services.reject_organisation(organisation, by=self.user, **self.decided(RejectionSerializer))
        return self.answer(organisation.pk)
