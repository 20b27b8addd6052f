"""What allauth asks of a site: here, how the owner of an account hears that it was changed."""

from typing import Any, Final

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from allauth.core.internal import ratelimit
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from apps.accounts import services
from apps.accounts.limits import network_of
from apps.accounts.models import User
from apps.notifications.services import warn_of_change
from apps.notifications.tasks import wake_senders
from apps.portal.entrance import devices

# allauth names a change by the template of its mail.
_CHANGES: Final = {
    "account/email/email_changed": "address",
    "account/email/email_deleted": "address",
    "account/email/password_changed": "password",
    "account/email/password_set": "password",
    "account/email/password_reset": "password_reset",
    "mfa/email/totp_activated": "factor_added",
    "mfa/email/webauthn_added": "factor_added",
    "mfa/email/totp_deactivated": "factor_removed",
    "mfa/email/webauthn_removed": "factor_removed",
    "mfa/email/recovery_codes_generated": "codes",
}

# allauth's ways to prove again who one is.
_WAYS: Final = {
    "reauthenticate": _("Use your password"),
    "mfa_reauthenticate": _("Use a code"),
    "mfa_reauthenticate:webauthn": _("Use your passkey"),
}


class AccountAdapter(DefaultAccountAdapter):
    """allauth with our outbox: a warning is kept and retried, and it has a link that takes the account back."""

    def send_notification_mail(
        self, template_prefix: str, user: Any, context: dict[str, Any] | None = None, email: str | None = None
    ) -> None:
        warn(self.request, user, _CHANGES[template_prefix], address=email or "")

    def get_reauthentication_methods(self, user: Any) -> list[dict[str, Any]]:
        ways: list[dict[str, Any]] = super().get_reauthentication_methods(user)
        return [way | {"description": _WAYS[way["id"]]} for way in ways]

    def post_login(self, request: HttpRequest, user: Any, **more: Any) -> HttpResponse:
        response: HttpResponse = super().post_login(request, user, **more)
        if not request.session.get("shared"):
            devices.remember(response, user)
        return response

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Count an attempt to log in, and refuse it after too many.

        Attempts count by account and network: strangers elsewhere do not lock the owner out. A browser of the owner has
        a count of its own, so it passes even where others guess.
        """
        self._counted = []
        for action, key in self._counts(request, str(credentials.get("email", "")).lower()):
            usage = ratelimit.consume(request, app="allauth.account", action=action, key=key)
            if not usage:
                raise self.validation_error("too_many_login_attempts")
            self._counted.append(usage)

    def _counts(self, request: HttpRequest, address: str) -> list[tuple[str, str]]:
        """The counts in which an attempt counts: names of ACCOUNT_RATE_LIMITS, each with its key."""
        if device := devices.known(request, address):
            return [("login_failed_known", f"{address} {device}")]
        network = network_of(self.get_client_ip(request))
        return [("login_failed", f"{address} {network}"), ("login_failed_anywhere", address)]

    def _rollback_login_failed_rl_usage(self) -> None:
        for usage in self._counted:
            usage.rollback()

    def _delete_login_attempts_cached_email(self, request: HttpRequest, **credentials: Any) -> None:
        for action, key in self._counts(request, str(credentials.get("email", "")).lower()):
            ratelimit.clear(request, app="allauth.account", action=action, key=key)


def warn(request: HttpRequest, user: User, change: str, *, address: str = "") -> None:
    """Tell the owner of an account of a change that this request made."""
    warn_of_change(user, change, address=address, network=AccountAdapter(request).get_client_ip(request))
    wake_senders()


def on_address_requested(request: HttpRequest, user: User, email_address: EmailAddress, **_kwargs: object) -> None:
    """Warn while the new address does not count yet. allauth itself writes only to the new one."""
    if not email_address.verified:
        warn(request, user, "address_requested")


def on_password_reset(user: User, **_kwargs: object) -> None:
    """Whoever resets a password fears that somebody knew it: tokens made with it end too."""
    services.end_access(user, by=user)
