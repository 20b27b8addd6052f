"""A person's own pages: profile, language, notifications, sessions, keys for programs."""

import datetime as dt

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template import TemplateDoesNotExist
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts import invitations, services
from apps.accounts.models import ApiToken, Invitation
from apps.accounts.permissions import Permission
from apps.core import audit
from apps.notifications import services as outbox
from apps.notifications.models import Notification
from apps.notifications.rendering import render_inbox
from apps.portal.access import number_or_404
from apps.portal.entrance.adapter import warn
from apps.portal.entrance.sessions import browser_of
from apps.portal.forms.account import ProfileForm, TokenForm
from apps.portal.navigation import as_badge, capped
from apps.portal.paging import newest_first
from apps.portal.web import done, require_password, status_of, user_of


def _safe(request: HttpRequest, target: str, otherwise: str) -> str:
    """A path of ours, never another site's."""
    fits = url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure())
    return target if fits else otherwise


@csrf_exempt
@require_POST
def switch_language(request: HttpRequest) -> HttpResponse:
    """Kept with the person who is logged in, and in a cookie for when nobody is.

    Strangers send no CSRF token, so that pages for everybody set no cookie and can be kept by proxies.
    """
    return csrf_protect(_switch_language)(request) if request.user.is_authenticated else _switch_language(request)


def _switch_language(request: HttpRequest) -> HttpResponse:
    response = redirect(_safe(request, request.POST.get("next", "/"), "/"))
    language = request.POST.get("language", "")
    if language not in dict(settings.LANGUAGES):
        return response

    if request.user.is_authenticated:
        services.amend_user(user_of(request), language=language)
    response.set_cookie(
        settings.LANGUAGE_COOKIE_NAME,
        language,
        max_age=365 * 24 * 3600,
        secure=settings.LANGUAGE_COOKIE_SECURE,
        httponly=settings.LANGUAGE_COOKIE_HTTPONLY,
        samesite="Lax",
    )
    return response


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def profile(request: HttpRequest) -> HttpResponse:
    user = user_of(request)
    form = ProfileForm(request.POST or None, instance=user)
    if request.method == "POST" and form.is_valid():
        services.amend_user(user, **form.cleaned_data)
        return done(request, "account", _("Saved."))
    asked = Invitation.objects.open(timezone.now()).addressed_to(user).select_related("organisation", "invited_by")
    context = {
        "form": form,
        "memberships": user.grants,
        "invitations": [(one, invitations.path_of(one.pk)) for one in asked.order_by("pk")],
    }
    return render(request, "portal/account/profile.html", context, status=status_of(form))


@login_required
@require_GET
def notifications(request: HttpRequest) -> HttpResponse:
    user = user_of(request)
    rows = Notification.objects.visible_to(user)
    unread_only = request.GET.get("show") == "unread"
    if unread_only:
        rows = rows.unread()
    page = newest_first(request, rows)
    for one in page.rows:
        one.user = user  # or each line would ask the database whose it is
    unread = capped(Notification.objects.visible_to(user).unread())
    context = {
        "page": page,
        "lines": [(one, *_line(one, user.language)) for one in page.rows],
        "unread": as_badge(unread),
        "has_unread": unread > 0,
        "unread_only": unread_only,
    }
    return render(request, "portal/account/notifications.html", context)


def _line(notification: Notification, language: str) -> tuple[str, str]:
    """The words of a notification and where they lead; its bare name where nobody has worded it yet."""
    try:
        return render_inbox(notification, language)
    except TemplateDoesNotExist:
        return notification.event, ""


@login_required
@require_POST
def read_notification(request: HttpRequest, pk: int) -> HttpResponse:
    """Marks it as read and leads to what it is about."""
    user = user_of(request)
    notification = get_object_or_404(Notification.objects.visible_to(user), pk=pk)
    outbox.mark_read(user, [notification.pk])
    _text, path = _line(notification, user.language)
    return redirect(_safe(request, path, reverse("notifications")))


@login_required
@require_POST
def read_all_notifications(request: HttpRequest) -> HttpResponse:
    outbox.mark_read(user_of(request))
    return redirect("notifications")


def own_tokens(request: HttpRequest) -> list[ApiToken]:
    return list(
        ApiToken.objects.filter(Q(expiry=None) | Q(expiry__gt=timezone.now()), user=user_of(request))
        .select_related("region")
        .order_by("-created")
    )


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def sessions(request: HttpRequest) -> HttpResponse:
    """Where this person is logged in, and the tokens that act as them: each can be ended, and all at once."""
    user = user_of(request)
    if "everywhere" in request.POST:
        services.end_access(user, by=user)
        logout(request)
        return done(request, "login", _("You are logged out everywhere, and no token works any more."))
    if request.method == "POST":
        ended = get_object_or_404(UserSession, user=user, pk=number_or_404(request.POST.get("session", "")))
        ended.end()
        audit.record(user, "session.ended", user, network=ended.ip)
        return done(request, "sessions", _("Logged out there."))

    found = UserSession.objects.purge_and_list(user)
    for one in found:
        one.browser = browser_of(one.user_agent)  # type: ignore[attr-defined]  # for the template
    context = {"sessions": sorted(found, key=lambda one: one.last_seen_at, reverse=True), "tokens": own_tokens(request)}
    return render(request, "portal/account/sessions.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def tokens(request: HttpRequest) -> HttpResponse:
    """Keys for programs that act as this person: made here, shown once, listed, taken back."""
    if request.method == "POST":
        require_password(request)
    user = user_of(request)
    watched = user.organisations_with(Permission.WATCH_REGION)
    form = TokenForm(
        request.POST or None,
        initial={"region": watched[0].region, "scopes": ["read", "exports"]} if watched else None,
    )
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        with transaction.atomic():
            token, text = services.issue_token(
                user,
                name=given["name"],
                scopes=given["scopes"],
                lasts=dt.timedelta(days=given["days"]),
                region=given["region"],
            )
            warn(request, user, "token")
        return render(request, "portal/account/token_made.html", {"token": token, "text": text})
    return render(
        request, "portal/account/tokens.html", {"form": form, "tokens": own_tokens(request)}, status=status_of(form)
    )


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def revoke_token(request: HttpRequest, key: str) -> HttpResponse:
    if not key.isprintable():
        raise Http404  # PostgreSQL cannot even look for some of these signs
    token = get_object_or_404(ApiToken, user=user_of(request), token_key=key)
    if request.method == "POST":
        services.revoke_token(token, by=user_of(request))
        return done(request, "tokens", _("The token no longer works."))
    context = {
        "title": _("Revoke this token?"),
        "text": _("Programs that use it are locked out at once."),
        "facts": [(_("Name"), token.name), (_("Begins with"), token.token_key)],
        "submit": _("Revoke"),
        "danger": True,
        "back": reverse("tokens"),
    }
    return render(request, "partials/confirm.html", context)
