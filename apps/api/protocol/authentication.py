"""Who calls: a bearer token, or somebody who is logged in; and what the scopes of a token allow."""

import datetime as dt
from typing import Any, Final

from allauth.account.internal.flows.reauthentication import did_recently_reauthenticate
from allauth.core.internal import ratelimit
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from knox.auth import TokenAuthentication
from knox.crypto import hash_token
from rest_framework import exceptions
from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from apps.accounts.models import ApiToken, TokenScope, User

# A token that calls many times a second would otherwise write its row each time.
NOTED_EVERY: Final = dt.timedelta(minutes=1)
# For so long a wrong code of a second factor counts (`factor_by_token` of the settings).
_GUESSES_COUNT: Final = dt.timedelta(minutes=5)


class BearerAuthentication(TokenAuthentication):
    """A bearer token, found by one key lookup.

    Anything but a live token of an active user is 401, however malformed it is.
    """

    def authenticate_credentials(self, token: bytes) -> tuple[User, ApiToken]:
        try:
            digest = hash_token(token.decode("ascii"))
        except UnicodeDecodeError as error:
            raise exceptions.AuthenticationFailed(_("This token is not known or has ended.")) from error

        found = ApiToken.objects.filter(digest=digest).select_related("user", "region").first()
        now = timezone.now()
        if found is None or (found.expiry is not None and found.expiry <= now) or not found.user.is_active:
            raise exceptions.AuthenticationFailed(_("This token is not known or has ended."))
        _check_factor(found.user)

        # This object lives as long as the request. Everything that asks what the user may see respects the limit.
        found.user.region_limit = found.region
        if found.last_used_at is None or found.last_used_at < now - NOTED_EVERY:
            # After the request's transaction, so that two requests with one token do not wait for each other.
            transaction.on_commit(lambda: _note_use(found, now))
        return found.user, found


def _note_use(token: ApiToken, now: dt.datetime) -> None:
    # The condition is checked again, so that of many requests at once one writes.
    stale = Q(last_used_at=None) | Q(last_used_at__lt=now - NOTED_EVERY)
    ApiToken.objects.filter(stale, pk=token.pk).update(last_used_at=now)


def _check_factor(user: User) -> None:
    if user.lacks_second_factor:
        raise exceptions.PermissionDenied(
            _("This account needs a second factor: log in to the site and add one."), code="second_factor_required"
        )


class SessionCookieAuthentication(SessionAuthentication):
    """The cookie of somebody who is logged in to the portal, with CSRF."""

    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        found = super().authenticate(request)
        if found is not None:
            _check_factor(found[0])
        return found

    def enforce_csrf(self, request: Request) -> None:
        try:
            super().enforce_csrf(request)
        except exceptions.PermissionDenied as error:
            raise exceptions.PermissionDenied(_("The CSRF token is missing or wrong."), code="csrf_failed") from error


class ScopeMissingError(exceptions.PermissionDenied):
    """The token lacks a scope; the problem document names it as `scope`."""

    default_code = "scope_missing"

    def __init__(self, scope: str) -> None:
        super().__init__(_("This token lacks the scope “%(scope)s”.") % {"scope": scope})
        self.params = {"scope": scope}


def require_password(request: Request) -> None:
    """Raise `reauthentication_required` for a session whose user has not just given the password again.

    A token is its own proof. A cookie is not: somebody may have found the browser open.
    """
    if not isinstance(request.auth, ApiToken) and not did_recently_reauthenticate(request):
        raise exceptions.PermissionDenied(
            _("Give your password again on the page of your tokens, or use a token."), code="reauthentication_required"
        )


def require_factor(request: Request, code: str) -> None:
    """Raise `factor_code_required` for a token without a fresh `code` of its owner's authenticator app.

    Somebody may have found the token in a file, so by itself it decides nothing. A session has given its factor. Wrong
    codes are counted apart from those at the log-in: a thief of the token locks nobody out.
    """
    if not settings.REQUIRE_SECOND_FACTOR or not isinstance(request.auth, ApiToken):
        return
    guess = ratelimit.consume(request, app="allauth.account", action="factor_by_token", key=str(request.auth.user.pk))
    if not guess:
        raise exceptions.Throttled(wait=_GUESSES_COUNT.total_seconds())
    factor = Authenticator.objects.filter(user=request.auth.user, type=Authenticator.Type.TOTP).first()
    if factor is None or not factor.wrap().validate_code(code):
        raise exceptions.PermissionDenied(
            _("A decision by a token needs the present code of your authenticator app. Or decide on the site."),
            code="factor_code_required",
        )
    guess.rollback()


class HasScope(BasePermission):
    """A token may read, write or export only with the scope for it. A session may do what its user may."""

    def has_permission(self, request: Request, view: Any) -> bool:
        # A view may name a scope of its own, as exports do.
        scope = getattr(view, "scope", None) or (
            TokenScope.READ if request.method in SAFE_METHODS else TokenScope.WRITE
        )
        if not has_scope(request, scope):
            raise ScopeMissingError(scope)
        return True


def has_scope(request: Request, scope: str) -> bool:
    token: Any = request.auth
    return not isinstance(token, ApiToken) or scope in token.scopes
