"""Needs that were not covered: who was told, and why nobody served them. Who was told of an offer stands here too."""

import datetime as dt
from typing import ClassVar, Final, Self

import pgtrigger
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Organisation, User
from apps.core.models import TimeStamped
from apps.core.triggers import Trigger
from apps.demands.models import Demand
from apps.matching.allocation.shortage import Shortage
from apps.matching.scoring.eligibility import OF_SHORTAGES, Reason
from apps.supply.models import Offer

# A desk gets one message of all that was put before it in this time. Of emergencies it hears at once.
DESKS_TOLD_EVERY: Final = dt.timedelta(hours=1)


class EscalationQuerySet(models.QuerySet["Escalation"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        if not user.is_authenticated:
            return self.none()
        return self.filter(organisation__in=[grant.organisation_id for grant in user.grants])

    def of_the_uncovered(self) -> Self:
        """Of needs that suppliers did not cover in time, not of those that nobody looked at; since the clock of the
        need began to run.
        """
        return self.filter(for_approval=False, since=F("demand__escalating_since"))

    def notice_pending(self) -> Self:
        """Of which the desk was not told yet."""
        return self.filter(notice_pending=True)

    def notice_due(self, now: dt.datetime) -> Self:
        """Of which the desk is to be told now: an emergency, or anything if the last message is an hour old."""
        lately = Escalation.objects.filter(organisation=OuterRef("organisation"), told_at__gt=now - DESKS_TOLD_EVERY)
        return self.notice_pending().filter(Q(demand__urgency="emergency") | ~Exists(lately))


class Escalation(TimeStamped):
    """A need whose clock ran out, put before a coordinator with all that was tried; or a need or an offer that nobody
    looked at in time (`for_approval`), put before the coordinator above those who were asked to.
    """

    demand = models.ForeignKey(
        Demand, models.PROTECT, null=True, blank=True, related_name="escalations", verbose_name=_("need")
    )
    offer = models.ForeignKey(
        Offer, models.PROTECT, null=True, blank=True, related_name="escalations", verbose_name=_("offer")
    )
    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="+", verbose_name=_("coordinator"))
    level = models.PositiveSmallIntegerField(_("level"), help_text=_("1 is the nearest coordinator."))
    tried: models.JSONField[dict[str, int], dict[str, int]] = models.JSONField(_("what was tried"), default=dict)
    for_approval = models.BooleanField(_("awaits review"), default=False)
    # Which run of the clock this belongs to: `Demand.escalating_since`, or `Offer.review_requested_at`, at the time.
    since = models.DateTimeField(editable=False)
    # Whether the desk is still to be told, and when it was told of this together with others.
    notice_pending = models.BooleanField(db_default=False, editable=False)
    told_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = EscalationQuerySet.as_manager()

    class Meta(TimeStamped.Meta):
        verbose_name = _("escalation")
        verbose_name_plural = _("escalations")
        triggers: ClassVar = [
            *TimeStamped.Meta.triggers,
            Trigger(
                name="raise_level",
                when=pgtrigger.After,
                operation=pgtrigger.Insert,
                condition=pgtrigger.Q(new__for_approval=False),
                func="""
                    UPDATE demands_demand SET escalation_level = NEW.level
                    WHERE id = NEW.demand_id AND escalating_since = NEW.since AND escalation_level < NEW.level;
                    RETURN NULL;
                """,
            ),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["demand", "organisation", "for_approval", "since"], name="escalation_once"),
            models.UniqueConstraint(fields=["offer", "organisation", "since"], name="escalation_of_offer_once"),
            models.CheckConstraint(
                condition=Q(demand__isnull=False, offer=None) | Q(demand=None, offer__isnull=False, for_approval=True),
                name="escalation_of_one",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["organisation", "id"], condition=Q(notice_pending=True), name="escalation_notice_queue"
            ),
            models.Index(
                fields=["organisation", "told_at"], condition=Q(told_at__isnull=False), name="escalation_last_told"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.demand or self.offer} → {self.organisation}"

    @property
    def run(self) -> str:
        """What it is about, as part of the keys of its messages."""
        # The run of the clock is part of it, so a later run may notify the same coordinator again.
        look = ":look" if self.for_approval and self.demand_id else ""
        return f"{self.demand_id or self.offer_id}:{self.organisation_id}{look}:{self.since:%Y%m%d%H%M%S%f}"


class Shortfall(models.Model):
    """Why an open need got less than it wants, or nothing, when it was last decided together with others.

    The row is deleted when the need lacks nothing any more. Quantities are in base units.
    """

    demand = models.OneToOneField(
        Demand, models.CASCADE, primary_key=True, related_name="shortfall", verbose_name=_("need")
    )
    given = models.BigIntegerField(_("given"))
    wanting = models.BigIntegerField(_("wanting"))
    because = models.CharField(_("why not more"), max_length=10)
    others = models.PositiveIntegerField(_("others of the same priority that were given some"))
    above = models.PositiveIntegerField(_("needs of higher priority that were given some"))
    policy_version = models.PositiveIntegerField(_("policy version"))
    decided_at = models.DateTimeField(_("decided"))

    class Meta:
        verbose_name = _("shortfall")
        verbose_name_plural = _("shortfalls")
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(given__gte=0, given__lt=F("wanting")), name="shortfall_is_short"),
            models.CheckConstraint(
                condition=Q(because__in=[reason.value for reason in OF_SHORTAGES]), name="shortfall_reason_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.demand}: {self.given} / {self.wanting}"

    @property
    def verdict(self) -> Shortage:
        return Shortage(self.demand_id, self.given, self.wanting, Reason(self.because), self.others, self.above)
