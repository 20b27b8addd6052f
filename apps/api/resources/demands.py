"""`/demands/`: what is needed."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Final

import django_filters as filters
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django_filters.utils import translate_validation
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts import limits
from apps.accounts.models import Organisation
from apps.accounts.permissions import Permission
from apps.api.protocol.authentication import require_password
from apps.api.protocol.resource import ResourceViewSet
from apps.api.protocol.schema import one_or_many
from apps.api.protocol.view import takes
from apps.api.representation.answers import ModelRowSerializer, Rows, StateReasonField
from apps.api.representation.filters import (
    AnyOfFilter,
    ChangedSinceFilter,
    ItemKeyFilter,
    RegionCodeFilter,
    RelatedIdFilter,
    parameters_of,
)
from apps.api.representation.references import OrganisationField
from apps.api.representation.requests import (
    EmptyInputSerializer,
    ModelInputSerializer,
    ReasonInputSerializer,
    SeenInputSerializer,
)
from apps.api.representation.values import MAX_DAYS, StrictBooleanField
from apps.api.resources.matches import MatchFilterSet, MatchSerializer, fill_matches
from apps.api.resources.outlook import OutlookSerializer, describe_outlook
from apps.core.errors import RuleViolation
from apps.core.posts import check_not_repeated
from apps.demands import services
from apps.demands.fields import CONTACT_FIELDS, DEMAND_FIELDS
from apps.demands.lines import DemandLine
from apps.demands.models import Demand, DemandState, Urgency
from apps.exports.datasets import DEMANDS
from apps.fulfilment import destinations
from apps.matching.explanation.outlook import outlook
from apps.matching.explanation.shortfalls import shortfall_of
from apps.matching.models import Match

MOST_LINES: Final = 200  # of one post


class ConfirmQuantityField(StrictBooleanField):
    """The caller's answer to `quantity_unusual`."""

    def __init__(self) -> None:
        super().__init__(required=False, help_text="The quantity is unusual, and right.")


class ConfirmDuplicateField(StrictBooleanField):
    """The caller's answer to `duplicate_likely`."""

    def __init__(self) -> None:
        super().__init__(required=False, help_text="It says the same as another of the last days, and both are meant.")


class DemandChangeSerializer(ModelInputSerializer):
    """What a requester asks for. In a change, members that are left out stay as they are."""

    # Members of answers that only the server sets. A client may send back what it has read.
    IGNORED = tuple(column.name for column in DEMANDS.columns)
    EXAMPLE: ClassVar[dict[str, Any]] = {"quantity": 1200, "note": "Gate 3"}

    confirm_quantity = ConfirmQuantityField()

    class Meta:
        model = Demand
        fields = (*DEMAND_FIELDS, *CONTACT_FIELDS)
        extra_kwargs: ClassVar = {"region": {"required": False}, "days_of_supply": {"max_value": MAX_DAYS}}


class DemandLineSerializer(DemandChangeSerializer):
    """One line of a post."""

    EXAMPLE: ClassVar = {
        "item": "mask.surgical",
        "quantity": 1000,
        "urgency": "urgent",
        "needed_by": "2026-12-31",
        "open": True,
    }

    organisation = OrganisationField(
        required=False, help_text="For whom; needed only by somebody who acts for several and has no default."
    )
    open = StrictBooleanField(required=False, help_text="Put it to work at once instead of leaving a draft.")
    confirm_duplicate = ConfirmDuplicateField()


class DemandOpeningSerializer(SeenInputSerializer):
    """How a draft is opened."""

    EXAMPLE: ClassVar = {"confirm_quantity": True}

    confirm_quantity = ConfirmQuantityField()
    confirm_duplicate = ConfirmDuplicateField()


class DemandSerializer(ModelRowSerializer):
    """One line of a post: what is asked for, how much of it is held, accepted and received, and where it stands."""

    organisation_name = serializers.CharField(source="organisation.name")
    unit = serializers.CharField(source="item.unit_id")
    state_reason = StateReasonField(Demand)

    class Meta:
        model = Demand
        fields = tuple(column.name for column in DEMANDS.columns)


class DemandFilterSet(filters.FilterSet):
    state = AnyOfFilter(choices=DemandState.choices, label="In one of these states.")
    urgency = AnyOfFilter(choices=Urgency.choices, label="As urgent as one of these.")
    item = ItemKeyFilter()
    region = RegionCodeFilter(field_name="region")
    organisation = RelatedIdFilter(field_name="organisation")
    reference = filters.CharFilter(label="Of the post with this reference.")
    updated_since = ChangedSinceFilter()

    class Meta:
        model = Demand
        fields: ClassVar[list[str]] = []


class DemandViewSet(ResourceViewSet):
    """Needs. One row is one line of a post."""

    shown = DemandSerializer
    filterset_class = DemandFilterSet

    def get_queryset(self) -> QuerySet[Demand]:
        return Demand.objects.visible_to(self.request.user)

    def get_object(self) -> Demand:
        found: Demand = super().get_object()
        return found

    def mine(self) -> Demand:
        """The need, if the caller may change it. Raises `Http404` or `NotAllowedError`."""
        demand = self.get_object()
        self.require(Permission.POST_DEMANDS, demand.organisation)
        return demand

    @extend_schema(
        request=one_or_many(DemandLineSerializer, "DemandPost"),
        responses={201: one_or_many(DemandSerializer, "DemandsPosted")},
    )
    def create(self, request: Request) -> Response:
        """Post one line, or a list of lines under one reference: all or nothing."""
        many = isinstance(request.data, list)
        lines = self._lines(many=many)
        organisation = self._organisation_of(lines)
        open_now = [index for index, line in enumerate(lines) if line.pop("open", False)]
        confirmed = [index for index, line in enumerate(lines) if line.pop("confirm_quantity", False)]
        meant = {index for index, line in enumerate(lines) if line.pop("confirm_duplicate", False)}
        # The portal keeps such a line as a draft that goes out later. A program gets an error, because it asked for an
        # open need and might not read the state of the answer.
        if open_now and not organisation.is_verified:
            raise RuleViolation(
                "organisation_unverified",
                _("“%(name)s” is not verified yet. Post without “open” to save drafts.") % {"name": organisation},
            )
        limits.count_drafts(organisation, self.network, len(lines))
        # The faults of several lines are named by their line already; the fault of a single one is not.
        with naming(0, many=many and len(lines) == 1):
            outcomes = services.post_needs(
                organisation,
                [DemandLine(**line) for line in lines],
                by=self.user,
                open_now=open_now,
                confirmed=confirmed,
            )
        for index, outcome in enumerate(outcomes):
            if outcome.violation is not None:
                # The transaction of the request takes the other lines back.
                with naming(index, many=many):
                    raise outcome.violation
        for index in sorted({*open_now} - meant):
            with naming(index, many=many):
                check_not_repeated(outcomes[index].demand, timezone.now())
        # Read back as any other answer: defaults and triggers have filled in columns.
        posted = self.get_queryset().filter(pk__in=[outcome.demand.pk for outcome in outcomes])
        rows = [row for _pk, row in DemandSerializer.read(posted.order_by("pk"))]
        return Response(rows if many else rows[0], status=201)

    def _lines(self, *, many: bool) -> Rows:
        """The lines that came in, checked one by one; errors are named by field, in a list by line and field."""
        data: Any = self.request.data
        if many and not 1 <= len(data) <= MOST_LINES:
            raise ValidationError([_("A post has from 1 to %(most)s lines.") % {"most": MOST_LINES}])
        serializer = DemandLineSerializer(data=data, many=many, context=self.get_serializer_context())
        serializer.is_valid(raise_exception=True)
        return [dict(line) for line in (serializer.validated_data if many else [serializer.validated_data])]

    def _organisation_of(self, lines: Rows) -> Organisation:
        """Take the organisation out of the lines, and return it. The first line names it for all."""
        organisation = self.organisation_for(Permission.POST_DEMANDS, lines[0].pop("organisation", None))
        for line in lines[1:]:
            if line.pop("organisation", organisation) != organisation:
                raise ValidationError({"organisation": [_("The lines of one post are of one organisation.")]})
        return organisation

    @extend_schema(request=DemandChangeSerializer, responses=DemandSerializer)
    def partial_update(self, _request: Request, **_kwargs: Any) -> Response:
        """Change a need. Requests that suppliers have not answered are taken back, and made anew."""
        demand = self.mine()
        # Requests are taken back, and suppliers told. import-linter forbids a way around it.
        changes = self.taken(DemandChangeSerializer, partial=True)
        confirmed = changes.pop("confirm_quantity", False)
        if demand.leads_elsewhere(changes):
            require_password(self.request)
        destinations.amend_demand(demand, by=self.user, quantity_confirmed=confirmed, **changes)
        return self.answer(demand.pk)

    @extend_schema(request=DemandOpeningSerializer, responses=DemandSerializer)
    @action(detail=True, methods=["post"])
    def open(self, _request: Request, **_kwargs: Any) -> Response:
        """Open a draft: from now on it is matched. If a coordinator reviews it first, it stays a draft that says so."""
        demand = self.mine()
        said = self.taken(DemandOpeningSerializer)
        confirmed = said.pop("confirm_quantity", False)
        if not said.pop("confirm_duplicate", False) and demand.state == DemandState.DRAFT:
            check_not_repeated(demand, timezone.now())
        services.open_demand(demand, by=self.user, quantity_confirmed=confirmed, **said)
        return self.answer(demand.pk)

    @extend_schema(request=ReasonInputSerializer, responses=DemandSerializer)
    @action(detail=True, methods=["post"])
    def pause(self, _request: Request, **_kwargs: Any) -> Response:
        """Pause a need: nobody is asked until it is resumed."""
        demand = self.mine()
        services.pause_demand(demand, by=self.user, **self.taken(ReasonInputSerializer))
        return self.answer(demand.pk)

    @extend_schema(request=EmptyInputSerializer, responses=DemandSerializer)
    @action(detail=True, methods=["post"])
    def resume(self, _request: Request, **_kwargs: Any) -> Response:
        """Open a paused or stale need again."""
        demand = self.mine()
        self.taken(EmptyInputSerializer)  # refuses members that somebody believes to have an effect
        services.resume_demand(demand, by=self.user)
        return self.answer(demand.pk)

    @extend_schema(request=EmptyInputSerializer, responses=DemandSerializer)
    @action(detail=True, methods=["post"])
    def confirm(self, _request: Request, **_kwargs: Any) -> Response:
        """Confirm that the goods are still needed. The clock that makes a need stale starts anew."""
        demand = self.mine()
        self.taken(EmptyInputSerializer)
        services.confirm_demand(demand, by=self.user)
        return self.answer(demand.pk)

    @extend_schema(request=ReasonInputSerializer, responses=DemandSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, _request: Request, **_kwargs: Any) -> Response:
        """Cancel a need whose goods are not needed any more."""
        demand = self.mine()
        services.cancel_demand(demand, by=self.user, **self.taken(ReasonInputSerializer))
        return self.answer(demand.pk)

    @extend_schema(responses=MatchSerializer(many=True))
    @takes(*parameters_of(MatchFilterSet), is_paged=True)
    @action(detail=True, methods=["get"], filterset_class=None)
    def matches(self, request: Request, **_kwargs: Any) -> Response:
        """List who was asked, and why."""
        demand = self.get_object()
        # This lists matches, so the filters of needs do not apply (`filterset_class=None`), and those of matches do.
        wanted = MatchFilterSet(request.query_params, Match.objects.visible_to(self.user).filter(demand=demand))
        if not wanted.is_valid():
            raise translate_validation(wanted.errors)
        return self.page(wanted.qs, MatchSerializer)

    @extend_schema(responses=OutlookSerializer)
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def outlook(self, _request: Request, **_kwargs: Any) -> Response:
        """Show what there is for the need right now, what keeps the rest from serving it, and what would help."""
        self.get_object()  # 404 unless the caller sees it
        demand = Demand.objects.shown().get(pk=self._pk())
        return Response(describe_outlook(outlook(demand, now=timezone.now()), shortfall_of(demand)))

    def complete(self, rows: Rows) -> None:
        if self.action == "matches":
            fill_matches(rows)


@contextmanager
def naming(index: int, *, many: bool) -> Iterator[None]:
    """Name the fields of a violation by their line, if a list was sent: `1.quantity` for the second line."""
    try:
        yield
    except RuleViolation as violation:
        if many:
            raise violation.within(index) from violation
        raise
