"""Needs in the back office."""

from typing import ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from apps.accounts.admin import ReasonActionForm, WatchedAdmin, acting, do_each
from apps.demands import services
from apps.demands.models import Demand


@admin.register(Demand)
class DemandAdmin(WatchedAdmin[Demand]):
    action_form = ReasonActionForm
    shows_contact = True
    actions = ("pause", "resume", "cancel")
    list_display = (
        "reference",
        "organisation",
        "item",
        "quantity",
        "quantity_matched",
        "quantity_received",
        "urgency",
        "state",
        "opened_at",
    )
    list_filter = ("state", "urgency", ("source", admin.EmptyFieldListFilter))
    list_select_related = ("organisation", "item")
    search_fields = ("=reference", "organisation__name", "item__name_en", "item__name_zh")
    ordering: ClassVar = ("-pk",)

    @admin.action(description=_("Pause"), permissions=["operate"])
    def pause(self, request: HttpRequest, rows: QuerySet[Demand]) -> None:
        reason = request.POST.get("reason", "")
        do_each(self, request, rows, lambda row: services.pause_demand(row, by=acting(request), reason=reason))

    @admin.action(description=_("Resume"), permissions=["operate"])
    def resume(self, request: HttpRequest, rows: QuerySet[Demand]) -> None:
        do_each(self, request, rows, lambda row: services.resume_demand(row, by=acting(request)))

    @admin.action(description=_("Cancel"), permissions=["operate"])
    def cancel(self, request: HttpRequest, rows: QuerySet[Demand]) -> None:
        reason = request.POST.get("reason", "")
        do_each(self, request, rows, lambda row: services.cancel_demand(row, by=acting(request), reason=reason))
