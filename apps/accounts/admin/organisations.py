"""Organisations in the back office."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from apps.accounts import services
from apps.accounts.admin.membership import MembershipInline
from apps.accounts.admin.pages import KeptAdmin, ReasonActionForm, WatchedInline, acting, do_each
from apps.accounts.models import Evidence, IdentifierKind, Organisation
from apps.core import audit
from apps.core.errors import RuleViolation


class OrganisationAdminForm(forms.ModelForm[Organisation]):
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
class OrganisationAdmin(KeptAdmin[Organisation]):
    """Coordinators are set up here. Editing facts that were verified clears the verification, as everywhere."""

    form = OrganisationAdminForm
    action_form = ReasonActionForm
    shows_contact = True
    actions = ("verify", "reject")
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
        "source",
        "source_key",
        "created_at",
        "updated_at",
    )
    fields = (*OrganisationAdminForm.Meta.fields, *readonly_fields)

    def save_model(self, request: HttpRequest, obj: Organisation, form: Any, change: bool) -> None:
        # The service clears the verification and writes the audit trail; the form's own save would do neither.
        if change:
            # Fields that were not touched are left out: they may have changed since the form was opened.
            given = {name: form.cleaned_data[name] for name in form.changed_data}
            services.amend_organisation(Organisation.objects.get(pk=obj.pk), by=acting(request), **given)
            return
        super().save_model(request, obj, form, change)
        audit.record(acting(request), "organisation.registered", obj)

    @admin.action(description=_("Verify"), permissions=["change"])
    def verify(self, request: HttpRequest, rows: QuerySet[Organisation]) -> None:
        do_each(self, request, rows, lambda row: services.verify_organisation(row, by=acting(request)))

    @admin.action(description=_("Reject, with the reason given"), permissions=["change"])
    def reject(self, request: HttpRequest, rows: QuerySet[Organisation]) -> None:
        reason = request.POST.get("reason", "")
        do_each(self, request, rows, lambda row: services.reject_organisation(row, by=acting(request), reason=reason))
