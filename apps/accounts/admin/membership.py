"""Memberships and invitations in the back office: staff need a person's consent too."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _

from apps.accounts import invitations, services
from apps.accounts.admin.pages import KeptAdmin, WatchedInline, acting, asks_password, do_each
from apps.accounts.models import Invitation, Membership, User
from apps.core.errors import RuleViolation


class MembershipInline(WatchedInline):
    model = Membership
    fields = ("user", "organisation", "role")


@admin.register(Membership)
@method_decorator(asks_password, name="changeform_view")
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
@method_decorator(asks_password, name="changeform_view")
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
