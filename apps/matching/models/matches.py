"""Matches: an offer put together with a demand."""

import datetime as dt
from typing import ClassVar, Final, Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Cast, Coalesce
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Organisation, User
from apps.core.models import EitherQuerySet, TimeStamped
from apps.demands.models import Demand
from apps.matching.models.reasons import Reasons, ReasonsField
from apps.supply.models import Offer


class MatchState(models.TextChoices):
    HELD = "held", _("Waiting for the supplier's answer")
    STANDBY = "standby", _("Backup")
    ACCEPTED = "accepted", _("Accepted")
    DECLINED = "declined", _("Declined")
    EXPIRED = "expired", _("Not answered in time")
    SUPERSEDED = "superseded", _("Replaced by a higher priority")
    CANCELLED = "cancelled", _("Cancelled")


class DeclineReason(models.TextChoices):
    GONE = "gone", _("The goods are gone")
    PRICE = "price", _("The price does not fit")
    DISTANCE = "distance", _("Too far away")
    STANDARD = "standard", _("Not the right standard")
    OTHER = "other", _("Another reason")


# These are about the kind of need, not about this one need only.
GENERAL_REASONS: Final = (DeclineReason.DISTANCE, DeclineReason.STANDARD)


# In these states the pair is open: the offer is held for this demand, or a backup of it. No pair is open twice.
PENDING: Final = (MatchState.HELD, MatchState.STANDBY)


# The supplier was asked at some time: a match that was never more than a backup has no time to answer.
WAS_ASKED: Final = Q(respond_by__isnull=False)


# How a match counts in its supplier's record. A promise is broken by silence, by stock that was not there, by calling
# off what was accepted (only what the supplier did has a reason then), and by a delivery that failed. A no because of
# price, distance or standard says nothing about reliability. It says whom not to ask again (`decline_rules.py`).
CALLED_OFF: Final = Q(state=MatchState.CANCELLED) & ~Q(decline_reason="")


# A tenth or more was rejected or never came. Less is breakage, and no requester can spoil a record by rejecting one.
FAILED: Final = Q(state=MatchState.ACCEPTED, quantity_lost__gt=0, quantity__lte=F("quantity_lost") * 10)


KEPT: Final = Q(state=MatchState.ACCEPTED) & ~FAILED


BROKEN: Final = (
    Q(state=MatchState.EXPIRED) | Q(state=MatchState.DECLINED, decline_reason=DeclineReason.GONE) | CALLED_OFF | FAILED
)


def _is_invalid(on: dt.date) -> Q:
    """The need is not open, the offer not published, its certificate has run out on that day, or one of the sides is
    not verified any more.
    """
    return (
        ~Q(demand__state="open")
        | ~Q(offer__state="published")
        | Q(offer__certificate_valid_until__lt=on)
        | ~Q(demand__organisation__state="verified")
        | ~Q(offer__organisation__state="verified")
    )


def _sight(user: User) -> tuple[Q, Q]:
    """The conditions that the user sees a match as its requester, or as its supplier, who was asked."""
    asked = user.visibility("offer__organisation", "offer__origin_region") & WAS_ASKED
    return user.visibility("demand__organisation", "demand__region"), asked


class MatchQuerySet(EitherQuerySet["Match"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Both sides see a match, and so does who watches the region of the need.

        A supplier that was never asked does not see that it is, or was, a backup.
        """
        if not user.is_authenticated:
            return self.none()
        requester, supplier = _sight(user)
        return self.filter(requester | supplier)

    def listed_for(self, user: User | AnonymousUser) -> Self:
        """All that `visible_to` gives, for lists: whoever watches no region has few of all matches."""
        if not user.is_authenticated or user.watched_regions:
            return self.visible_to(user)
        return self.that_meet(*_sight(user))

    def held(self) -> Self:
        return self.filter(state=MatchState.HELD)

    def accepted(self) -> Self:
        return self.filter(state=MatchState.ACCEPTED)

    def overdue(self, now: dt.datetime) -> Self:
        return self.held().filter(respond_by__lte=now)

    def for_suppliers(self, organisations: list[Organisation]) -> Self:
        return self.filter(offer__organisation__in=organisations)

    def invalid(self, on: dt.date) -> Self:
        """Unanswered holds that the next sweep takes back."""
        return self.held().filter(_is_invalid(on))

    def awaiting_answer(self, now: dt.datetime) -> Self:
        """Unanswered holds whose supplier still can, and need, answer."""
        return self.held().filter(~_is_invalid(now.date()), respond_by__gt=now)

    def withdrawal_notice_due(self) -> Self:
        """Requests that were taken back and whose suppliers must be notified now.

        That is after the need was matched again, because the same supplier may be asked anew in that matching.
        """
        return self.filter(
            ~Q(demand__state="open") | Q(demand__match_requested_at=None), withdrawal_notice_pending=True
        )

    def shown(self) -> Self:
        """Fetch what every page and export shows of a match, in one query."""
        return self.select_related(
            "demand__organisation",
            "demand__item__unit",
            "demand__region",
            "demand__standard",
            "offer__organisation",
            "offer__item__unit",
            "offer__standard",
            "offer__origin_region",
        )


class Match(TimeStamped):
    """An offer put together with a demand: a hold until the supplier answers, a backup, or answered."""

    # No index of their own: those below begin with these columns.
    demand = models.ForeignKey(Demand, models.PROTECT, db_index=False, related_name="matches", verbose_name=_("need"))
    offer = models.ForeignKey(Offer, models.PROTECT, db_index=False, related_name="matches", verbose_name=_("offer"))
    quantity = models.BigIntegerField(_("quantity"))
    quantity_asked = models.BigIntegerField(_("quantity asked for"))
    rank = models.PositiveSmallIntegerField(_("rank"))
    score = models.FloatField(_("score"))
    packed_terms = ReasonsField(_("reasons"), null=True)
    # As 0.2.0 writes and reads it, so that both versions run at once. It can go in the version after the next.
    terms_before = models.JSONField(default=list, db_default=[], db_column="terms", editable=False)
    policy_version = models.PositiveIntegerField(_("policy version"))
    is_substitute = models.BooleanField(_("substitute"), default=False)
    tier = models.PositiveSmallIntegerField(_("tier"), help_text=_("Of the need, after ageing, when this was decided."))

    state = models.CharField(_("state"), max_length=12, choices=MatchState.choices, default=MatchState.HELD)
    respond_by = models.DateTimeField(_("answer by"), null=True, blank=True)
    responded_at = models.DateTimeField(_("answered"), null=True, blank=True)
    responded_by = models.ForeignKey(User, models.PROTECT, db_index=False, null=True, blank=True, related_name="+")
    decline_reason = models.CharField(_("reason"), max_length=10, choices=DeclineReason.choices, blank=True)
    decline_note = models.CharField(_("note"), max_length=500, blank=True)
    lead_time_days = models.PositiveSmallIntegerField(_("lead time in days"), null=True, blank=True)
    # What was promised and rejected, or never came: its supplier is not asked for the same need again.
    quantity_lost = models.BigIntegerField(db_default=0, editable=False)
    withdrawal_notice_pending = models.BooleanField(db_default=False, editable=False)

    objects = MatchQuerySet.as_manager()

    MOVES: ClassVar = {
        MatchState.STANDBY: frozenset({MatchState.HELD, MatchState.SUPERSEDED, MatchState.CANCELLED}),
        MatchState.HELD: frozenset(
            {
                MatchState.ACCEPTED,
                MatchState.DECLINED,
                MatchState.EXPIRED,
                MatchState.SUPERSEDED,
                MatchState.CANCELLED,
            }
        ),
        MatchState.ACCEPTED: frozenset({MatchState.CANCELLED}),
        MatchState.DECLINED: frozenset(),
        MatchState.EXPIRED: frozenset(),
        MatchState.SUPERSEDED: frozenset(),
        MatchState.CANCELLED: frozenset(),
    }

    class Meta(TimeStamped.Meta):
        verbose_name = _("match")
        verbose_name_plural = _("matches")
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(state__in=MatchState.values), name="match_state_known"),
            models.CheckConstraint(
                condition=Q(quantity__gt=0, quantity__lte=F("quantity_asked")), name="match_quantity_in_range"
            ),
            models.CheckConstraint(condition=Q(quantity_lost__gte=0), name="match_lost_not_negative"),
            models.CheckConstraint(
                condition=~Q(state=MatchState.HELD) | Q(respond_by__isnull=False), name="match_held_has_deadline"
            ),
            models.CheckConstraint(
                condition=~Q(state__in=[MatchState.ACCEPTED, MatchState.DECLINED]) | Q(responded_at__isnull=False),
                name="match_answered_at_known",
            ),
            models.CheckConstraint(
                condition=~Q(state=MatchState.DECLINED) | ~Q(decline_reason=""), name="match_declined_with_reason"
            ),
            # Holds are written with ON CONFLICT on this index: it promotes a backup and leaves a hold alone.
            models.UniqueConstraint(
                fields=["demand", "offer"], condition=Q(state__in=PENDING), name="match_pending_once"
            ),
        ]
        # Every hold writes every index: none that another begins with, and none that nobody asks.
        indexes: ClassVar = [
            models.Index(fields=["demand", "state"], name="match_by_demand"),
            models.Index(fields=["offer", "state"], name="match_by_offer"),
            # Partial indexes are the queues of the sweep: they hold only rows that wait, however long the table grows.
            models.Index(fields=["respond_by"], condition=Q(state=MatchState.HELD), name="match_deadlines"),
            # Partners pull changes in this order.
            models.Index(fields=["updated_at", "id"], name="match_by_change"),
            models.Index(fields=["id"], condition=Q(withdrawal_notice_pending=True), name="match_withdrawal_queue"),
            # What suppliers said of a kind of need, from the latest back: older noes count for nothing.
            models.Index(
                fields=["updated_at"],
                condition=Q(state=MatchState.DECLINED, decline_reason__in=GENERAL_REASONS),
                name="match_recent_noes",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.demand} ← {self.offer}"

    @property
    def terms(self) -> Reasons:
        return self.terms_before if self.packed_terms is None else self.packed_terms

    @terms.setter
    def terms(self, reasons: Reasons) -> None:
        self.packed_terms = reasons

    @staticmethod
    def terms_expression() -> Coalesce:
        """The same, where rows are read without models."""
        return Coalesce("packed_terms", Cast("terms_before", ReasonsField()))

    @property
    def less_would_do(self) -> int | None:
        """The trial lot, where a need of unknown quantity takes more to reach the supplier's minimum order."""
        lot = self.demand.item.trial_lot
        return lot if self.demand.quantity is None and lot < self.quantity <= self.offer.minimum_order else None

    @property
    def is_contact_revealed(self) -> bool:
        return self.state == MatchState.ACCEPTED
