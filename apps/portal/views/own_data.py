"""A person's rights: to read what is kept of them, and to go."""

from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_http_methods

from apps.accounts.closing import left_without_manager
from apps.notifications.forgetting import forget
from apps.portal.own_data import own_data
from apps.portal.web import done, require_password, user_of


@require_GET
def privacy(request: HttpRequest) -> HttpResponse:
    """What is kept of people, in words for everybody."""
    return render(request, "portal/public/privacy.html")


@login_required
@require_GET
def download(request: HttpRequest) -> HttpResponse:
    """All that is known of the person, as a file."""
    require_password(request)
    response = JsonResponse(own_data(user_of(request)), json_dumps_params={"ensure_ascii": False, "indent": 2})
    response["Content-Disposition"] = 'attachment; filename="cosmomatch-my-data.json"'
    return response


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def close(request: HttpRequest) -> HttpResponse:
    """Close the account, after the page has said what it means."""
    require_password(request)
    user = user_of(request)
    if request.method == "POST":
        forget(user, by=user)
        logout(request)
        return done(request, "login", _("Your account is closed, and what we knew of you is deleted."))
    resting = left_without_manager(user)
    context = {
        "title": _("Close your account?"),
        "text": _(
            "Your name, your addresses, your memberships and all messages for you are deleted. Needs and offers stay "
            "with their organisations. This cannot be undone."
        ),
        "facts": [(_("Goes dormant, because nobody else manages it"), one.name) for one in resting],
        "submit": _("Close the account"),
        "danger": True,
        "back": reverse("account"),
    }
    return render(request, "partials/confirm.html", context)
