"""Browsers that somebody logged in with before, so that strangers who guess a password do not lock out its owner."""

import datetime as dt
import secrets
from typing import Final

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from apps.accounts.models import User

COOKIE: Final = f"{settings.COOKIE_PREFIX}device"
_SALT: Final = "apps.portal.entrance.devices"
_LASTS: Final = dt.timedelta(days=365)
# In characters. Longer input is refused before its signature is computed.
_LONGEST: Final = 300


def remember(response: HttpResponse, user: User) -> None:
    """Mark the browser as one of the user's."""
    mark = [user.pk, int(timezone.now().timestamp()), secrets.token_urlsafe(9)]
    response.set_cookie(
        COOKIE,
        signing.dumps(mark, salt=_SALT),
        max_age=int(_LASTS.total_seconds()),
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def known(request: HttpRequest, address: str) -> str:
    """The name of this browser if the user with this address logged in with it, else an empty text.

    A browser that was marked before the user logged out everywhere does not count any more.
    """
    mark = request.COOKIES.get(COOKIE, "")
    if not mark or len(mark) > _LONGEST:
        return ""
    try:
        user_id, marked_at, name = signing.loads(mark, salt=_SALT, max_age=_LASTS)
    except (signing.BadSignature, ValueError, TypeError):
        return ""

    user = User.objects.with_address(address).filter(pk=user_id).first()
    if user is None or (user.access_ended_at is not None and marked_at <= user.access_ended_at.timestamp()):
        return ""
    return str(name)
