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
from apps.api.fields import Amount, Day, Filled, Id, Input, Quantity, Row, Rows, Text, Why
from apps.api.filters import ById, ByItem, InRegion, Since
from apps.api.problems import NotAllowedError
from apps.api.resource import Resource
from apps.fulfilment import services
from apps.fulfilment.models import Order, OrderState, Shipment, Side


class ShipmentRow(Row):
    id = Id()
    quantity = Amount()
    carrier = serializers.CharField()
    tracking_number = serializers.CharField()
    expected_on = serializers.DateField(allow_null=True)
    shipped_at = serializers.DateTimeField()


class Shipments(Filled, serializers.ListField):
    child = ShipmentRow()


class OrderRow(Row):
    id = Id()
    match = Id(source="match_id")
    repeat_of = Id(source="repeat_of_id", allow_null=True)
    demand = Id(source="match.demand_id")
    reference = serializers.CharField(source="match.demand.reference")
    requester = serializers.CharField(source="match.demand.organisation.name")
    supplier = serializers.CharField(source="match.offer.organisation.name")
    item = serializers.CharField(source="match.offer.item.key")
    unit = serializers.CharField(source="match.offer.item.unit_id")
    region = serializers.CharField(source="match.demand.region_id")
    quantity = Amount()
    state = serializers.ChoiceField(choices=OrderState.choices)
    state_reason = serializers.CharField()
    shipments = Shipments()
    quantity_received = Amount()
    quantity_rejected = Amount()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class Sending(Input):
    quantity = Quantity(required=False, help_text="All that is left to send, unless less is said.")
    carrier = Text(required=False, allow_blank=True, max_length=100)
    tracking_number = Text(required=False, allow_blank=True, max_length=100)
    expected_on = Day(required=False, allow_null=True)


class Receipt(Input):
    quantity_accepted = Quantity(min_value=0)
    quantity_rejected = Quantity(required=False, min_value=0)
    reason = Text(required=False, allow_blank=True, max_length=500, help_text="Why some were rejected.")


class Cancellation(Why):
    on_behalf_of = serializers.ChoiceField(
        choices=Side.choices,
        required=False,
        help_text="Whose decision it is; for coordinators, who act for either side. Otherwise the side of the caller.",
    )


class Again(Input):
    quantity = Quantity()


class OrderFilter(filters.FilterSet):
    state = filters.MultipleChoiceFilter(choices=OrderState.choices)
    item = ByItem(field_name="match__offer__item")
    region = InRegion(field_name="match__demand__region")
    match = ById(field_name="match")
    demand = ById(field_name="match__demand")
    updated_since = Since()

    class Meta:
        model = Order
        fields: ClassVar[list[str]] = []


class Orders(Resource):
    """What a supplier has promised and a requester expects."""

    shown = OrderRow
    filterset_class = OrderFilter

    def get_queryset(self) -> QuerySet[Order]:
        return Order.objects.visible_to(self.request.user)

    def complete(self, rows: Rows) -> None:
        by_order: dict[int, Rows] = {int(row["id"]): [] for row in rows}
        sent = Shipment.objects.filter(order__in=by_order).order_by("pk")
        for (order_id,), shipment in ShipmentRow.read(sent, "order_id"):
            by_order[order_id].append(shipment)
        for row in rows:
            row["shipments"] = by_order[int(row["id"])]

    def order(self, *, requester: bool = False, supplier: bool = False) -> Order:
        """The order, if the caller may act for one of the sides named."""
        order: Order = self.get_object()
        allowed = []
        if requester:
            allowed.append((Permission.POST_DEMANDS, order.match.demand.organisation))
        if supplier:
            allowed.append((Permission.PUBLISH_OFFERS, order.match.offer.organisation))
        self.require_one(allowed)
        return order

    @extend_schema(request=Sending, responses=OrderRow)
    @action(detail=True, methods=["post"])
    def ship(self, _request: Request, **_kwargs: Any) -> Response:
        """The supplier has sent all of it, or a part."""
        order = self.order(supplier=True)
        services.ship_order(order, by=self.user, **self.taken(Sending))
        return self.answer(order.pk)

    @extend_schema(request=Receipt, responses=OrderRow)
    @action(detail=True, methods=["post"])
    def deliver(self, _request: Request, **_kwargs: Any) -> Response:
        """The requester says what came, and what of it was rejected and why."""
        order = self.order(requester=True)
        services.deliver_order(order, by=self.user, **self.taken(Receipt))
        return self.answer(order.pk)

    @extend_schema(request=Cancellation, responses=OrderRow)
    @action(detail=True, methods=["post"])
    def cancel(self, _request: Request, **_kwargs: Any) -> Response:
        """Either side calls it off before anything was sent. A coordinator says for whom, else it is the requester."""
        order = self.order(requester=True, supplier=True)
        given = self.taken(Cancellation)
        sides = services.sides_of(order, self.user)
        side = Side(given.pop("on_behalf_of", sides[0]))
        if side not in sides:
            raise NotAllowedError
        services.cancel_order(order, by=self.user, side=side, **given)
        return self.answer(order.pk)

    @extend_schema(request=Why, responses=OrderRow)
    @action(detail=True, methods=["post"])
    def close(self, _request: Request, **_kwargs: Any) -> Response:
        """The requester files it: what is outstanding is wanted again."""
        order = self.order(requester=True)
        services.close_order(order, by=self.user, **self.taken(Why))
        return self.answer(order.pk)

    @extend_schema(request=Again, responses={201: OrderRow})
    @action(detail=True, methods=["post"])
    def repeat(self, _request: Request, **_kwargs: Any) -> Response:
        """Order the same of the same supplier again. The answer is the new order."""
        order = self.order(requester=True)
        again = services.repeat_order(order, by=self.user, **self.taken(Again))
        return self.answer(again.pk, status=201)
