"""What somebody typed before a login that has ended came in the way: the login page carries it until they are back."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, Final, ParamSpec

from allauth.account import app_settings
from allauth.utils import get_form_class
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _

_KEY: Final = "kept_form"
LONGEST: Final = 20_000  # in characters; no person types more
P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]


def over_login(view: "View[P]") -> "View[P]":
    """A page for people who are logged in, which keeps what was typed into it by somebody who is not any more. It
    asks `take` for that.
    """
    inside: View[P] = login_required(view)

    @wraps(view)
    def page(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        # `login_required` would answer with a redirect, and the browser would throw the form away.
        if request.method == "POST" and not request.user.is_authenticated:
            return _login_page(request)
        return inside(request, *args, **kwargs)

    return page


def _login_page(request: HttpRequest) -> HttpResponse:
    """The login page with the form in hidden fields; a form longer than any person types is not kept.

    Nothing is stored before the password is right: a stranger could fill the table of sessions.
    """
    typed = request.POST.urlencode()
    if len(typed) > LONGEST:
        return redirect_to_login(request.get_full_path())
    messages.info(request, _("You were logged out meanwhile. What you typed is kept: log in, then send it."))
    kind = get_form_class(app_settings.FORMS, "login", None)  # type: ignore[no-untyped-call]  # has no types
    form = kind(request=request, initial={"typed": typed, "typed_at": request.path})
    context = {
        "form": form,
        "redirect_field": format_html('<input type="hidden" name="next" value="{}">', request.get_full_path()),
        "signup_url": reverse("account_signup"),
    }
    return render(request, "account/login.html", context)


def put(request: HttpRequest, *, typed: str, path: str) -> None:
    """Keep what the login page carried, in the session of the person who logs in."""
    if typed:
        request.session[_KEY] = {"path": path, "typed": typed}


def take(request: HttpRequest) -> QueryDict | None:
    """What was typed on this page before the login, once: when it is opened again."""
    if request.method != "GET" or _KEY not in request.session or request.session[_KEY]["path"] != request.path:
        return None
    # Popped: whoever opens the page again later gets an empty form.
    return QueryDict(request.session.pop(_KEY)["typed"])
