"""What makes a page a person's own: a session that still counts, their language and their time zone."""

import zoneinfo
from collections.abc import Callable

from allauth.core.exceptions import ReauthenticationRequired
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone, translation
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.portal.entrance.sessions import goes_on

_WITHOUT_FACTOR = ("/account/", "/logout/", "/language/", "/api/", "/static/", "/healthz", "/readyz")


def _is_logged_in(request: HttpRequest) -> bool:
    return request.user.is_authenticated


def personal_middleware(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """End a session whose time is over. Speak the language and time zone of whoever is logged in.

    Where a session ends, the browser is told to forget what it kept of this site: the next person may sit there.

    Others keep what cookie and browser say.

    Stands after the authentication. Programs send no session cookie and are left alone.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        # Asking for the user reads the session; requests of programs are spared the query.
        if settings.SESSION_COOKIE_NAME not in request.COOKIES or not _is_logged_in(request):
            return get_response(request)
        response = personal(request)
        if not _is_logged_in(request):
            response.headers["Clear-Site-Data"] = '"cache", "storage"'
        return response

    def personal(request: HttpRequest) -> HttpResponse:
        if not goes_on(request):
            return get_response(request)

        user = request.user
        assert isinstance(user, User)
        # The API refuses by itself. Here remain the pages on which a factor is added, and the way out.
        if not request.path.startswith(_WITHOUT_FACTOR) and user.lacks_second_factor:
            messages.warning(request, _("Your account sees much, so it needs a second factor. Please add one now."))
            return redirect("mfa_index")
        if user.language in dict(settings.LANGUAGES):
            translation.activate(user.language)
            request.LANGUAGE_CODE = translation.get_language()
        try:
            zone = zoneinfo.ZoneInfo(user.time_zone)
        # The zones of the machine may be older than the one that the profile names.
        except (zoneinfo.ZoneInfoNotFoundError, ValueError):
            return get_response(request)
        with timezone.override(zone):
            response = get_response(request)
            # A template that is rendered late would be rendered in UTC.
            if hasattr(response, "render") and not getattr(response, "is_rendered", True):
                response.render()
            return response

    middleware.process_exception = ask_strangers_to_log_in  # type: ignore[attr-defined]  # as Django looks for it
    return middleware


def ask_strangers_to_log_in(request: HttpRequest, exception: Exception) -> HttpResponse | None:
    """Lead a stranger from what needs the password again to the log-in.

    allauth would keep the request in a session until then: anybody could fill the table of sessions.
    """
    if isinstance(exception, ReauthenticationRequired) and not _is_logged_in(request):
        return redirect_to_login(request.get_full_path())
    return None
