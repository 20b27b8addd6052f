"""What somebody typed before a login that has ended came in the way: kept in their own session until they are back."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, Final, ParamSpec

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils.translation import gettext as _

_KEY: Final = "kept_form"
# The session lies in the database: a program that posts without a login must not fill it.
_LONGEST: Final = 20_000
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
            return _keep(request)
        return inside(request, *args, **kwargs)

    return page


def _keep(request: HttpRequest) -> HttpResponse:
    """Put the form aside and ask for a login first; a form longer than any person types is not kept."""
    typed = request.POST.urlencode()
    if len(typed) <= _LONGEST:
        request.session[_KEY] = {"path": request.path, "typed": typed}
        messages.info(request, _("You were logged out meanwhile. What you typed is kept: log in, then send it."))
    return redirect_to_login(request.get_full_path())


def take(request: HttpRequest) -> QueryDict | None:
    """What was typed on this page before the login, once: when it is opened again."""
    if request.method != "GET" or _KEY not in request.session or request.session[_KEY]["path"] != request.path:
        return None
    # Popped: whoever opens the page again later gets an empty form.
    return QueryDict(request.session.pop(_KEY)["typed"])
