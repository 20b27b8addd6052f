"""The policy in the back office."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _

from apps.accounts.admin import KeptAdmin, WatchedAdmin, acting
from apps.core.errors import RuleViolation
from apps.policy import services
from apps.policy.models import Policy, PolicyDraft


class PolicyForm(forms.ModelForm[Policy]):
    class Meta:
        model = Policy
        fields = ("settings", "note")
        help_texts: ClassVar = {"settings": _("What differs from the built-in values, as JSON.")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "note" in self.fields:
            self.fields["note"].required = True

    def clean_settings(self) -> dict[str, Any]:
        given: dict[str, Any] = self.cleaned_data["settings"]
        try:
            services.check_settings(given)
        except RuleViolation as violation:
            raise forms.ValidationError(str(violation)) from violation
        return given


@admin.register(Policy)
class PolicyAdmin(KeptAdmin[Policy]):
    """A change is a new version: matches name the version that they were made under."""

    form = PolicyForm
    list_display = ("version", "note", "made_by", "created_at")
    list_select_related = ("made_by",)

    def has_change_permission(self, request: HttpRequest, obj: Policy | None = None) -> bool:
        return False

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Show an error, and make nothing, if somebody else makes a version at the same moment."""
        try:
            return super().add_view(request, form_url, extra_context)
        except RuleViolation as violation:
            self.message_user(request, str(violation), messages.ERROR)
            return redirect("admin:policy_policy_changelist")

    def save_model(self, request: HttpRequest, obj: Policy, form: Any, change: bool) -> None:
        # The service chooses the number of the version. Django's admin needs it for the log and the redirect.
        made = services.make_policy(obj.settings, note=obj.note, by=acting(request))
        obj.version = made.version


@admin.register(PolicyDraft)
class PolicyDraftAdmin(WatchedAdmin[PolicyDraft]):
    """Drafts, to look at only: the desk makes them and puts them into force, with their faults and their replay."""

    list_display = ("pk", "based_on", "made_by", "state", "became", "updated_at")
    list_filter = ("state",)
    list_select_related = ("made_by", "became")
    ordering: ClassVar = ("-pk",)
