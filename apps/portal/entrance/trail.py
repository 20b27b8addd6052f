"""Who came in, who was refused and who left, in the audit trail of the account."""

from typing import Any

from allauth.mfa.models import Authenticator
from django.http import HttpRequest

from apps.accounts.models import User
from apps.core import audit
from apps.portal.entrance.adapter import AccountAdapter
from apps.portal.entrance.sessions import browser_of


def _where(request: HttpRequest) -> dict[str, str]:
    return {
        "network": AccountAdapter(request).get_client_ip(request),
        "browser": browser_of(request.META.get("HTTP_USER_AGENT", "")),
    }


def on_logged_in(request: HttpRequest, user: User, **_more: object) -> None:
    if _is_from_a_browser(request):
        audit.record(user, "session.begun", user, **_where(request))


def on_logged_out(request: HttpRequest, user: User | None, **_more: object) -> None:
    """Also when a session ended by itself: then the next request of its browser shows it."""
    if user is not None and _is_from_a_browser(request):
        audit.record(user, "session.ended", user, **_where(request))


def on_password_refused(credentials: dict[str, Any], request: HttpRequest | None = None, **_more: object) -> None:
    """A wrong password at the door, or at a change that asks for it again.

    Unknown addresses are left out: people type passwords there, and anybody could fill the table. Attempts that are
    refused unread, because there were too many, are left out too.
    """
    user = User.objects.filter(email__iexact=str(credentials.get("email", ""))).first()
    if user is not None and request is not None:
        # Who types is not known, so nobody is named.
        audit.record(None, "password.refused", user, **_where(request))


def on_factor_refused(request: HttpRequest, user: User, authenticator: Authenticator, **_more: object) -> None:
    """The password was right, and the code or passkey was not."""
    audit.record(None, "factor.refused", user, type=str(authenticator.type), **_where(request))


def _is_from_a_browser(request: HttpRequest | None) -> bool:
    # Tests log people in without a request.
    return request is not None and "REMOTE_ADDR" in request.META
