"""The outbox in the back office."""

from typing import ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from apps.accounts.admin import WatchedAdmin, acting, do_each
from apps.notifications import services
from apps.notifications.models import Message, Notification, WebhookEndpoint


@admin.register(Message)
class MessageAdmin(WatchedAdmin[Message]):
    actions = ("retry",)
    list_display = ("event", "channel", "address", "state", "attempts", "due_at", "sent_at", "error")
    list_filter = ("state", "channel")
    search_fields = ("=user__email", "endpoint__url", "uid__exact")
    ordering: ClassVar = ("-pk",)

    @admin.action(description=_("Send again what has failed"), permissions=["operate"])
    def retry(self, request: HttpRequest, rows: QuerySet[Message]) -> None:
        do_each(self, request, rows, lambda row: services.retry_message(row, by=acting(request)))


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(WatchedAdmin[WebhookEndpoint]):
    list_display = ("url", "organisation", "events", "is_active", "created_at")
    list_filter = ("is_active",)
    list_select_related = ("organisation",)
    search_fields = ("url", "organisation__name")
    exclude: ClassVar = ("secret",)
    readonly_fields = ("url",)
    actions = ("remove",)

    @admin.action(description=_("Remove, with what waits to be sent there"), permissions=["operate"])
    def remove(self, request: HttpRequest, rows: QuerySet[WebhookEndpoint]) -> None:
        do_each(self, request, rows, lambda row: services.remove_webhook(row, by=acting(request)))


@admin.register(Notification)
class NotificationAdmin(WatchedAdmin[Notification]):
    list_display = ("created_at", "user", "event", "read_at")
    list_select_related = ("user",)
    search_fields = ("=user__email",)
    ordering: ClassVar = ("-pk",)
