"""A person's own pages: profile, language, notifications."""

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from apps.accounts.models import User


@require_POST
def switch_language(request: HttpRequest) -> HttpResponse:
    """Kept with the person who is logged in, and in a cookie for when nobody is."""
    target = request.POST.get("next", "/")
    if not url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure()):
        target = "/"
    response = redirect(target)
    language = request.POST.get("language", "")
    if language not in dict(settings.LANGUAGES):
        return response

    if request.user.is_authenticated:
        User.objects.filter(pk=request.user.pk).update(language=language)
    response.set_cookie(
        settings.LANGUAGE_COOKIE_NAME,
        language,
        max_age=365 * 24 * 3600,
        secure=settings.LANGUAGE_COOKIE_SECURE,
        httponly=settings.LANGUAGE_COOKIE_HTTPONLY,
        samesite=settings.LANGUAGE_COOKIE_SAMESITE,
    )
    return response


@login_required
def profile(request: HttpRequest) -> HttpResponse:
    return render(request, "portal/account/profile.html")


@login_required
def notifications(request: HttpRequest) -> HttpResponse:
    return render(request, "portal/account/notifications.html")
