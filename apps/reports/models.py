"""Reports of abuse: one row is one case for the desk."""

from typing import Any, ClassVar, Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import ExpressionWrapper, Q
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Organisation, User
from apps.accounts.permissions import Permission
from apps.core.models import TimeStamped


class SubjectKind(models.TextChoices):
    OFFER = "offer", _("Offer")
    DEMAND = "demand", _("Need")
    MATCH = "match", _("Match")
    ORDER = "order", _("Order")
    ORGANISATION = "organisation", _("Organisation")


class ReportReason(models.TextChoices):
    PRICE = "price", _("The price is a rip-off")
    FAKE_GOODS = "fake_goods", _("The goods are fake, or are not there")
    FAKE_NEED = "fake_need", _("The need is fake")
    NOT_REACHABLE = "not_reachable", _("Nobody can be reached")
    OTHER = "other", _("Another reason")


class ReportState(models.TextChoices):
    OPEN = "open", _("Waiting for a decision")
    DISMISSED = "dismissed", _("Nothing was found")
    UPHELD = "upheld", _("Found to be right")
    APPEALED = "appealed", _("Waiting for a decision on the appeal")
    CONFIRMED = "confirmed", _("Confirmed on appeal")
    LIFTED = "lifted", _("Lifted on appeal")


class Measure(models.TextChoices):
    """What follows from a report that is right."""

    NONE = "none", _("Nothing but this decision")
    POST = "post", _("The offer or need is blocked")
    ORGANISATION = "organisation", _("The organisation is suspended: its verification is taken back")


# Somebody of the desk has to decide.
WAITING = (ReportState.OPEN, ReportState.APPEALED)


def _concerns(user: User) -> Q:
    own = [grant.organisation_id for grant in user.grants]
    return Q(reported_by=user) | Q(accused__in=own) & ~Q(state=ReportState.OPEN) & _within_limit(user)


def _is_at_desk_of(user: User) -> Q:
    regions = Q(pk__in=[])  # true of no row
    for desk in user.organisations_with(Permission.COORDINATE):
        regions |= Q(accused__region__path__startswith=desk.region.path)
    own = [grant.organisation_id for grant in user.grants]
    return regions & ~Q(accused__in=own) & _within_limit(user)


def _within_limit(user: User) -> Q:
    """A token for one region shows reports about organisations in it, beside those of its user."""
    return Q(accused__region__path__startswith=user.region_limit.path) if user.region_limit else Q()


class ReportQuerySet(models.QuerySet["AbuseReport"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        return self.filter(_concerns(user) | _is_at_desk_of(user)) if user.is_authenticated else self.none()

    def concerning(self, user: User) -> Self:
        """One's own reports, and those about one's organisations once they are decided."""
        return self.filter(_concerns(user))

    def at_desk_of(self, user: User) -> Self:
        """The cases of a coordinator's regions, without those about organisations of their own.

        A case says who reported, which the accused never learns.
        """
        return self.filter(_is_at_desk_of(user))

    def with_sides(self, user: User) -> Self:
        """With `is_mine`, whether the user reported it, and `is_at_desk`, as in `at_desk_of`."""
        return self.annotate(
            is_mine=ExpressionWrapper(Q(reported_by=user), models.BooleanField()),
            is_at_desk=ExpressionWrapper(_is_at_desk_of(user), models.BooleanField()),
        )

    def waiting(self) -> Self:
        return self.filter(state__in=WAITING)


class AbuseReport(TimeStamped):
    """Somebody says that something is not what it seems. `accused` is the organisation that answers for it.

    The accused never learns who reported.
    """

    kind = models.CharField(_("what"), max_length=12, choices=SubjectKind.choices)
    # No foreign key, because it may be in any of five tables. Rows of these are never deleted.
    subject_id = models.BigIntegerField(_("number"))
    accused = models.ForeignKey(Organisation, models.PROTECT, related_name="reports", verbose_name=_("about"))
    reported_by = models.ForeignKey(User, models.PROTECT, related_name="reports", verbose_name=_("reported by"))
    reason = models.CharField(_("reason"), max_length=14, choices=ReportReason.choices)
    note = models.CharField(_("what happened"), max_length=2000)
    state = models.CharField(_("state"), max_length=10, choices=ReportState.choices, default=ReportState.OPEN)

    measure = models.CharField(_("measure"), max_length=12, choices=Measure.choices, blank=True)
    decision = models.CharField(_("reason of the decision"), max_length=500, blank=True)
    decided_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    decided_at = models.DateTimeField(_("decided"), null=True, blank=True)
    # How the organisation was verified before it was suspended: a lifted suspension gives that back.
    was_verified_until = models.DateField(null=True, blank=True, editable=False)
    was_called_back = models.CharField(max_length=300, blank=True, editable=False)

    appeal = models.CharField(_("appeal"), max_length=2000, blank=True)
    appealed_at = models.DateTimeField(_("appealed"), null=True, blank=True)
    appeal_decision = models.CharField(_("reason of the decision on the appeal"), max_length=500, blank=True)
    appeal_decided_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    appeal_decided_at = models.DateTimeField(_("decided on appeal"), null=True, blank=True)

    objects = ReportQuerySet.as_manager()

    MOVES: ClassVar = {
        ReportState.OPEN: frozenset({ReportState.DISMISSED, ReportState.UPHELD}),
        ReportState.DISMISSED: frozenset(),
        ReportState.UPHELD: frozenset({ReportState.APPEALED}),
        ReportState.APPEALED: frozenset({ReportState.CONFIRMED, ReportState.LIFTED}),
        ReportState.CONFIRMED: frozenset(),
        ReportState.LIFTED: frozenset(),
    }

    class Meta(TimeStamped.Meta):
        verbose_name = _("report of abuse")
        verbose_name_plural = _("reports of abuse")
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(state__in=ReportState.values), name="report_state_known"),
            models.CheckConstraint(condition=Q(kind__in=SubjectKind.values), name="report_kind_known"),
            models.CheckConstraint(condition=Q(reason__in=ReportReason.values), name="report_reason_known"),
            models.CheckConstraint(condition=Q(measure__in=["", *Measure.values]), name="report_measure_known"),
            # Both sides read why.
            models.CheckConstraint(
                condition=Q(state=ReportState.OPEN)
                | Q(decided_by__isnull=False, decided_at__isnull=False) & ~Q(decision=""),
                name="report_decided_with_reason",
            ),
            # Nobody decides on an appeal against their own decision.
            models.CheckConstraint(
                condition=~Q(state__in=[ReportState.CONFIRMED, ReportState.LIFTED])
                | Q(appeal_decided_by__isnull=False)
                & ~Q(appeal_decision="")
                & ~Q(appeal_decided_by=models.F("decided_by")),
                name="report_appeal_decided_by_another",
            ),
            # Whoever says it again waits for the same decision.
            models.UniqueConstraint(
                fields=["reported_by", "kind", "subject_id"],
                condition=Q(state=ReportState.OPEN),
                name="report_open_once",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["id"], condition=Q(state__in=WAITING), name="report_queue"),
            models.Index(fields=["kind", "subject_id"], name="report_by_subject"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.subject_id}: {self.get_reason_display()}"

    @property
    def is_waiting(self) -> bool:
        return self.state in WAITING

    @property
    def can_be_appealed(self) -> bool:
        """Whether its accused has something to appeal against: a decision that came with a measure."""
        return self.state == ReportState.UPHELD and self.measure in {Measure.POST, Measure.ORGANISATION}

    def described(self) -> dict[str, Any]:
        """The facts of a report for a message: nothing of who reported."""
        return {
            "report_id": self.pk,
            "kind": self.kind,
            "subject_id": self.subject_id,
            "accused": self.accused.name,
            "reason": self.reason,
        }
