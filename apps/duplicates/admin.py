"""Proposals and merges in the back office, to read: decisions are made at the desk."""

from typing import ClassVar

from django.contrib import admin

from apps.accounts.admin import WatchedAdmin
from apps.duplicates.models import DuplicateProposal, OrganisationMerge


@admin.register(DuplicateProposal)
class ProposalAdmin(WatchedAdmin[DuplicateProposal]):
    list_display = ("pk", "first", "second", "score", "state", "proposed_by", "decided_by", "created_at")
    list_filter = ("state",)
    list_select_related = ("first", "second", "proposed_by", "decided_by")
    search_fields = ("first__name", "second__name", "reason", "note")
    ordering: ClassVar = ("-pk",)


@admin.register(OrganisationMerge)
class MergeAdmin(WatchedAdmin[OrganisationMerge]):
    list_display = ("pk", "merged", "survivor", "with_people", "merged_by", "created_at", "undone_by", "undone_at")
    list_filter = ("with_people", "undone_at")
    list_select_related = ("merged", "survivor", "merged_by", "undone_by")
    search_fields = ("merged__name", "survivor__name", "note")
    ordering: ClassVar = ("-pk",)
