"""Offers in the back office."""

from typing import ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from apps.accounts.admin import ReasonActionForm, WatchedAdmin, acting, do_each
from apps.supply import services
from apps.supply.models import Offer


@admin.register(Offer)
class OfferAdmin(WatchedAdmin[Offer]):
    action_form = ReasonActionForm
    actions = ("pause", "withdraw")
    list_display = (
        "item",
        "organisation",
        "quantity",
        "quantity_reserved",
        "standard",
        "origin_region",
        "state",
        "confirmed_at",
    )
    list_filter = ("state", "is_donation", ("source", admin.EmptyFieldListFilter))
    list_select_related = ("organisation", "item", "standard", "origin_region")
    search_fields = ("organisation__name", "item__name_en", "item__name_zh", "certificate_number")
    ordering: ClassVar = ("-pk",)

    @admin.action(description=_("Pause"), permissions=["operate"])
    def pause(self, request: HttpRequest, rows: QuerySet[Offer]) -> None:
        reason = request.POST.get("reason", "")
        do_each(self, request, rows, lambda row: services.pause_offer(row, by=acting(request), reason=reason))

    @admin.action(description=_("Withdraw"), permissions=["operate"])
    def withdraw(self, request: HttpRequest, rows: QuerySet[Offer]) -> None:
        reason = request.POST.get("reason", "")
        do_each(self, request, rows, lambda row: services.withdraw_offer(row, by=acting(request), reason=reason))
