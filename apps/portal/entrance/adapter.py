"""What allauth asks of a site: here, how the owner of an account hears that it was changed."""

from typing import Any, Final

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from django.http import HttpRequest

from apps.accounts import services
from apps.accounts.models import User
from apps.notifications.services import warn_of_change
from apps.notifications.tasks import wake_senders

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


class AccountAdapter(DefaultAccountAdapter):
    """allauth with our outbox: a warning is kept and retried, and it has a link that takes the account back."""

    def send_notification_mail(
        self, template_prefix: str, user: Any, context: dict[str, Any] | None = None, email: str | None = None
    ) -> None:
        warn(self.request, user, _CHANGES[template_prefix], address=email or "")


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
