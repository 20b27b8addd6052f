"""Matches, escalations, contested items and levers in the back office."""

from typing import ClassVar

from django.contrib import admin

from apps.accounts.admin import WatchedAdmin
from apps.matching.models import ContestedItem, Escalation, Lever, LeverPull, Match, Replay, Shortfall


@admin.register(Match)
class MatchAdmin(WatchedAdmin[Match]):
    list_display = ("pk", "demand", "offer", "quantity", "rank", "score", "state", "respond_by", "created_at")
    list_filter = ("state", "is_substitute")
    list_select_related = ("demand__item", "offer__item", "offer__organisation")
    search_fields = ("=demand__reference", "offer__organisation__name", "demand__organisation__name")
    ordering: ClassVar = ("-pk",)


@admin.register(Escalation)
class EscalationAdmin(WatchedAdmin[Escalation]):
    list_display = ("created_at", "demand", "offer", "organisation", "level", "tried")
    list_filter = ("level",)
    list_select_related = ("demand__item", "offer__item", "offer__organisation", "organisation")
    search_fields = ("=demand__reference", "organisation__name")
    ordering: ClassVar = ("-pk",)


@admin.register(Shortfall)
class ShortfallAdmin(WatchedAdmin[Shortfall]):
    list_display = ("demand", "given", "wanting", "because", "others", "above", "decided_at")
    list_filter = ("because",)
    list_select_related = ("demand__item", "demand__organisation")
    search_fields = ("=demand__reference", "demand__organisation__name")
    ordering: ClassVar = ("-decided_at",)


@admin.register(Replay)
class ReplayAdmin(WatchedAdmin[Replay]):
    list_display = ("pk", "draft", "policy_version", "requested_by", "state", "needs", "differing", "created_at")
    list_filter = ("state",)
    list_select_related = ("draft", "requested_by")
    ordering: ClassVar = ("-pk",)


@admin.register(ContestedItem)
class ContestedItemAdmin(WatchedAdmin[ContestedItem]):
    list_display = ("item", "group", "waiting_since", "claimed_until", "slice", "last_turn_at", "gap", "holds_left")
    list_select_related = ("item",)
    search_fields = ("item__key",)
    ordering: ClassVar = ("waiting_since", "group")


@admin.register(Lever)
class LeverAdmin(WatchedAdmin[Lever]):
    list_display = ("pk", "cause", "item", "offer", "asked_standard", "offered_standard", "minimum", "suppliers")
    list_filter = ("cause",)
    list_select_related = ("item", "offer__item", "offer__organisation", "asked_standard", "offered_standard")
    search_fields = ("item__key",)
    ordering: ClassVar = ("-pk",)


@admin.register(LeverPull)
class LeverPullAdmin(WatchedAdmin[LeverPull]):
    list_display = ("pulled_at", "lever", "region", "by", "asked", "needs", "organisations", "quantity")
    list_select_related = ("lever__item", "region", "by")
    search_fields = ("by__email",)
    ordering: ClassVar = ("-pk",)
