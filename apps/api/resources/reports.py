"""`/reports/`: reports of abuse, and what became of them."""

from typing import Any, ClassVar, Final

import django_filters as filters
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.permissions import Permission
from apps.api.protocol.problems import NotAllowedError
from apps.api.protocol.resource import ResourceViewSet
from apps.api.representation.answers import FilledByViewSet, IdField, Rows, RowSerializer
from apps.api.representation.filters import AnyOfFilter, ChangedSinceFilter, RegionCodeFilter, RelatedIdFilter
from apps.api.representation.references import as_id
from apps.api.representation.requests import DecisionInputSerializer, InputSerializer
from apps.api.representation.values import StrictBooleanField, StrictCharField
from apps.reports import services
from apps.reports.models import AbuseReport, Measure, ReportReason, ReportState, SubjectKind
from apps.reports.subjects import subject_for

# What a coordinator sends instead of a measure where nothing was found.
_DISMISS: Final = "dismiss"


class FilledBooleanField(FilledByViewSet, serializers.BooleanField):
    """Whether something holds for the caller."""


class FilledTextField(FilledByViewSet, serializers.CharField):
    """A text that not every side reads."""


class FilledTimeField(FilledByViewSet, serializers.DateTimeField):
    """A time that not every side reads."""


class ReportSerializer(RowSerializer):
    """Somebody says that something is not what it seems. The accused reads it once it is decided, and never by whom."""

    id = IdField()
    kind = serializers.ChoiceField(choices=SubjectKind.choices, help_text="What it is about.")
    subject = IdField(source="subject_id", help_text="The id of that offer, need, match, order or organisation.")
    accused = IdField(source="accused_id", help_text="The organisation that answers for it.")
    accused_name = serializers.CharField(source="accused.name")
    is_mine = FilledBooleanField(help_text="Whether you reported it.")
    reason = serializers.ChoiceField(choices=ReportReason.choices)
    note = FilledTextField(help_text="What happened. Only for who reported it and for coordinators, else empty.")
    state = serializers.ChoiceField(choices=ReportState.choices)
    measure = serializers.ChoiceField(choices=Measure.choices, allow_blank=True, help_text="What follows, if upheld.")
    decision = serializers.CharField(help_text="The reason of the decision; empty before.")
    decided_at = serializers.DateTimeField(allow_null=True)
    appeal = FilledTextField(help_text="What the accused objects. Only for the accused and for coordinators.")
    appealed_at = serializers.DateTimeField(allow_null=True)
    appeal_decision = serializers.CharField()
    appeal_decided_at = serializers.DateTimeField(allow_null=True)
    created_at = FilledTimeField(allow_null=True, help_text="Only for who reported it and for coordinators, else null.")
    updated_at = serializers.DateTimeField()


class NewReportSerializer(InputSerializer):
    """What is not as it seems, and what happened."""

    IGNORED = tuple(ReportSerializer().fields)
    EXAMPLE: ClassVar = {
        "kind": "order",
        "subject": "4711",
        "reason": "fake_goods",
        "note": "The masks bear the number of another maker. Photos are at the ward.",
    }

    kind = serializers.ChoiceField(choices=SubjectKind.choices)
    subject = StrictCharField(max_length=20, help_text="The id of something that you see, of another organisation.")
    reason = serializers.ChoiceField(choices=ReportReason.choices)
    note = StrictCharField(max_length=2000, help_text="What you saw, when, and how it can be checked.")


class ReportDecisionSerializer(DecisionInputSerializer):
    """What follows from a report, and why. Both sides read the reason."""

    EXAMPLE: ClassVar = {
        "measure": "post",
        "decision": "The register knows no such number.",
        "updated_at": "2026-11-30T08:15:42.031337Z",
    }

    measure = serializers.ChoiceField(
        choices=[(_DISMISS, ReportState.DISMISSED.label), *Measure.choices],
        help_text=(
            "`dismiss`: nothing was found. `none`: it is right, and nothing follows. `post`: the offer or need is "
            "blocked. `organisation`: the verification of the organisation is taken back."
        ),
    )
    decision = StrictCharField(max_length=500, help_text="Do not say who reported.")


class AppealSerializer(InputSerializer):
    """What is wrong with a decision."""

    EXAMPLE: ClassVar = {"appeal": "The number is new; here is the page of the register."}

    appeal = StrictCharField(max_length=2000)


class AppealDecisionSerializer(DecisionInputSerializer):
    """Whether a measure is lifted on appeal, and why. Both sides read the reason."""

    EXAMPLE: ClassVar = {
        "lift": True,
        "decision": "The register was late.",
        "updated_at": "2026-11-30T08:15:42.031337Z",
    }

    lift = StrictBooleanField()
    decision = StrictCharField(max_length=500, help_text="Do not say who reported.")


class ReportFilterSet(filters.FilterSet):
    state = AnyOfFilter(choices=ReportState.choices, label="In one of these states.")
    kind = AnyOfFilter(choices=SubjectKind.choices, label="About one of these kinds of things.")
    reason = AnyOfFilter(choices=ReportReason.choices, label="For one of these reasons.")
    organisation = RelatedIdFilter(field_name="accused")
    region = RegionCodeFilter(field_name="accused__region")
    updated_since = ChangedSinceFilter()

    class Meta:
        model = AbuseReport
        fields: ClassVar[list[str]] = []


class ReportViewSet(ResourceViewSet):
    """Reports of abuse: your own, those about you that are decided, and for coordinators all of their regions."""

    shown = ReportSerializer
    filterset_class = ReportFilterSet

    def get_queryset(self) -> QuerySet[AbuseReport]:
        return AbuseReport.objects.visible_to(self.request.user)

    def complete(self, rows: Rows) -> None:
        found: QuerySet[Any] = AbuseReport.objects.filter(pk__in=[row["id"] for row in rows]).with_sides(self.user)
        sides = {
            str(pk): side
            for pk, *side in found.values_list("pk", "is_mine", "is_at_desk", "note", "appeal", "created_at")
        }
        for row in rows:
            # The accused gets neither the note nor the time, as both could tell who reported.
            is_mine, is_at_desk, note, appeal, created_at = sides[row["id"]]
            row["is_mine"] = is_mine
            row["note"], row["created_at"] = (note, created_at) if is_mine or is_at_desk else ("", None)
            row["appeal"] = "" if is_mine and not is_at_desk else appeal

    def case(self) -> AbuseReport:
        """The report, if the caller may decide on reports about its accused."""
        report: AbuseReport = self.get_object()
        self.require(Permission.COORDINATE, report.accused)
        return report

    @extend_schema(request=NewReportSerializer, responses={201: ReportSerializer})
    def create(self, _request: Request) -> Response:
        """Report something to the coordinators. You are told what was decided."""
        said = self.taken(NewReportSerializer)
        pk = as_id(said["subject"])
        subject = subject_for(self.user, said["kind"], pk) if pk is not None else None
        if subject is None:
            # What one does not see cannot be told from what is not there.
            raise ValidationError({"subject": [_("There is none with this id that you may see.")]})
        report = services.file_report(subject, by=self.user, reason=said["reason"], note=said["note"])
        return self.answer(report.pk, status=201)

    @extend_schema(request=ReportDecisionSerializer, responses=ReportSerializer)
    @action(detail=True, methods=["post"])
    def decide(self, _request: Request, **_kwargs: Any) -> Response:
        """Decide on a report about an organisation of your region. Both sides are told."""
        report = self.case()
        said = self.decided(ReportDecisionSerializer)
        measure = said.pop("measure")
        services.decide_report(report, by=self.user, measure=None if measure == _DISMISS else measure, **said)
        return self.answer(report.pk)

    @extend_schema(request=AppealSerializer, responses=ReportSerializer)
    @action(detail=True, methods=["post"])
    def appeal(self, _request: Request, **_kwargs: Any) -> Response:
        """Object to a measure, as a manager of the organisation that it is against. Another coordinator decides."""
        report: AbuseReport = self.get_object()
        # A coordinator may do much for an organisation, but not object to what another coordinator decided.
        if not services.may_appeal(report, self.user):
            raise NotAllowedError
        services.appeal_report(report, by=self.user, **self.taken(AppealSerializer))
        return self.answer(report.pk)

    @extend_schema(request=AppealDecisionSerializer, responses=ReportSerializer)
    @action(detail=True, methods=["post"], url_path="decide-appeal")
    def decide_appeal(self, _request: Request, **_kwargs: Any) -> Response:
        """Confirm or lift a measure on appeal. Whoever decided on the report cannot."""
        report = self.case()
        services.decide_appeal(report, by=self.user, **self.decided(AppealDecisionSerializer))
        return self.answer(report.pk)
