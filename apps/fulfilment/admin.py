"""Orders in the back office, and organisations whose suppliers are told of a new contact."""

from typing import ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from apps.accounts.admin import ReasonActionForm, WatchedAdmin, WatchedInline, acting, do_each
from apps.accounts.admin.organisations import OrganisationAdmin
from apps.accounts.models import Organisation, User
from apps.fulfilment import destinations, services
from apps.fulfilment.models import ContactReveal, Delivery, Order, Shipment, Side


def _cancel(order: Order, by: User, reason: str) -> None:
    """The back office acts for the platform: neither side answers for it."""
    services.cancel_order(order, by=by, side=Side.COORDINATOR, reason=reason)


class ShipmentInline(WatchedInline):
    model = Shipment
    fields = ("quantity", "carrier", "tracking_number", "expected_on", "shipped_at", "shipped_by")


class DeliveryInline(WatchedInline):
    model = Delivery
    fields = ("quantity_accepted", "quantity_rejected", "reason", "received_at", "received_by")


@admin.register(Order)
class OrderAdmin(WatchedAdmin[Order]):
    action_form = ReasonActionForm
    actions = ("cancel", "close")
    inlines = (ShipmentInline, DeliveryInline)
    list_display = ("pk", "match", "quantity", "quantity_received", "quantity_rejected", "state", "created_at")
    list_filter = ("state",)
    list_select_related = ("match__demand__item", "match__offer__item", "match__offer__organisation")
    search_fields = (
        "=match__demand__reference",
        "match__demand__organisation__name",
        "match__offer__organisation__name",
    )
    ordering: ClassVar = ("-pk",)

    @admin.action(description=_("Cancel, before anything has arrived"), permissions=["operate"])
    def cancel(self, request: HttpRequest, rows: QuerySet[Order]) -> None:
        reason = request.POST.get("reason", "")
        do_each(self, request, rows, lambda row: _cancel(row, acting(request), reason))

    @admin.action(description=_("Close: nothing more will come"), permissions=["operate"])
    def close(self, request: HttpRequest, rows: QuerySet[Order]) -> None:
        reason = request.POST.get("reason", "")
        do_each(self, request, rows, lambda row: services.close_order(row, by=acting(request), reason=reason))


@admin.register(ContactReveal)
class ContactRevealAdmin(WatchedAdmin[ContactReveal]):
    list_display = ("at", "user", "match")
    list_select_related = ("user", "match__demand__item", "match__offer__item", "match__offer__organisation")
    search_fields = ("user__email", "=match__demand__reference")
    ordering: ClassVar = ("-pk",)


admin.site.unregister(Organisation)


@admin.register(Organisation)
class OrderingOrganisationAdmin(OrganisationAdmin):
    """The page of `accounts`. Whoever has promised goods hears of a changed contact, as after a change on the pages."""

    amend = staticmethod(destinations.amend_organisation)
