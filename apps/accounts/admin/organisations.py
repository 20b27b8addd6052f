"""Organisations in the back office."""

import datetime as dt
from typing import Any, Final

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _

from apps.accounts import services
from apps.accounts.admin.membership import MembershipInline
from apps.accounts.admin.pages import KeptAdmin, WatchedInline, acting, asks_password
from apps.accounts.models import Evidence, IdentifierKind, Organisation, User
from apps.core import audit
from apps.core.errors import RuleViolation


class OrganisationAdminForm(forms.ModelForm[Organisation]):
    """The facts of an organisation, and what staff decide on the facts that they see."""

    decision = forms.ChoiceField(
        label=_("Decision"),
        choices=[("", "–"), ("verify", _("Verify")), ("reject", _("Reject"))],
        required=False,
        help_text=_("On the facts above, as they are. Changes are saved first, and somebody else decides."),
    )
    noted_call = forms.CharField(
        label=Organisation._meta.get_field("call_back").verbose_name,
        max_length=300,
        required=False,
        help_text=_("For a hospital without a document: which number of which public register, and who answered."),
    )
    reason = forms.CharField(label=_("Reason of a rejection"), max_length=500, required=False)
    seen = forms.DateTimeField(widget=forms.HiddenInput, required=False)

    DECIDED: Final = ("decision", "noted_call", "reason", "seen")

    class Meta:
        model = Organisation
        fields = (
            "name",
            "kind",
            "identifier_kind",
            "identifier",
            "region",
            "address",
            "contact_name",
            "contact_phone",
            "contact_email",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            # To the microsecond, which the widget of a time would cut off.
            self.initial["seen"] = self.instance.updated_at.isoformat()

    def clean(self) -> dict[str, Any] | None:
        given = super().clean()
        kind = self.cleaned_data.get("identifier_kind") or IdentifierKind.OTHER
        try:
            services.check_identifier(kind, self.cleaned_data.get("identifier", ""))
        except RuleViolation as violation:
            self.add_error("identifier", str(violation))
        return given


class EvidenceInline(WatchedInline):
    model = Evidence
    fields = ("note", "file", "uploaded_by", "created_at")
    readonly_fields = ("file", "created_at")

    @admin.display(description=_("document"))
    def file(self, evidence: Evidence) -> str:
        """The name of the document. The document itself is shown to coordinators on the desk."""
        return str(evidence.document.name)


@admin.register(Organisation)
@method_decorator(asks_password, name="changeform_view")
class OrganisationAdmin(KeptAdmin[Organisation]):
    """Coordinators are set up here. Editing facts that were verified clears the verification, as everywhere."""

    # Fulfilment, which is above this app, tells suppliers besides.
    amend = staticmethod(services.amend_organisation)

    form = OrganisationAdminForm
    shows_contact = True
    inlines = (MembershipInline, EvidenceInline)
    list_display = ("name", "kind", "region", "state", "verified_until", "created_at")
    list_filter = ("state", "kind")
    list_select_related = ("region",)
    search_fields = ("name", "identifier")
    autocomplete_fields = ("region",)
    readonly_fields = (
        "state",
        "state_reason",
        "verified_at",
        "verified_by",
        "verified_until",
        "call_back",
        "source",
        "source_key",
        "created_at",
        "updated_at",
    )
    fields = (*OrganisationAdminForm.Meta.fields, *readonly_fields)

    def get_fieldsets(self, request: HttpRequest, obj: Organisation | None = None) -> Any:
        facts = super().get_fieldsets(request, obj)
        if obj is None or not self.has_change_permission(request, obj):
            return facts
        return [*facts, (_("Verification"), {"fields": OrganisationAdminForm.DECIDED})]

    def save_model(self, request: HttpRequest, obj: Organisation, form: Any, change: bool) -> None:
        # The service clears the verification and writes the audit trail; the form's own save would do neither.
        if change:
            # Fields that were not touched are left out: they may have changed since the form was opened.
            given = {
                name: form.cleaned_data[name] for name in form.changed_data if name in OrganisationAdminForm.Meta.fields
            }
            kept = Organisation.objects.get(pk=obj.pk)
            if not form.cleaned_data["decision"]:
                self.amend(kept, by=acting(request), **given)
            elif given:
                raise RuleViolation("needs_other_eyes", _("Save the changes first. Somebody else then decides."))
            else:
                self._decide(kept, form.cleaned_data, by=acting(request))
            return
        super().save_model(request, obj, form, change)
        audit.record(acting(request), "organisation.registered", obj)

    def _decide(self, organisation: Organisation, said: dict[str, Any], *, by: User) -> None:
        # A form without it was not made by the page.
        seen = said["seen"] or dt.datetime.min.replace(tzinfo=dt.UTC)
        if said["decision"] == "verify":
            services.verify_organisation(organisation, by=by, call_back=said["noted_call"], seen=seen)
        else:
            services.reject_organisation(organisation, by=by, reason=said["reason"], seen=seen)
