"""What is needed: one row is one line of a post."""

import datetime as dt
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Self

import pgtrigger
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Coalesce, Upper
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Organisation, User
from apps.catalogue.models import Item, Region, Standard
from apps.catalogue.units import MAX_QUANTITY
from apps.core.posts import BLOCKED, RETURNED, RETURNED_AND_AMENDED, Post, PostQuerySet, awaits_review
from apps.core.quantities import DerivedQuantity
from apps.core.states import may_move
from apps.core.triggers import Trigger
from apps.demands import clocks
from apps.policy.values import PolicyValues


class DemandState(models.TextChoices):
    DRAFT = "draft", _("Draft")
    OPEN = "open", _("Open")
    MATCHED = "matched", _("Matched")
    FULFILLED = "fulfilled", _("Received")
    PAUSED = "paused", _("Paused")
    STALE = "stale", _("Suspended: nobody confirmed it")
    CANCELLED = "cancelled", _("Cancelled")


class QuantityKind(models.TextChoices):
    EXACT = "exact", _("exactly")
    ESTIMATE = "estimate", _("about")
    AT_LEAST = "at_least", _("at least")
    UNSPECIFIED = "unspecified", _("not known yet")


class Urgency(models.TextChoices):
    EMERGENCY = "emergency", _("Emergency")
    URGENT = "urgent", _("Urgent")
    ROUTINE = "routine", _("Routine")


URGENCY_RANK: Final = {Urgency.EMERGENCY: 0, Urgency.URGENT: 1, Urgency.ROUTINE: 2}


# Days of supply of a need whose requester did not say: more than the column holds, so unknown ones come last.
SUPPLY_UNKNOWN: Final = 32_767
# Of needs whose clock began to run before the tier was kept. Nobody is put back for that.
TIER_UNKNOWN: Final = 1

_URGENCY: Final = Case(*(When(urgency=urgency, then=rank) for urgency, rank in URGENCY_RANK.items()))
_TIER: Final = Coalesce("tier", Value(TIER_UNKNOWN))
_SUPPLY: Final = Coalesce("days_of_supply", Value(SUPPLY_UNKNOWN))


class DemandStateCode(models.TextChoices):
    """Why a need is in its state.

    For a draft, only the code tells what it waits for. A draft without a code was never sent out.
    """

    QUANTITY_UNUSUAL = "quantity_unusual", _("This quantity is unusual. A coordinator will review it first.")
    APPROVAL_REQUIRED = (
        "approval_required",
        _("In this region a coordinator reviews every need before it goes out."),
    )
    BLOCKED = BLOCKED, _("A coordinator blocked it after a report.")
    RETURNED = RETURNED, _("A coordinator returned it.")
    RETURNED_AND_AMENDED = RETURNED_AND_AMENDED, _("A coordinator returned it; it was changed since.")
    ORGANISATION_UNVERIFIED = "organisation_unverified", _("It goes out as soon as the organisation is verified.")
    NOBODY_CONFIRMED = "nobody_confirmed", _("Nobody confirmed that this is still needed.")


_REVIEWED: Final = (DemandStateCode.QUANTITY_UNUSUAL, DemandStateCode.APPROVAL_REQUIRED)
# A draft that a coordinator has to look at before it goes out.
AWAITS_REVIEW: Final = awaits_review(_REVIEWED)


class DemandQuerySet(PostQuerySet["Demand"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        if not user.is_authenticated:
            return self.none()
        return self.filter(user.visibility("organisation", "region"))

    def open(self) -> Self:
        return self.filter(state=DemandState.OPEN)

    def short(self) -> Self:
        """Needs of which something remains: asked for, not held and not accepted."""
        return self.alias(still_remaining=Demand.quantity_remaining.expression()).filter(still_remaining__gt=0)

    def most_pressing_first(self, since: str = "review_requested_at") -> Self:
        """By urgency, tier, days of supply and how long they have waited `since` a time: the order of the desk.

        The index `demand_most_pressing` is in this order.
        """
        ranked = self.alias(urgency_rank=_URGENCY, tier_rank=_TIER, supply_left=_SUPPLY)
        return ranked.order_by("urgency_rank", "tier_rank", "supply_left", since, "pk")

    def escalated(self) -> Self:
        """Open needs that suppliers did not cover in time, and of which a coordinator was told."""
        return self.open().filter(escalation_level__gt=0)

    def escalation_due(self, now: dt.datetime) -> Self:
        """Needs whose time ran out before they were covered, or before a coordinator reviewed them."""
        return self.filter(Q(state=DemandState.OPEN) | AWAITS_REVIEW, escalates_at__lte=now)

    def to_be_asked(self, now: dt.datetime) -> Self:
        return self.open().filter(ask_at__lte=now, asked_at=None)

    def gone_stale(self, now: dt.datetime) -> Self:
        """Needs that nobody confirmed in time, although their owners were asked and had time to answer."""
        # The question may go out late, after a failure of the worker. The time to answer counts from the question.
        time_to_answer = F("stale_at") - F("ask_at")
        return self.open().alias(answer_by=F("asked_at") + time_to_answer).filter(stale_at__lte=now, answer_by__lte=now)

    def shown(self) -> Self:
        """With what every page and export shows of a demand, in one query."""
        return self.select_related("organisation", "item__unit", "standard", "region")


class Demand(Post):
    """One item that one organisation needs at one place. The lines of one post share a `reference`."""

    reference = models.CharField(_("reference"), max_length=20, editable=False)
    # `db_index=False`: either a compound index in `Meta` begins with the column, or nothing is looked up by it.
    organisation = models.ForeignKey(
        Organisation, models.PROTECT, db_index=False, related_name="demands", verbose_name=_("organisation")
    )
    posted_by = models.ForeignKey(
        User, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("posted by")
    )
    item = models.ForeignKey(Item, models.PROTECT, db_index=False, related_name="demands", verbose_name=_("item"))
    quantity = models.BigIntegerField(_("quantity"), null=True, blank=True)
    quantity_kind = models.CharField(
        _("quantity is"), max_length=12, choices=QuantityKind.choices, default=QuantityKind.EXACT
    )
    # Counters of matches and deliveries. They stand in the row, so that one conditional UPDATE can check and change
    # them.
    quantity_held = models.BigIntegerField(_("asked of suppliers"), default=0, editable=False)
    quantity_matched = models.BigIntegerField(_("accepted by suppliers"), default=0, editable=False)
    quantity_received = models.BigIntegerField(_("received"), default=0, editable=False)
    # Sought of an unknown quantity where the trial lot is below every minimum order; null: the trial lot is sought.
    trial_quantity = models.BigIntegerField(_("trial quantity"), null=True, editable=False)
    standard = models.ForeignKey(
        Standard, models.PROTECT, db_index=False, null=True, blank=True, related_name="+", verbose_name=_("standard")
    )
    accepts_substitutes = models.BooleanField(_("substitutes are welcome"), default=False)
    region = models.ForeignKey(Region, models.PROTECT, db_index=False, related_name="+", verbose_name=_("region"))
    address = models.CharField(_("delivery address"), max_length=300, blank=True)
    contact_name = models.CharField(_("contact person"), max_length=100, blank=True)
    contact_phone = models.CharField(_("contact phone"), max_length=60, blank=True)
    needed_by = models.DateTimeField(_("needed by"), null=True, blank=True)
    urgency = models.CharField(_("urgency"), max_length=10, choices=Urgency.choices, default=Urgency.URGENT)
    days_of_supply = models.PositiveSmallIntegerField(
        _("days of supply left"), null=True, blank=True, help_text=_("How many days your stock will last.")
    )
    note = models.TextField(_("note"), max_length=2000, blank=True)

    state = models.CharField(
        _("state"), max_length=10, choices=DemandState.choices, default=DemandState.DRAFT, editable=False
    )
    state_code = models.CharField(
        _("reason"), max_length=30, choices=DemandStateCode.choices, blank=True, editable=False
    )
    opened_at = models.DateTimeField(_("opened"), null=True, blank=True, editable=False)
    # Clocks. The services set them from the urgency, so that a sweep is one comparison with an index.
    escalates_at = models.DateTimeField(null=True, blank=True, editable=False)
    # When the clock of escalation started. After each new start the nearest coordinator is notified first again.
    escalating_since = models.DateTimeField(null=True, blank=True, editable=False)
    # How many coordinators were told since then that suppliers did not cover it. A trigger of matching counts them.
    escalation_level = models.PositiveSmallIntegerField(_("coordinators told"), db_default=0, editable=False)
    # The tier of its requester, by the policy, when the clock of escalation started. Waiting does not lift it, because
    # the desk orders by waiting anyway.
    tier = models.PositiveSmallIntegerField(_("tier"), null=True, blank=True, editable=False)
    ask_at = models.DateTimeField(null=True, blank=True, editable=False)
    stale_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = DemandQuerySet.as_manager()

    # What matching aims at: what is requested, or where that is not known yet a trial quantity, or a trial lot.
    target = DerivedQuantity(lambda of: of.first_known("quantity", "trial_quantity", "item__trial_lot"))
    # Held or accepted: nobody else is asked for it.
    quantity_covered = DerivedQuantity(lambda of: of("quantity_held") + of("quantity_matched"))
    # Neither held nor accepted: others are asked for it.
    quantity_remaining = DerivedQuantity(
        lambda of: of.at_least_zero(
            of.first_known("quantity", "trial_quantity", "item__trial_lot")
            - of("quantity_held")
            - of("quantity_matched")
        )
    )
    # Accepted, and still to come.
    quantity_outstanding = DerivedQuantity(lambda of: of("quantity_matched") - of("quantity_received"))

    SAME: ClassVar = ("standard_id", "quantity", "quantity_kind", "needed_by", "region_id")
    LIVE: ClassVar = (DemandState.OPEN, DemandState.MATCHED, DemandState.PAUSED, DemandState.STALE)
    CODES: ClassVar = DemandStateCode
    REVIEWED: ClassVar = _REVIEWED

    MOVES: ClassVar = {
        DemandState.DRAFT: frozenset({DemandState.OPEN, DemandState.CANCELLED}),
        DemandState.OPEN: frozenset(
            {
                DemandState.MATCHED,
                DemandState.FULFILLED,
                DemandState.PAUSED,
                DemandState.STALE,
                DemandState.CANCELLED,
            }
        ),
        # Accepted goods are orders by now: a need that has them ends only by receiving or losing them.
        DemandState.MATCHED: frozenset({DemandState.OPEN, DemandState.FULFILLED}),
        DemandState.FULFILLED: frozenset({DemandState.OPEN, DemandState.MATCHED}),
        # A pause has no clock, so it never goes stale. From paused and stale a need goes back to open. `sync_state`
        # then looks at its quantities.
        DemandState.PAUSED: frozenset({DemandState.OPEN, DemandState.CANCELLED}),
        DemandState.STALE: frozenset({DemandState.OPEN, DemandState.CANCELLED}),
        DemandState.CANCELLED: frozenset(),
    }

    class Meta(Post.Meta):
        verbose_name = _("need")
        verbose_name_plural = _("needs")
        triggers: ClassVar = [
            *Post.Meta.triggers,
            Trigger(
                name="restart_escalation",
                when=pgtrigger.Before,
                operation=pgtrigger.UpdateOf("escalating_since"),  # type: ignore[no-untyped-call]  # has no types
                condition=pgtrigger.AnyChange("escalating_since"),
                func="NEW.escalation_level = 0; RETURN NEW;",
            ),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(state__in=DemandState.values), name="demand_state_known"),
            models.CheckConstraint(
                condition=Q(state_code__in=["", *DemandStateCode.values]), name="demand_state_code_known"
            ),
            models.CheckConstraint(
                condition=~AWAITS_REVIEW | Q(review_requested_at__isnull=False), name="demand_review_has_a_beginning"
            ),
            models.CheckConstraint(condition=Q(urgency__in=Urgency.values), name="demand_urgency_known"),
            models.CheckConstraint(
                condition=Q(escalates_at=None) | Q(escalating_since__isnull=False), name="demand_escalates_since"
            ),
            # An unknown quantity is unknown, and never a number that stands for it.
            models.CheckConstraint(
                condition=Q(quantity_kind__in=QuantityKind.values)
                & (
                    Q(quantity_kind=QuantityKind.UNSPECIFIED, quantity=None)
                    | (
                        ~Q(quantity_kind=QuantityKind.UNSPECIFIED)
                        & Q(quantity__isnull=False, quantity__gt=0, quantity__lte=MAX_QUANTITY)
                    )
                ),
                name="demand_quantity_honest",
            ),
            models.CheckConstraint(
                condition=Q(quantity_held__gte=0, quantity_matched__gte=0, quantity_received__gte=0),
                name="demand_quantities_not_negative",
            ),
            # Never more asked for or accepted than requested.
            models.CheckConstraint(
                condition=Q(quantity=None) | Q(quantity__gte=F("quantity_held") + F("quantity_matched")),
                name="demand_not_overserved",
            ),
            models.CheckConstraint(
                condition=Q(quantity_received__lte=F("quantity_matched")), name="demand_received_was_matched"
            ),
            models.CheckConstraint(
                condition=Q(state__in=[DemandState.DRAFT, DemandState.CANCELLED])
                | Q(opened_at__isnull=False, confirmed_at__isnull=False),
                name="demand_open_implies_opened_at",
            ),
            models.UniqueConstraint(
                fields=["source", "source_key"], condition=~Q(source=""), name="demand_imported_once"
            ),
        ]
        # The first change of a row within an hour writes every index (`HourStamped`). So no index is the beginning of
        # another, each one serves a query, and none contains a counter.
        indexes: ClassVar = [
            # People type references in lower case (`reference__iexact`).
            models.Index(Upper("reference"), name="demand_by_reference"),
            models.Index(fields=["organisation", "-id"], name="demand_by_organisation"),
            models.Index(fields=["item", "state"], name="demand_by_item"),
            models.Index(fields=["region", "state"], name="demand_by_region"),
            models.Index(fields=["updated_hour"], name="demand_by_change"),
            models.Index(
                fields=["match_requested_at"], condition=Q(match_requested_at__isnull=False), name="demand_match_queue"
            ),
            # Two partial indexes, because `escalation_due` asks for open needs or for drafts that wait for review.
            models.Index(fields=["escalates_at"], condition=Q(state=DemandState.OPEN), name="demand_escalation_clock"),
            models.Index(fields=["escalates_at"], condition=AWAITS_REVIEW, name="demand_review_clock"),
            # The most pressing of all regions first. Those of a city are few, and `demand_by_region` finds them.
            models.Index(
                _URGENCY,
                _TIER,
                _SUPPLY,
                "opened_at",
                "id",
                condition=Q(state=DemandState.OPEN, escalation_level__gt=0),
                name="demand_most_pressing",
            ),
            models.Index(fields=["opened_at", "id"], condition=Q(state=DemandState.OPEN), name="demand_by_age"),
            models.Index(fields=["stale_at"], condition=Q(state=DemandState.OPEN), name="demand_stale_clock"),
            models.Index(
                fields=["ask_at"], condition=Q(state=DemandState.OPEN, asked_at=None), name="demand_question_clock"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.reference} {self.item}"

    @property
    def urgency_rank(self) -> int:
        """0 is the most urgent."""
        return URGENCY_RANK[Urgency(self.urgency)]

    @property
    def tier_rank(self) -> int:
        return TIER_UNKNOWN if self.tier is None else self.tier

    @property
    def supply_left(self) -> int:
        """Days of supply, a great number where they are not known."""
        return SUPPLY_UNKNOWN if self.days_of_supply is None else self.days_of_supply

    @property
    def awaits_verification(self) -> bool:
        """Whether it goes out by itself once its organisation is verified."""
        # After the verification the draft may still be one, because a question about it is not answered.
        is_asked = self.state == DemandState.DRAFT and self.state_code == DemandStateCode.ORGANISATION_UNVERIFIED
        return is_asked and not self.organisation.is_verified

    @property
    def can_be_amended(self) -> bool:
        return self.state != DemandState.CANCELLED

    @property
    def can_be_confirmed(self) -> bool:
        """Whether its owner can say that it is still needed; a stale one opens again by it."""
        return self.state in {DemandState.OPEN, DemandState.STALE} and not self.is_blocked

    @property
    def can_be_paused(self) -> bool:
        return may_move(self, DemandState.PAUSED)

    @property
    def can_be_resumed(self) -> bool:
        return self.state in {DemandState.PAUSED, DemandState.STALE} and not self.is_blocked

    @property
    def can_be_cancelled(self) -> bool:
        return may_move(self, DemandState.CANCELLED)

    @property
    def contact(self) -> dict[str, str]:
        """What the other side of an accepted match gets to see: of this post, else of the organisation."""
        contact = self.organisation.contact
        return {
            "name": self.contact_name or contact["name"],
            "phone": self.contact_phone or contact["phone"],
            "email": contact["email"],
        }

    def leads_elsewhere(self, changes: Mapping[str, Any]) -> bool:
        """Whether these changes would send goods that a supplier has promised to another place or person."""
        where = ("region", "address", "contact_name", "contact_phone")
        changed = any(name in changes and changes[name] != getattr(self, name) for name in where)
        return changed and self.quantity_outstanding > 0

    def escalation_from(self, now: dt.datetime, policy: PolicyValues) -> dict[str, dt.datetime | int]:
        """The fields of the escalation clock, if it starts at `now`."""
        return {
            "escalating_since": now,
            "escalates_at": clocks.escalates_at(self.urgency, now, policy),
            "tier": policy.tier(self.organisation.kind),
        }

    def clocks_from(self, now: dt.datetime, policy: PolicyValues) -> dict[str, dt.datetime | None]:
        """The fields of the freshness clocks, if the need is confirmed at `now`."""
        return {
            "confirmed_at": now,
            "ask_at": clocks.ask_at(self.urgency, now, policy),
            "asked_at": None,
            "stale_at": clocks.stale_at(self.urgency, now, policy),
        }
