"""What coordinators noted, in the back office, to read: it is written at the desk."""

from typing import ClassVar

from django.contrib import admin

from apps.accounts.admin import WatchedAdmin
from apps.desk.models import DeskNote, Handling


@admin.register(Handling)
class HandlingAdmin(WatchedAdmin[Handling]):
    list_display = ("demand", "owner", "since")
    list_select_related = ("demand__item", "owner")
    search_fields = ("=demand__reference",)
    ordering: ClassVar = ("-since", "-pk")


@admin.register(DeskNote)
class DeskNoteAdmin(WatchedAdmin[DeskNote]):
    list_display = ("created_at", "demand", "kind", "by", "text")
    list_filter = ("kind",)
    list_select_related = ("demand__item", "by")
    search_fields = ("=demand__reference", "text")
    ordering: ClassVar = ("-pk",)
