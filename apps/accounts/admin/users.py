"""Users and their ways in, in the back office; and the audit trail of core."""

from typing import Any, ClassVar

from allauth.core import context
from allauth.core.internal.httpkit import get_client_ip
from allauth.mfa import admin as _of_factors  # noqa: F401  registers its page, which is replaced below
from allauth.mfa.models import Authenticator
from allauth.usersessions import admin as _of_sessions  # noqa: F401  registers its page, which is replaced below
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as StockUserAdmin
from django.contrib.auth.forms import AdminPasswordChangeForm, AdminUserCreationForm
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import get_random_string
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _

from apps.accounts import services
from apps.accounts.admin.membership import MembershipInline
from apps.accounts.admin.pages import WatchedAdmin, acting, asks_password, do_each
from apps.accounts.models import ApiToken, User
from apps.accounts.permissions import is_office
from apps.core.models import AuditEntry


class NewUserForm(AdminUserCreationForm[User]):
    class Meta:
        model = User
        fields = ("email", "name", "language")


class SetPasswordForm(AdminPasswordChangeForm):  # type: ignore[type-arg]  # Django's takes no argument
    """A password that staff set. Its owner is told, with a link to take the account back."""

    def save(self, commit: bool = True) -> User:
        user: User = super().save(commit)
        network = get_client_ip(context.request) or ""
        facts = {"change": "password", "network": network, "changed_at": timezone.now().isoformat()}
        services.tell("account.changed", user, facts, key=f"account.changed:{get_random_string(16)}")
        return user


@admin.register(User)
@method_decorator(asks_password, name="changeform_view")
@method_decorator(asks_password, name="user_change_password")
class UserAdmin(StockUserAdmin[User]):
    """Users are never deleted: those who leave may not log in any more, and the audit trail still names them."""

    add_form = NewUserForm
    change_password_form = SetPasswordForm
    list_display = ("email", "name", "language", "is_active", "is_staff", "last_login")
    list_filter = ("is_active", "is_staff", "language")
    search_fields = ("email", "name")
    ordering = ("email",)
    inlines = (MembershipInline,)
    actions = ("log_out_everywhere",)
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
        """Only superusers may give rights to others, or an account to another address."""
        fields = super().get_readonly_fields(request, obj)
        if request.user.is_superuser:
            return fields
        return (*fields, *(["email"] if obj else []), "is_staff", "is_superuser", "groups", "user_permissions")

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Staff cannot change users with more rights: by setting their password they would take over those rights."""
        beyond = obj is not None and obj != request.user and (obj.is_superuser or obj.is_staff or _has_office(obj))
        return super().has_change_permission(request, obj) and (request.user.is_superuser or not beyond)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False

    @admin.action(description=_("End all sessions and tokens"), permissions=["change"])
    def log_out_everywhere(self, request: HttpRequest, rows: QuerySet[User]) -> None:
        do_each(self, request, rows, lambda row: services.end_access(row, by=acting(request)))


def _has_office(user: User) -> bool:
    """Whether the user belongs to a desk or a government department."""
    return any(is_office(grant.organisation) for grant in user.grants)


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


# allauth's own pages show the secret of a factor and the key of a session. Who reads them is the person from then on.
admin.site.unregister([Authenticator, UserSession])


@admin.register(Authenticator)
class SecondFactorAdmin(WatchedAdmin[Authenticator]):
    """Second factors, without their secrets. One that its owner has lost is removed here."""

    list_display = ("user", "type", "created_at", "last_used_at")
    list_filter = ("type",)
    list_select_related = ("user",)
    search_fields = ("user__email",)
    exclude: ClassVar = ("data",)
    actions = ("remove",)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Only superusers: whoever takes factors away and sets passwords has every account."""
        return request.user.is_superuser

    @admin.action(description=_("Remove"), permissions=["operate"])
    def remove(self, request: HttpRequest, rows: QuerySet[Authenticator]) -> None:
        do_each(self, request, rows, lambda row: services.remove_factor(row, by=acting(request)))


@admin.register(UserSession)
class SessionAdmin(WatchedAdmin[UserSession]):
    """Who is logged in where, without the keys that would let a reader in."""

    list_display = ("user", "ip", "created_at", "last_seen_at")
    list_select_related = ("user",)
    search_fields = ("user__email", "=ip")
    exclude: ClassVar = ("session_key", "data")


class AboutFilter(admin.SimpleListFilter):
    """Entries about rows of one table. Django's own filter would read the whole trail for the names of the tables."""

    title = AuditEntry._meta.get_field("target_type").verbose_name
    parameter_name = "target_type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return sorted((model._meta.label_lower, str(model._meta.verbose_name)) for model in admin.site._registry)  # noqa: SLF001  it has no other list

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        return queryset.filter(target_type=self.value()) if self.value() else queryset


@admin.register(AuditEntry)
class AuditEntryAdmin(WatchedAdmin[AuditEntry]):
    list_display = ("at", "actor", "event", "target_type", "target_id")
    list_filter = (AboutFilter,)
    list_select_related = ("actor",)
    search_fields = ("target_id__exact", "=actor__email")
    search_help_text = _("The number of a row, or who did it. For one event, add “?event=contact.seen” to the address.")
    ordering: ClassVar = ("-pk",)
