"""Matches, escalations and the policy in the back office."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from apps.accounts.admin import KeptAdmin, WatchedAdmin, acting
from apps.matching import services
from apps.matching.models import Escalation, Match, Policy
from apps.matching.policy import PolicyValues


@admin.register(Match)
class MatchAdmin(WatchedAdmin[Match]):
    list_display = ("pk", "demand", "offer", "quantity", "rank", "score", "state", "respond_by", "created_at")
    list_filter = ("state", "is_substitute", "policy_version")
    list_select_related = ("demand__item", "offer__item", "offer__organisation")
    search_fields = ("=demand__reference", "offer__organisation__name", "demand__organisation__name")
    ordering: ClassVar = ("-pk",)


@admin.register(Escalation)
class EscalationAdmin(WatchedAdmin[Escalation]):
    list_display = ("created_at", "demand", "organisation", "level", "tried")
    list_filter = ("level",)
    list_select_related = ("demand__item", "organisation")
    search_fields = ("=demand__reference", "organisation__name")
    ordering: ClassVar = ("-pk",)


class PolicyForm(forms.ModelForm[Policy]):
    class Meta:
        model = Policy
        fields = ("settings", "note")
        help_texts: ClassVar = {"settings": _("What differs from the built-in values, as JSON.")}

    def clean_settings(self) -> dict[str, Any]:
        given: dict[str, Any] = self.cleaned_data["settings"]
        try:
            PolicyValues.from_json(given)
        except (ValueError, TypeError, AttributeError) as error:
            raise forms.ValidationError(str(error)) from error
        return given


@admin.register(Policy)
class PolicyAdmin(KeptAdmin[Policy]):
    """A change is a new version: matches name the version that they were made under."""

    form = PolicyForm
    list_display = ("version", "note", "made_by", "created_at")
    list_select_related = ("made_by",)

    def has_change_permission(self, request: HttpRequest, obj: Policy | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Policy, form: Any, change: bool) -> None:
        made = services.make_policy(obj.settings, note=obj.note, by=acting(request))
        obj.version = made.version
