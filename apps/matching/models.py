"""Matches, escalations, and replays of what would have been."""

import datetime as dt
from typing import Any, ClassVar, Final, Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Organisation, User
from apps.catalogue.models import Item
from apps.core.models import OrderedUpdateQuerySet, TimeStamped
from apps.demands.models import Demand
from apps.matching.allocation.shortage import Shortage
from apps.matching.scoring.eligibility import OF_SHORTAGES, Reason
from apps.policy.models import PolicyDraft
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


class MatchQuerySet(OrderedUpdateQuerySet["Match"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Both sides see a match, and so does who watches the region of the need.

        A supplier that was never asked does not see that it is, or was, a backup.
        """
        if not user.is_authenticated:
            return self.none()
        asked = user.visibility("offer__organisation", "offer__origin_region") & WAS_ASKED
        return self.filter(user.visibility("demand__organisation", "demand__region") | asked)

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
    terms: models.JSONField[list[dict[str, Any]], list[dict[str, Any]]] = models.JSONField(_("reasons"), default=list)
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
            models.Index(
                fields=["offer"],
                condition=Q(state=MatchState.DECLINED, decline_reason__in=GENERAL_REASONS),
                name="match_lessons",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.demand} ← {self.offer}"

    @property
    def is_contact_revealed(self) -> bool:
        return self.state == MatchState.ACCEPTED


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


class Escalation(TimeStamped):
    """A need whose clock ran out, put before a coordinator with all that was tried; or one that nobody looked at in
    time (`for_approval`), put before the coordinator above those who were asked to.
    """

    demand = models.ForeignKey(Demand, models.PROTECT, related_name="escalations", verbose_name=_("need"))
    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="+", verbose_name=_("coordinator"))
    level = models.PositiveSmallIntegerField(_("level"), help_text=_("1 is the nearest coordinator."))
    tried: models.JSONField[dict[str, int], dict[str, int]] = models.JSONField(_("what was tried"), default=dict)
    for_approval = models.BooleanField(_("awaits review"), default=False)
    # Which run of the clock of the need this belongs to: `Demand.escalating_since` at the time.
    since = models.DateTimeField(editable=False)

    objects = EscalationQuerySet.as_manager()

    class Meta(TimeStamped.Meta):
        verbose_name = _("escalation")
        verbose_name_plural = _("escalations")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["demand", "organisation", "for_approval", "since"], name="escalation_once")
        ]

    def __str__(self) -> str:
        return f"{self.demand} → {self.organisation}"


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


class ReplayState(models.TextChoices):
    WAITING = "waiting", _("Waiting")
    RUNNING = "running", _("Running")
    DONE = "done", _("Done")
    FAILED = "failed", _("Failed")


class ReplayQuerySet(models.QuerySet["Replay"]):
    def due(self, now: dt.datetime) -> Self:
        """Nobody is at work on it, or whoever was has died."""
        # A claim is a lease: a worker that died loses it when its time is over.
        unclaimed = Q(claimed_until=None) | Q(claimed_until__lt=now)
        return self.filter(unclaimed, state__in=[ReplayState.WAITING, ReplayState.RUNNING])

    def over(self) -> Self:
        return self.filter(state__in=[ReplayState.DONE, ReplayState.FAILED])


class Replay(TimeStamped):
    """The needs of some days served once more, under the policy in force and under a draft: what would have been.

    Items that are linked by substitutes are a group; groups are replayed one by one, and what came of one is kept at
    once, so a worker that dies loses one group.
    """

    draft = models.ForeignKey(PolicyDraft, models.CASCADE, related_name="replays", verbose_name=_("draft"))
    # A copy, because the draft may be edited while it is replayed.
    settings: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(_("settings of the draft"))
    policy_version = models.PositiveIntegerField(_("compared with version"))
    requested_by = models.ForeignKey(User, models.PROTECT, related_name="+", verbose_name=_("by"))
    since = models.DateTimeField(_("from"))
    until = models.DateTimeField(_("until"))

    state = models.CharField(_("state"), max_length=10, choices=ReplayState.choices, default=ReplayState.WAITING)
    groups: models.JSONField[Any, Any] = models.JSONField(_("groups of items"), null=True, default=None)
    groups_done = models.PositiveIntegerField(_("groups done"), default=0)
    needs = models.PositiveIntegerField(_("needs"), default=0)
    left_out = models.PositiveIntegerField(_("needs left out"), default=0)
    apart = models.PositiveIntegerField(_("times that too much competed to be decided together"), default=0)
    differing = models.PositiveIntegerField(_("needs served otherwise"), default=0)
    totals: models.JSONField[Any, Any] = models.JSONField(_("sums"), default=dict)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    claimed_until = models.DateTimeField(null=True, blank=True, editable=False)

    objects = ReplayQuerySet.as_manager()

    MOVES: ClassVar = {
        ReplayState.WAITING: frozenset({ReplayState.RUNNING, ReplayState.FAILED}),
        ReplayState.RUNNING: frozenset({ReplayState.DONE, ReplayState.FAILED}),
        ReplayState.DONE: frozenset(),
        ReplayState.FAILED: frozenset(),
    }

    class Meta(TimeStamped.Meta):
        verbose_name = _("replay of a draft")
        verbose_name_plural = _("replays of a draft")
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(state__in=ReplayState.values), name="replay_state_known"),
            models.CheckConstraint(condition=Q(since__lt=F("until")), name="replay_since_before_until"),
            models.CheckConstraint(condition=Q(differing__lte=F("needs")), name="replay_differing_of_needs"),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["id"], condition=Q(state__in=[ReplayState.WAITING, ReplayState.RUNNING]), name="replay_queue"
            )
        ]

    def __str__(self) -> str:
        return f"{self.draft} {self.since:%Y-%m-%d}"

    @property
    def is_over(self) -> bool:
        return self.state in {ReplayState.DONE, ReplayState.FAILED}

    @property
    def groups_in_all(self) -> int:
        return len(self.groups or ())


class ReplayedNeedQuerySet(models.QuerySet["ReplayedNeed"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        if not user.is_authenticated:
            return self.none()
        return self.filter(user.visibility("demand__organisation", "demand__region"))


class ReplayedNeed(models.Model):
    """A need that would have been served otherwise. Each side is a list of `[offer, quantity, hours after posting]`."""

    replay = models.ForeignKey(Replay, models.CASCADE, related_name="replayed", verbose_name=_("replay"))
    demand = models.ForeignKey(Demand, models.CASCADE, related_name="+", verbose_name=_("need"))
    before: models.JSONField[list[Any], list[Any]] = models.JSONField(_("under the policy in force"))
    after: models.JSONField[list[Any], list[Any]] = models.JSONField(_("under the draft"))

    objects = ReplayedNeedQuerySet.as_manager()

    class Meta:
        verbose_name = _("need replayed")
        verbose_name_plural = _("needs replayed")
        constraints: ClassVar = [models.UniqueConstraint(fields=["replay", "demand"], name="replayed_once")]
        indexes: ClassVar = [models.Index(fields=["replay", "-id"], name="replayed_by_replay")]

    def __str__(self) -> str:
        return f"{self.replay}: {self.demand}"


class SupplierRecord(models.Model):
    """What became of a supplier's promises in the last half year, as last counted."""

    organisation = models.OneToOneField(Organisation, models.CASCADE, primary_key=True, related_name="record")
    kept = models.PositiveIntegerField(_("kept"))
    broken = models.PositiveIntegerField(_("broken"))
    # Those of the broken ones that a requester had relied on.
    called_off = models.PositiveIntegerField(_("called off after acceptance"), db_default=0)
    failed = models.PositiveIntegerField(_("failed deliveries"), db_default=0)
    counted_at = models.DateTimeField(_("counted"))

    class Meta:
        verbose_name = _("record of a supplier")
        verbose_name_plural = _("records of suppliers")

    def __str__(self) -> str:
        return f"{self.organisation}: {self.kept} / {self.broken}"


class ReferencePrice(models.Model):
    """What an item usually costs: the median unit price of its published offers, as last taken.

    Only offers in the currency of most of them count, and no price in another currency is compared with it.
    """

    item = models.OneToOneField(Item, models.CASCADE, primary_key=True, related_name="reference_price")
    price = models.FloatField(_("price per unit"))
    currency = models.CharField(_("currency"), max_length=3, default="CNY")
    taken_at = models.DateTimeField(_("taken"))

    class Meta:
        verbose_name = _("reference price")
        verbose_name_plural = _("reference prices")

    def __str__(self) -> str:
        return f"{self.item}: {self.price} {self.currency}"


class IndexCell(models.Model):
    """The offers of one item from one city, and how good the best of them can be.

    Bounds are never too low. `search.offer_index` is the only writer of cells and of what is in them: it makes the
    bounds of a cell anew from its offers, in the transaction that changes one of them.
    """

    item = models.ForeignKey(Item, models.CASCADE, db_index=False, related_name="+")
    city = models.CharField(max_length=10, blank=True, db_collation="C")  # empty: places without coordinates
    policy_version = models.PositiveIntegerField()  # whose weights its keys were made with
    best_key = models.FloatField()
    soonest = models.PositiveSmallIntegerField()  # the fewest days of lead time
    # The box around its offers, on the unit sphere. Null: places without coordinates.
    min_x, max_x = models.FloatField(null=True), models.FloatField(null=True)
    min_y, max_y = models.FloatField(null=True), models.FloatField(null=True)
    min_z, max_z = models.FloatField(null=True), models.FloatField(null=True)

    class Meta:
        verbose_name = _("cell of the offer index")
        verbose_name_plural = _("cells of the offer index")
        constraints: ClassVar = [models.UniqueConstraint(fields=["item", "city"], name="index_cell_once")]

    def __str__(self) -> str:
        return f"{self.item_id} / {self.city}"


class IndexedOffer(models.Model):
    """A published offer as the search for the best offers sees it: what its bound is made of.

    A copy that may be out of date: an offer that has changed since is noted (`supply.OfferChange`), and until it is
    indexed anew the search looks at it without a bound.

    `key` is the part of the score that does not depend on the need: the weighted steady terms, and freshness with the
    time of confirmation instead of the age, which orders offers the same at any time.
    """

    offer = models.OneToOneField(Offer, models.CASCADE, primary_key=True, related_name="indexed")
    # Copied from an offer, whose own foreign key guards it. `offer_index` is the only writer.
    item = models.ForeignKey(Item, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    city = models.CharField(max_length=10, blank=True, db_collation="C")
    key = models.FloatField()
    # Freshness ends at 0, which a key cannot say: from then on the key is too low.
    good_until = models.DateTimeField()
    quantity = models.BigIntegerField()  # all that is offered: what is free changes with every hold
    minimum_order = models.BigIntegerField()
    areas = models.BigIntegerField()  # one bit for each region shipped to; -1: anywhere. Regions share bits.
    lead_time_days = models.PositiveSmallIntegerField()
    # On the unit sphere; null where the place has no coordinates.
    x, y, z = models.FloatField(null=True), models.FloatField(null=True), models.FloatField(null=True)
    standard_id = models.BigIntegerField(null=True)

    class Meta:
        verbose_name = _("indexed offer")
        verbose_name_plural = _("indexed offers")
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(quantity__gte=0), name="indexed_offer_quantity_in_range")
        ]
        indexes: ClassVar = [
            # The search reads this index and not the table. What may be null comes last: the columns before it are
            # read quickly.
            models.Index(
                fields=["item", "city", "-key"],
                include=[
                    *("offer", "quantity", "minimum_order", "areas", "lead_time_days"),
                    *("x", "y", "z", "standard_id"),
                ],
                name="indexed_offer_best_first",
            ),
            models.Index(fields=["item", "good_until"], name="indexed_offer_by_end"),
        ]

    def __str__(self) -> str:
        return str(self.offer_id)
