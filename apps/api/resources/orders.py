"""`/orders/`: what was promised, sent and received."""

from typing import Any, ClassVar

import django_filters as filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.permissions import Permission
from apps.api.protocol.problems import NotAllowedError
from apps.api.protocol.resource import ResourceViewSet
from apps.api.representation.answers import BaseUnitsField, FilledByViewSet, IdField, Rows, RowSerializer
from apps.api.representation.filters import (
    AnyOfFilter,
    ChangedSinceFilter,
    ItemKeyFilter,
    RegionCodeFilter,
    RelatedIdFilter,
)
from apps.api.representation.requests import InputSerializer, ReasonInputSerializer
from apps.api.representation.values import QuantityField, StrictCharField, StrictDateField
from apps.fulfilment import services
from apps.fulfilment.models import Order, OrderState, Shipment, Side


class ShipmentSerializer(RowSerializer):
    """Goods of an order that left at one time."""

    id = IdField()
    quantity = BaseUnitsField()
    carrier = serializers.CharField()
    tracking_number = serializers.CharField()
    expected_on = serializers.DateField(allow_null=True)
    shipped_at = serializers.DateTimeField()


class ShipmentListField(FilledByViewSet, serializers.ListField):
    child = ShipmentSerializer()


class OrderSerializer(RowSerializer):
    """What a supplier promised by accepting a match, and what was sent and received of it."""

    id = IdField()
    match = IdField(source="match_id")
    repeat_of = IdField(source="repeat_of_id", allow_null=True)
    demand = IdField(source="match.demand_id")
    reference = serializers.CharField(source="match.demand.reference")
    requester = serializers.CharField(source="match.demand.organisation.name")
    supplier = serializers.CharField(source="match.offer.organisation.name")
    item = serializers.CharField(source="match.offer.item.key")
    unit = serializers.CharField(source="match.offer.item.unit_id")
    region = serializers.CharField(source="match.demand.region_id")
    quantity = BaseUnitsField()
    state = serializers.ChoiceField(choices=OrderState.choices)
    state_reason = serializers.CharField()
    shipments = ShipmentListField()
    quantity_received = BaseUnitsField()
    quantity_rejected = BaseUnitsField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    requester_id = IdField(source="match.demand.organisation_id")
    supplier_id = IdField(source="match.offer.organisation_id")
    unit_price = serializers.DecimalField(
        max_digits=14,
        decimal_places=4,
        allow_null=True,
        help_text="Agreed when the order was made; 0 for a donation, null where the offer named none.",
    )
    currency = serializers.CharField(help_text="Of the price; empty without one.")
    redirected_at = serializers.DateTimeField(
        allow_null=True, help_text="When the requester last changed where the goods go or whom to call, if ever."
    )


class NewShipmentSerializer(InputSerializer):
    """Goods that have left."""

    EXAMPLE: ClassVar = {"quantity": 600, "carrier": "SF Express", "tracking_number": "SF1234567890"}

    quantity = QuantityField(required=False, help_text="All that is left to send, unless less is said.")
    carrier = StrictCharField(required=False, allow_blank=True, max_length=100)
    tracking_number = StrictCharField(required=False, allow_blank=True, max_length=100)
    expected_on = StrictDateField(required=False, allow_null=True)


class ReceiptSerializer(InputSerializer):
    """What the requester took in at one time, and what of it was rejected."""

    EXAMPLE: ClassVar = {"quantity_accepted": 590, "quantity_rejected": 10, "reason": "torn"}

    quantity_accepted = QuantityField(min_value=0)
    quantity_rejected = QuantityField(required=False, min_value=0)
    reason = StrictCharField(required=False, allow_blank=True, max_length=500, help_text="Why some were rejected.")


class CancellationSerializer(ReasonInputSerializer):
    """Why an order is cancelled, and for which side."""

    EXAMPLE: ClassVar = {"reason": "The lorry broke down.", "on_behalf_of": "supplier"}

    on_behalf_of = serializers.ChoiceField(
        choices=Side.choices,
        required=False,
        help_text="Whose decision it is; for coordinators, who act for either side. Otherwise the side of the caller.",
    )


class RepeatOrderSerializer(InputSerializer):
    """How much is ordered again."""

    EXAMPLE: ClassVar = {"quantity": 2000}

    quantity = QuantityField()


class OrderFilterSet(filters.FilterSet):
    state = AnyOfFilter(choices=OrderState.choices, label="In one of these states.")
    item = ItemKeyFilter(field_name="match__offer__item")
    region = RegionCodeFilter(field_name="match__demand__region")
    match = RelatedIdFilter(field_name="match")
    demand = RelatedIdFilter(field_name="match__demand")
    updated_since = ChangedSinceFilter()

    class Meta:
        model = Order
        fields: ClassVar[list[str]] = []


def fill_orders(rows: Rows) -> None:
    """The shipments of each order, by one query for the whole page."""
    by_order: dict[int, Rows] = {int(row["id"]): [] for row in rows}
    sent = Shipment.objects.filter(order__in=by_order).order_by("pk")
    for (order_id,), shipment in ShipmentSerializer.read(sent, "order_id"):
        by_order[order_id].append(shipment)
    for row in rows:
        row["shipments"] = by_order[int(row["id"])]


class OrderViewSet(ResourceViewSet):
    """Orders: what a supplier has promised and a requester expects."""

    shown = OrderSerializer
    filterset_class = OrderFilterSet

    def get_queryset(self) -> QuerySet[Order]:
        if self.action == "list":
            return Order.objects.listed_for(self.request.user)
        return Order.objects.visible_to(self.request.user)

    def complete(self, rows: Rows) -> None:
        fill_orders(rows)

    def order(self, *, requester: bool = False, supplier: bool = False) -> Order:
        """The order, if the caller may act for one of the sides named."""
        order: Order = self.get_object()
        # The organisations and not the user's role decide, so a coordinator of either region may act too.
        allowed = []
        if requester:
            allowed.append((Permission.POST_DEMANDS, order.match.demand.organisation))
        if supplier:
            allowed.append((Permission.PUBLISH_OFFERS, order.match.offer.organisation))
        self.require_one(allowed)
        return order

    @extend_schema(request=NewShipmentSerializer, responses=OrderSerializer)
    @action(detail=True, methods=["post"])
    def ship(self, _request: Request, **_kwargs: Any) -> Response:
        """Say that all of the order has left, or a part."""
        order = self.order(supplier=True)
        services.ship_order(order, by=self.user, **self.taken(NewShipmentSerializer))
        return self.answer(order.pk)

    @extend_schema(request=ReceiptSerializer, responses=OrderSerializer)
    @action(detail=True, methods=["post"])
    def deliver(self, _request: Request, **_kwargs: Any) -> Response:
        """Say how much came, how much of it was rejected, and why."""
        order = self.order(requester=True)
        services.deliver_order(order, by=self.user, **self.taken(ReceiptSerializer))
        return self.answer(order.pk)

    @extend_schema(request=CancellationSerializer, responses=OrderSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, _request: Request, **_kwargs: Any) -> Response:
        """Cancel an order of which nothing was sent. A coordinator says for whom, else it is the requester."""
        order = self.order(requester=True, supplier=True)
        given = self.taken(CancellationSerializer)
        # A coordinator may act for both sides. Whose decision it was counts in the supplier's record, so it can be
        # said.
        sides = services.sides_of(order, self.user)
        side = Side(given.pop("on_behalf_of", sides[0]))
        if side not in sides:
            raise NotAllowedError
        services.cancel_order(order, by=self.user, side=side, **given)
        return self.answer(order.pk)

    @extend_schema(request=ReasonInputSerializer, responses=OrderSerializer)
    @action(detail=True, methods=["post"])
    def close(self, _request: Request, **_kwargs: Any) -> Response:
        """Close an order: nothing more is expected, and what is outstanding is sought anew."""
        order = self.order(requester=True)
        services.close_order(order, by=self.user, **self.taken(ReasonInputSerializer))
        return self.answer(order.pk)

    @extend_schema(request=RepeatOrderSerializer, responses={201: OrderSerializer})
    @action(detail=True, methods=["post"])
    def repeat(self, _request: Request, **_kwargs: Any) -> Response:
        """Order the same goods of the same supplier again. The answer is the new order."""
        order = self.order(requester=True)
        again = services.repeat_order(order, by=self.user, **self.taken(RepeatOrderSerializer))
        return self.answer(again.pk, status=201)
