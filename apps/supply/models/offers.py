"""What is offered: one row is one item of one supplier at one place."""

import datetime as dt
from decimal import Decimal
from typing import Any, ClassVar, Final, Self

import pgtrigger
from django.contrib.auth.models import AnonymousUser
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Organisation, User
from apps.catalogue.models import Item, Region, Standard
from apps.catalogue.units import MAX_QUANTITY
from apps.core.posts import BLOCKED, RETURNED, RETURNED_AND_AMENDED, Post, PostQuerySet, awaits_review
from apps.core.quantities import DerivedQuantity
from apps.core.states import may_move
from apps.core.triggers import Trigger
from apps.policy.values import PolicyValues


class OfferState(models.TextChoices):
    DRAFT = "draft", _("Draft")
    PUBLISHED = "published", _("Published")
    PAUSED = "paused", _("Paused")
    STALE = "stale", _("Suspended: nobody confirmed it")
    WITHDRAWN = "withdrawn", _("Withdrawn")


class OfferStateCode(models.TextChoices):
    """Why an offer is in its state, where nobody typed why. For a draft, only the code tells what it waits for."""

    QUANTITY_UNUSUAL = "quantity_unusual", _("This quantity is unusual. A coordinator will look at it.")
    PRICE_UNUSUAL = "price_unusual", _("This price is unusual. A coordinator will look at it.")
    CERTIFICATE_DOUBTFUL = (
        "certificate_doubtful",
        _("This certificate is doubtful. A coordinator will look at it."),
    )
    BLOCKED = BLOCKED, _("A coordinator blocked it after a report.")
    RETURNED = RETURNED, _("A coordinator returned it.")
    RETURNED_AND_AMENDED = RETURNED_AND_AMENDED, _("A coordinator returned it; it was changed since.")
    NOBODY_CONFIRMED = "nobody_confirmed", _("Nobody confirmed that this is still there.")
    GOODS_GONE = "goods_gone", _("You said that the goods are gone.")
    CAPACITY_UNKNOWN = "capacity_unknown", _("The board does not say how much can be made in a day.")


_REVIEWED: Final = (
    OfferStateCode.QUANTITY_UNUSUAL,
    OfferStateCode.PRICE_UNUSUAL,
    OfferStateCode.CERTIFICATE_DOUBTFUL,
)

# The offers of which `unanswered` finds those that were asked long ago.
_ASKED_OR_STALE: Final = Q(state=OfferState.STALE) | Q(state=OfferState.PUBLISHED, asked_at__isnull=False)

# The states from which goods can be ordered again. A pause only keeps new requests away. The goods of a stale offer may
# be gone, so its supplier confirms it first.
REPEATABLE: Final = (OfferState.PUBLISHED, OfferState.PAUSED)


# The columns of which the offer index of matching keeps copies. A change of one of them is noted (`OfferChange`), so a
# new field that the index copies must be added here. `quantity_reserved` is left out, as every hold changes it.
NOTED_COLUMNS: Final = (
    "state",
    "item_id",
    "organisation_id",
    "standard_id",
    "quantity",
    "minimum_order",
    "lead_time_days",
    "unit_price",
    "currency",
    "is_donation",
    "origin_region_id",
    "ships_to",
    "confirmed_at",
)

_NOTE_CHANGE: Final = """
    INSERT INTO supply_offerchange (offer_id, item_id, changed_at)
    VALUES (NEW.id, NEW.item_id, clock_timestamp())
    ON CONFLICT (offer_id) DO UPDATE SET item_id = excluded.item_id, changed_at = excluded.changed_at;
    RETURN NULL;
"""


class OfferQuerySet(PostQuerySet["Offer"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        if not user.is_authenticated:
            return self.none()
        return self.filter(user.visibility("organisation", "origin_region"))

    def published(self) -> Self:
        return self.filter(state=OfferState.PUBLISHED)

    def repeatable(self) -> Self:
        """Offers from which a requester with an accepted match may order again."""
        return self.filter(state__in=REPEATABLE).exclude(state_code=BLOCKED)

    def to_be_asked(self, now: dt.datetime, policy: PolicyValues) -> Self:
        return self.published().filter(asked_at=None, confirmed_at__lte=now - policy.offer_asks_after)

    def gone_stale(self, now: dt.datetime, policy: PolicyValues) -> Self:
        """Offers that nobody confirmed in time, although their suppliers were asked and had time to answer.

        The time to answer counts from the question. So a policy that shortens the clocks suspends no offer unasked.
        """
        return self.published().filter(
            confirmed_at__lte=now - policy.offer_stale_after, asked_at__lte=now - policy.offer_answer_within
        )

    def unanswered(self, asked_before: dt.datetime) -> Self:
        """Offers that nobody confirmed: those that were suspended, and those whose suppliers were asked before then."""
        return self.filter(Q(state=OfferState.STALE) | Q(state=OfferState.PUBLISHED, asked_at__lte=asked_before))

    def escalation_due(self, now: dt.datetime) -> Self:
        """Drafts that nobody has reviewed by the time of their clock."""
        return self.awaiting_review().filter(escalates_at__lte=now)

    def shown(self) -> Self:
        """With what every page and export shows of an offer, in one query."""
        return self.select_related("organisation", "item__unit", "standard", "origin_region")


class Offer(Post):
    """Goods of one supplier that can be promised: stock, or what the supplier undertakes to make."""

    # `db_index=False`: either a compound index in `Meta` begins with the column, or nothing is looked up by it.
    organisation = models.ForeignKey(
        Organisation, models.PROTECT, db_index=False, related_name="offers", verbose_name=_("organisation")
    )
    posted_by = models.ForeignKey(
        User, models.PROTECT, db_index=False, null=True, blank=True, related_name="+", verbose_name=_("posted by")
    )
    item = models.ForeignKey(Item, models.PROTECT, related_name="offers", verbose_name=_("item"))
    standard = models.ForeignKey(
        Standard, models.PROTECT, db_index=False, null=True, blank=True, related_name="+", verbose_name=_("standard")
    )
    quantity = models.BigIntegerField(_("quantity"), default=0, help_text=_("All that you offer, in base units."))
    # A counter in the row, so that one conditional UPDATE can check it and change it.
    quantity_reserved = models.BigIntegerField(_("reserved"), default=0, editable=False)
    daily_capacity = models.BigIntegerField(_("daily capacity"), null=True, blank=True)
    minimum_order = models.BigIntegerField(_("minimum order"), default=1)
    lead_time_days = models.PositiveSmallIntegerField(_("lead time in days"), default=0)
    unit_price: models.DecimalField[Decimal | None, Decimal | None] = models.DecimalField(
        _("price per unit"), max_digits=14, decimal_places=4, null=True, blank=True
    )
    currency = models.CharField(_("currency"), max_length=3, default="CNY")
    is_donation = models.BooleanField(_("donation"), default=False)
    origin_region = models.ForeignKey(
        Region, models.PROTECT, db_index=False, related_name="+", verbose_name=_("ships from")
    )
    # Codes in the row and not a table beside it: matching reads them for every offer that it looks at.
    ships_to = ArrayField(
        models.CharField(max_length=10),
        default=list,
        blank=True,
        verbose_name=_("ships to"),
        help_text=_("Region codes; empty means anywhere."),
    )
    certificate_number = models.CharField(_("certificate number"), max_length=60, blank=True)
    certificate_valid_until = models.DateField(_("certificate valid until"), null=True, blank=True)
    note = models.TextField(_("note"), max_length=2000, blank=True)

    state = models.CharField(
        _("state"), max_length=10, choices=OfferState.choices, default=OfferState.DRAFT, editable=False
    )
    state_code = models.CharField(
        _("reason"), max_length=30, choices=OfferStateCode.choices, blank=True, editable=False
    )
    published_at = models.DateTimeField(_("published"), null=True, blank=True, editable=False)
    # When the next coordinator up is told, if nobody has reviewed it. The clock runs since `review_requested_at`.
    escalates_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = OfferQuerySet.as_manager()

    # Offered and not reserved: it can still be promised.
    quantity_free = DerivedQuantity(lambda of: of("quantity") - of("quantity_reserved"))

    SAME: ClassVar = ("standard_id", "quantity", "certificate_valid_until", "origin_region_id")
    LIVE: ClassVar = (OfferState.PUBLISHED, OfferState.PAUSED, OfferState.STALE)
    CODES: ClassVar = OfferStateCode
    REVIEWED: ClassVar = _REVIEWED

    # A withdrawn offer never comes back. A supplier that has the goods again makes a new one.
    MOVES: ClassVar = {
        OfferState.DRAFT: frozenset({OfferState.PUBLISHED, OfferState.WITHDRAWN}),
        OfferState.PUBLISHED: frozenset({OfferState.PAUSED, OfferState.STALE, OfferState.WITHDRAWN}),
        OfferState.PAUSED: frozenset({OfferState.PUBLISHED, OfferState.WITHDRAWN}),
        OfferState.STALE: frozenset({OfferState.PUBLISHED, OfferState.PAUSED, OfferState.WITHDRAWN}),
        OfferState.WITHDRAWN: frozenset(),
    }

    class Meta(Post.Meta):
        verbose_name = _("offer")
        verbose_name_plural = _("offers")
        triggers: ClassVar = [
            *Post.Meta.triggers,
            # Triggers, because they see every way to write an offer: services, imports, the back office and SQL by
            # hand.
            Trigger(
                name="note_new",
                when=pgtrigger.After,
                operation=pgtrigger.Insert,
                condition=pgtrigger.Q(new__state=OfferState.PUBLISHED.value),
                func=_NOTE_CHANGE,
            ),
            Trigger(
                name="note_change",
                when=pgtrigger.After,
                operation=pgtrigger.UpdateOf(*NOTED_COLUMNS),  # type: ignore[no-untyped-call]  # has no types
                condition=pgtrigger.AnyChange(*NOTED_COLUMNS),
                func=_NOTE_CHANGE,
            ),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(state__in=OfferState.values), name="offer_state_known"),
            models.CheckConstraint(
                condition=Q(state_code__in=["", *OfferStateCode.values]), name="offer_state_code_known"
            ),
            models.CheckConstraint(
                condition=~awaits_review(_REVIEWED) | Q(review_requested_at__isnull=False),
                name="offer_review_has_a_beginning",
            ),
            models.CheckConstraint(
                condition=Q(quantity__gte=0, quantity__lte=MAX_QUANTITY), name="offer_quantity_in_range"
            ),
            # Never oversold, whatever a program gets wrong.
            models.CheckConstraint(
                condition=Q(quantity_reserved__gte=0, quantity_reserved__lte=F("quantity")), name="offer_not_oversold"
            ),
            models.CheckConstraint(
                condition=Q(daily_capacity=None) | Q(daily_capacity__gt=0, daily_capacity__lte=MAX_QUANTITY),
                name="offer_capacity_in_range",
            ),
            models.CheckConstraint(
                condition=Q(minimum_order__gt=0, minimum_order__lte=MAX_QUANTITY), name="offer_minimum_in_range"
            ),
            models.CheckConstraint(
                condition=Q(unit_price=None) | Q(unit_price__gte=0), name="offer_price_not_negative"
            ),
            # A draft may be incomplete, and may be withdrawn as such.
            models.CheckConstraint(
                condition=Q(state__in=[OfferState.DRAFT, OfferState.WITHDRAWN])
                | Q(published_at__isnull=False, confirmed_at__isnull=False, quantity__gt=0),
                name="offer_published_is_complete",
            ),
            models.UniqueConstraint(
                fields=["source", "source_key"], condition=~Q(source=""), name="offer_imported_once"
            ),
        ]
        # The first change of a row within an hour writes every index (`HourStamped`). So no index is the beginning of
        # another, each one serves a query, and none contains a counter.
        indexes: ClassVar = [
            models.Index(fields=["organisation", "-id"], name="offer_by_organisation"),
            models.Index(fields=["origin_region"], name="offer_by_origin"),
            models.Index(fields=["item"], condition=Q(state=OfferState.PUBLISHED), name="offer_published_by_item"),
            # Those of an item that were confirmed last: what the page of a need counts.
            models.Index(
                fields=["item", "confirmed_at"],
                condition=Q(state__in=["published", "stale", "paused"]),
                name="offer_by_confirmation",
            ),
            # The same goods of one supplier: what its no to one of them says of the others.
            models.Index(
                fields=["organisation", "item"],
                condition=Q(state=OfferState.PUBLISHED),
                name="offer_published_by_goods",
            ),
            models.Index(fields=["updated_hour"], name="offer_by_change"),
            models.Index(
                fields=["match_requested_at"], condition=Q(match_requested_at__isnull=False), name="offer_match_queue"
            ),
            models.Index(fields=["confirmed_at"], condition=Q(state=OfferState.PUBLISHED), name="offer_fresh_clock"),
            models.Index(fields=["confirmed_at", "id"], condition=_ASKED_OR_STALE, name="offer_unanswered"),
            models.Index(
                fields=["confirmed_at"],
                condition=Q(state=OfferState.PUBLISHED, asked_at=None),
                name="offer_question_clock",
            ),
            models.Index(fields=["review_requested_at"], condition=awaits_review(_REVIEWED), name="offer_review_queue"),
            models.Index(fields=["escalates_at"], condition=awaits_review(_REVIEWED), name="offer_review_clock"),
            GinIndex(fields=["ships_to"], name="offer_by_destination"),
        ]

    def __str__(self) -> str:
        return f"{self.item} – {self.organisation}"

    @property
    def can_be_amended(self) -> bool:
        return self.state != OfferState.WITHDRAWN

    @property
    def can_be_published(self) -> bool:
        return may_move(self, OfferState.PUBLISHED) and not self.is_blocked

    @property
    def can_be_confirmed(self) -> bool:
        """Whether its supplier can say that it is still available; a stale one is published again by it."""
        return self.state in {OfferState.PUBLISHED, OfferState.STALE} and not self.is_blocked

    @property
    def can_be_paused(self) -> bool:
        return may_move(self, OfferState.PAUSED) and not self.is_blocked

    @property
    def can_be_withdrawn(self) -> bool:
        return may_move(self, OfferState.WITHDRAWN)

    @property
    def is_repeatable(self) -> bool:
        return self.state in REPEATABLE and not self.is_blocked

    @property
    def asking_price(self) -> Decimal | None:
        """The price per unit: 0 for a donation, None where none is named."""
        return Decimal(0) if self.is_donation else self.unit_price

    def stale_at(self, policy: PolicyValues) -> dt.datetime | None:
        """When the offer is suspended, unless somebody confirms it before. None if it was never published."""
        if self.confirmed_at is None:
            return None
        # The later of the two, as in `gone_stale`.
        by_age = self.confirmed_at + policy.offer_stale_after
        return max(by_age, self.asked_at + policy.offer_answer_within) if self.asked_at else by_age

    def certificate_holds(self, on: dt.date) -> bool:
        """Whether the certificate, if it has an end, is still valid on that day."""
        return self.certificate_valid_until is None or self.certificate_valid_until >= on

    @property
    def contact(self) -> dict[str, Any]:
        """What the other side of an accepted match gets to see."""
        return self.organisation.contact


class OfferChange(models.Model):
    """An offer that changed and that the offer index of matching has not copied yet.

    Triggers on `Offer`, and on the regions that offers ship from, write the row. The index deletes it when its copy is
    up to date, unless the offer has changed once more.
    """

    # No constraint: only a trigger on the offer itself writes this, and a check at each commit would cost more.
    offer = models.OneToOneField(
        Offer, models.CASCADE, primary_key=True, db_constraint=False, related_name="noted_change"
    )
    item = models.ForeignKey(Item, models.DO_NOTHING, db_constraint=False, related_name="+")
    changed_at = models.DateTimeField()

    class Meta:
        verbose_name = _("change of an offer")
        verbose_name_plural = _("changes of offers")

    def __str__(self) -> str:
        return f"{self.offer_id} {self.changed_at:%Y-%m-%d %H:%M:%S}"


class OriginRegion(Region):
    """A region as the place that offers ship from. If its location is corrected, its offers count as changed.

    This is a proxy, so that a trigger on the catalogue's table is declared in the app that knows offers. The docstring
    of `Region` points to it.
    """

    class Meta:
        proxy = True
        triggers: ClassVar = [
            Trigger(
                name="note_moved_offers",
                when=pgtrigger.After,
                operation=pgtrigger.UpdateOf("latitude", "longitude", "path"),  # type: ignore[no-untyped-call]  # has no types
                condition=pgtrigger.AnyChange("latitude", "longitude", "path"),
                func="""
                    INSERT INTO supply_offerchange (offer_id, item_id, changed_at)
                    SELECT offer.id, offer.item_id, clock_timestamp() FROM supply_offer offer
                    WHERE offer.origin_region_id = NEW.code AND offer.state = 'published' ORDER BY offer.id
                    ON CONFLICT (offer_id) DO UPDATE SET changed_at = excluded.changed_at;
                    RETURN NULL;
                """,
            )
        ]
