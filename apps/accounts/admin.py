"""The back office: base classes for its pages; users, organisations and tokens; and the audit trail of core."""

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.contrib.auth.admin import UserAdmin as StockUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from apps.accounts import invitations, services
from apps.accounts.models import ApiToken, Evidence, IdentifierKind, Invitation, Membership, Organisation, User
from apps.core import audit
from apps.core.errors import RuleViolation
from apps.core.models import AuditEntry

M = TypeVar("M", bound=models.Model)


class KeptAdmin(admin.ModelAdmin[M]):
    """Pages of rows that are never deleted here, because other rows and the audit trail refer to them."""

    show_full_result_count = False  # counting all rows makes large lists slow

    def has_delete_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return False


class WatchedAdmin(KeptAdmin[M]):
    """Pages of rows that only services write: read-only, with actions that call the services."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return False

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Whether the user may use the actions: those with the right to change such rows may."""
        return request.user.has_perm(f"{self.opts.app_label}.change_{self.opts.model_name}")


class WatchedInline(admin.TabularInline[Any, Any]):
    """Rows that only services write, shown beside the row that they belong to."""

    extra = 0
    can_delete = False
    show_change_link = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReasonActionForm(ActionForm):
    """A choice of action with a reason, for actions that tell the reason to somebody."""

    reason = forms.CharField(label=_("Reason"), max_length=500, required=False)


def do_each(
    page: admin.ModelAdmin[M], request: HttpRequest, rows: models.QuerySet[M], verb: Callable[[M], object]
) -> None:
    """Call `verb`, a service, for each row. A broken rule is shown as an error of its row, and the others go on."""
    done = 0
    for row in rows:
        try:
            verb(row)
        except RuleViolation as violation:
            page.message_user(request, f"{row}: {violation}", messages.ERROR)
        else:
            done += 1
    if done:
        said = ngettext("%(count)d row: done.", "%(count)d rows: done.", done) % {"count": done}
        page.message_user(request, said, messages.SUCCESS)


def acting(request: HttpRequest) -> User:
    """The user who acts. The site admits only users, never anonymous visitors."""
    assert isinstance(request.user, User)
    return request.user


class NewUserForm(AdminUserCreationForm[User]):
    class Meta:
        model = User
        fields = ("email", "name", "language")


class MembershipInline(WatchedInline):
    model = Membership
    fields = ("user", "organisation", "role")


@admin.register(User)
class UserAdmin(StockUserAdmin[User]):
    """Users are never deleted: those who leave may not log in any more, and the audit trail still names them."""

    add_form = NewUserForm
    list_display = ("email", "name", "language", "is_active", "is_staff", "last_login")
    list_filter = ("is_active", "is_staff", "language")
    search_fields = ("email", "name")
    ordering = ("email",)
    inlines = (MembershipInline,)
    readonly_fields = ("date_joined", "last_login")
    fieldsets = (
        (None, {"fields": ("email", "password")}),
        (_("Person"), {"fields": ("name", "phone", "language", "time_zone")}),
        (_("Rights"), {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        (_("Dates"), {"fields": ("date_joined", "last_login")}),
    )
    add_fieldsets: Any = (
        (None, {"fields": ("email", "name", "language", "usable_password", "password1", "password2")}),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Only superusers may give rights to others."""
        fields = super().get_readonly_fields(request, obj)
        if request.user.is_superuser:
            return fields
        return (*fields, "is_staff", "is_superuser", "groups", "user_permissions")

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Staff cannot change users with more rights: by setting their password they would take over those rights."""
        beyond = obj is not None and (obj.is_superuser or obj.is_staff) and obj != request.user
        return super().has_change_permission(request, obj) and (request.user.is_superuser or not beyond)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False


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


@admin.register(Membership)
class MembershipAdmin(KeptAdmin[Membership]):
    """Roles and endings. Nobody is added here: a membership begins when the person accepts an invitation."""

    list_display = ("user", "organisation", "role")
    list_filter = ("role",)
    list_select_related = ("user", "organisation")
    search_fields = ("user__email", "organisation__name")
    # With another person or organisation it would be another membership, and the old one would end without a trace.
    readonly_fields = ("user", "organisation")
    actions = ("remove",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Membership, form: Any, change: bool) -> None:
        services.change_role(obj, obj.role, by=acting(request))

    @admin.action(description=_("Remove from the organisation"), permissions=["change"])
    def remove(self, request: HttpRequest, rows: QuerySet[Membership]) -> None:
        do_each(self, request, rows, lambda row: services.remove_member(row, by=acting(request)))


class InvitationAdminForm(forms.ModelForm[Invitation]):
    """Invites, as the page of the organisation does: staff need the person's consent too."""

    by: User

    class Meta:
        model = Invitation
        fields = ("organisation", "email", "role")

    def clean(self) -> dict[str, Any] | None:
        given = super().clean()
        if self.errors:
            return given
        try:
            # The rest of the form then checks and shows the row that the service has made.
            self.instance = invitations.invite(**self.cleaned_data, by=self.by)
        except RuleViolation as violation:
            self.add_error("email", str(violation))
            return given
        return self.cleaned_data | {"email": self.instance.email}


@admin.register(Invitation)
class InvitationAdmin(KeptAdmin[Invitation]):
    """Staff invite here, and withdraw. Nothing of an invitation can be changed."""

    form = InvitationAdminForm
    list_display = ("email", "organisation", "role", "state", "invited_by", "expires_at")
    list_filter = ("state",)
    list_select_related = ("organisation", "invited_by")
    search_fields = ("email", "organisation__name")
    autocomplete_fields = ("organisation",)
    actions = ("withdraw",)

    def has_change_permission(self, request: HttpRequest, obj: Invitation | None = None) -> bool:
        return False

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("accounts.change_invitation")

    def get_form(self, request: HttpRequest, obj: Invitation | None = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change, **kwargs)
        form.by = acting(request)
        return form

    def save_model(self, request: HttpRequest, obj: Invitation, form: Any, change: bool) -> None:
        """The service has saved it already, called by the form."""

    @admin.action(description=_("Withdraw"), permissions=["operate"])
    def withdraw(self, request: HttpRequest, rows: QuerySet[Invitation]) -> None:
        do_each(self, request, rows, lambda row: invitations.withdraw_invitation(row, by=acting(request)))


@admin.register(ApiToken)
class ApiTokenAdmin(WatchedAdmin[ApiToken]):
    """Tokens are made by their owners, who alone see them. Here they can only be revoked."""

    list_display = ("name", "user", "token_key", "scopes", "region", "created", "expiry", "last_used_at")
    list_select_related = ("user", "region")
    search_fields = ("name", "user__email", "token_key")
    exclude: ClassVar = ("digest",)
    actions = ("revoke",)

    @admin.action(description=_("Revoke"), permissions=["operate"])
    def revoke(self, request: HttpRequest, rows: QuerySet[ApiToken]) -> None:
        do_each(self, request, rows, lambda row: services.revoke_token(row, by=acting(request)))


@admin.register(AuditEntry)
class AuditEntryAdmin(WatchedAdmin[AuditEntry]):
    list_display = ("at", "actor", "event", "target_type", "target_id")
    list_filter = ("target_type",)
    list_select_related = ("actor",)
    search_fields = ("=event", "=target_id", "=actor__email")
    ordering: ClassVar = ("-pk",)
