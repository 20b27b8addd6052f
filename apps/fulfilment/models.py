"""Orders and what became of them."""

from collections.abc import Iterable
from decimal import Decimal
from typing import ClassVar, Self, TypeVar

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.core.models import EitherQuerySet, TimeStamped
from apps.core.quantities import DerivedQuantity
from apps.matching.models import Match


class OrderState(models.TextChoices):
    CONFIRMED = "confirmed", _("Confirmed")
    SHIPPED = "shipped", _("On the way")
    DELIVERED = "delivered", _("Delivered")
    CLOSED = "closed", _("Closed")
    CANCELLED = "cancelled", _("Cancelled")


class Side(models.TextChoices):
    """On whose behalf something is done to an order. A person may be entitled to act for several of them."""

    REQUESTER = "requester", _("The requester")
    SUPPLIER = "supplier", _("The supplier")
    COORDINATOR = "coordinator", _("Neither side: the coordinators")


def _sight(user: User) -> tuple[Q, Q]:
    """The conditions that the user sees an order as its requester, or as its supplier."""
    return (
        user.visibility("match__demand__organisation", "match__demand__region"),
        user.visibility("match__offer__organisation", "match__offer__origin_region"),
    )


class OrderQuerySet(EitherQuerySet["Order"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Both sides see an order, and who watches the region of either."""
        if not user.is_authenticated:
            return self.none()
        requester, supplier = _sight(user)
        return self.filter(requester | supplier)

    def listed_for(self, user: User | AnonymousUser) -> Self:
        """All that `visible_to` gives, for lists: whoever watches no region has few of all orders."""
        if not user.is_authenticated or user.watched_regions:
            return self.visible_to(user)
        return self.that_meet(*_sight(user))

    def of(self, organisations: Iterable[int]) -> Self:
        """Orders of which one side is among these, by key."""
        own = list(organisations)
        return self.that_meet(Q(match__demand__organisation__in=own), Q(match__offer__organisation__in=own))

    def shown(self) -> Self:
        """Fetch what every page and export shows of an order, in two queries."""
        return self.select_related(
            "match__demand__organisation",
            "match__demand__item__unit",
            "match__demand__region",
            "match__offer__organisation",
            "match__offer__item__unit",
            "match__offer__origin_region",
        ).prefetch_related("shipments")


class Order(TimeStamped):
    """A quantity that a supplier has promised and a requester expects.

    An accepted match makes the first order. A repeat is a further order of the same match. Quantities are in base
    units.
    """

    match = models.ForeignKey(Match, models.PROTECT, related_name="orders", verbose_name=_("match"))
    repeat_of = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="repeats", verbose_name=_("repeats")
    )
    placed_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    quantity = models.BigIntegerField(_("quantity"))
    quantity_received = models.BigIntegerField(_("received"), default=0)
    quantity_rejected = models.BigIntegerField(_("rejected"), default=0)
    # The price that was agreed, frozen from the offer when the order was made: 0 for a donation, None where the offer
    # named none. Later changes of the offer do not touch it.
    unit_price: models.DecimalField[Decimal | None, Decimal | None] = models.DecimalField(
        _("price per unit"), max_digits=14, decimal_places=4, null=True, blank=True, editable=False
    )
    currency = models.CharField(_("currency"), max_length=3, blank=True, default="", db_default="", editable=False)
    # When the requester last changed where the goods go or whom to call; empty if it is as the supplier accepted it.
    redirected_at = models.DateTimeField(_("goes elsewhere since"), null=True, blank=True, editable=False)
    state = models.CharField(_("state"), max_length=10, choices=OrderState.choices, default=OrderState.CONFIRMED)
    state_reason = models.CharField(_("reason"), max_length=500, blank=True)

    objects = OrderQuerySet.as_manager()

    # Neither received nor rejected yet.
    quantity_outstanding = DerivedQuantity(
        lambda of: of("quantity") - of("quantity_received") - of("quantity_rejected")
    )

    # An order that has left cannot be cancelled: it is closed short instead.
    MOVES: ClassVar = {
        # Straight to delivered, where the goods arrive before anybody has said that they were sent.
        OrderState.CONFIRMED: frozenset({OrderState.SHIPPED, OrderState.DELIVERED, OrderState.CANCELLED}),
        OrderState.SHIPPED: frozenset({OrderState.DELIVERED, OrderState.CLOSED}),
        OrderState.DELIVERED: frozenset({OrderState.CLOSED}),
        OrderState.CLOSED: frozenset(),
        OrderState.CANCELLED: frozenset(),
    }

    class Meta(TimeStamped.Meta):
        verbose_name = _("order")
        verbose_name_plural = _("orders")
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(state__in=OrderState.values), name="order_state_known"),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="order_quantity_positive"),
            models.CheckConstraint(
                condition=Q(
                    quantity_received__gte=0,
                    quantity_rejected__gte=0,
                    quantity__gte=F("quantity_received") + F("quantity_rejected"),
                ),
                name="order_received_was_ordered",
            ),
            models.CheckConstraint(
                condition=Q(unit_price=None) | Q(unit_price__gte=0) & ~Q(currency=""), name="order_price_has_currency"
            ),
            # Accepting twice, as by a double click, makes one order.
            models.UniqueConstraint(fields=["match"], condition=Q(repeat_of=None), name="order_first_once"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["match", "state"], name="order_by_match"),
            # Partners pull changes in this order.
            models.Index(fields=["updated_at", "id"], name="order_by_change"),
        ]

    def __str__(self) -> str:
        return f"{self.match} #{self.pk}"

    @property
    def quantity_shipped(self) -> int:
        """What has left the supplier, whether it arrived or not. Of an order fetched with `shown()`: no query."""
        return sum(shipment.quantity for shipment in self.shipments.all())

    @property
    def quantity_unshipped(self) -> int:
        """What the supplier has still to send."""
        return self.quantity - self.quantity_shipped

    @property
    def quantity_on_its_way(self) -> int:
        """Shipped, and neither received nor rejected. Negative where more was received than anybody said was sent."""
        return self.quantity_shipped - self.quantity_received - self.quantity_rejected


Part = TypeVar("Part", bound=models.Model)


class PartOfOrderQuerySet(models.QuerySet[Part]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Whoever sees the order sees what was sent and received of it."""
        return self.filter(order__in=Order.objects.visible_to(user))


class ShipmentQuerySet(PartOfOrderQuerySet["Shipment"]):
    pass


class DeliveryQuerySet(PartOfOrderQuerySet["Delivery"]):
    pass


class Shipment(TimeStamped):
    """A part of an order, or all of it, that has left the supplier."""

    order = models.ForeignKey(Order, models.PROTECT, related_name="shipments", verbose_name=_("order"))
    quantity = models.BigIntegerField(_("quantity"))
    carrier = models.CharField(_("carrier"), max_length=100, blank=True)
    tracking_number = models.CharField(_("tracking number"), max_length=100, blank=True)
    expected_on = models.DateField(_("expected on"), null=True, blank=True)
    shipped_at = models.DateTimeField(_("shipped"))
    shipped_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")

    objects = ShipmentQuerySet.as_manager()

    class Meta(TimeStamped.Meta):
        verbose_name = _("shipment")
        verbose_name_plural = _("shipments")
        # Partners pull changes in this order.
        indexes: ClassVar = [models.Index(fields=["updated_at", "id"], name="shipment_by_change")]
        constraints: ClassVar = [models.CheckConstraint(condition=Q(quantity__gt=0), name="shipment_quantity_positive")]

    def __str__(self) -> str:
        return f"{self.order}: {self.quantity}"


class RejectReason(models.TextChoices):
    DAMAGED = "damaged", _("Damaged")
    WRONG_ITEM = "wrong_item", _("Not what was ordered")
    STANDARD = "standard", _("Does not meet the standard")
    EXPIRED = "expired", _("Past its date")
    MISSING = "missing", _("Missing from the shipment")
    OTHER = "other", _("Another reason")


class Delivery(TimeStamped):
    """What the requester took in at one time: how much was accepted, how much rejected, and why."""

    order = models.ForeignKey(Order, models.PROTECT, related_name="deliveries", verbose_name=_("order"))
    quantity_accepted = models.BigIntegerField(_("accepted"))
    quantity_rejected = models.BigIntegerField(_("rejected"), default=0)
    reason = models.CharField(_("reason"), max_length=500, blank=True)
    received_at = models.DateTimeField(_("received"))
    received_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")

    objects = DeliveryQuerySet.as_manager()

    class Meta(TimeStamped.Meta):
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        # Partners pull changes in this order.
        indexes: ClassVar = [models.Index(fields=["updated_at", "id"], name="delivery_by_change")]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(quantity_accepted__gte=0, quantity_rejected__gte=0)
                & (Q(quantity_accepted__gt=0) | Q(quantity_rejected__gt=0)),
                name="delivery_of_something",
            ),
            # Suppliers learn from a rejection only if it says why.
            models.CheckConstraint(
                condition=Q(quantity_rejected=0) | ~Q(reason=""), name="delivery_rejected_with_reason"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.order}: {self.quantity_accepted} + {self.quantity_rejected}"


class ContactReveal(models.Model):
    """One person saw the other side's contact for the first time. Kept for good."""

    match = models.ForeignKey(Match, models.PROTECT, related_name="reveals", verbose_name=_("match"))
    user = models.ForeignKey(User, models.PROTECT, related_name="+", verbose_name=_("who"))
    at = models.DateTimeField(_("at"), db_default=models.functions.Now())

    class Meta:
        verbose_name = _("contact reveal")
        verbose_name_plural = _("contact reveals")
        constraints: ClassVar = [models.UniqueConstraint(fields=["match", "user"], name="reveal_once")]

    def __str__(self) -> str:
        return f"{self.match} → {self.user}"
