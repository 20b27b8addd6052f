"""Reports of abuse in the back office, to read: decisions are made at the desk."""

from typing import ClassVar

from django.contrib import admin

from apps.accounts.admin import WatchedAdmin
from apps.reports.models import AbuseReport


@admin.register(AbuseReport)
class ReportAdmin(WatchedAdmin[AbuseReport]):
    list_display = ("pk", "kind", "subject_id", "accused", "reason", "state", "measure", "created_at")
    list_filter = ("state", "reason", "kind", "measure")
    list_select_related = ("accused",)
    search_fields = ("accused__name", "note")
    ordering: ClassVar = ("-pk",)
