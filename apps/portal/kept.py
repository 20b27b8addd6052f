"""What somebody typed before a login that has ended came in the way: kept in their own session until they are back."""

from typing import Final

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils.translation import gettext as _

_KEY: Final = "kept_form"
_LONGEST: Final = 20_000


def keep(request: HttpRequest) -> HttpResponse:
    """Put the form aside and ask for a login first; a form longer than any person types is not kept."""
    typed = request.POST.urlencode()
    if len(typed) <= _LONGEST:
        request.session[_KEY] = {"path": request.path, "typed": typed}
        messages.info(request, _("You were logged out meanwhile. What you typed is kept: log in, then post it."))
    return redirect_to_login(request.get_full_path())


def take(request: HttpRequest) -> QueryDict | None:
    """What was typed on this page before the login, once."""
    if _KEY not in request.session or request.session[_KEY]["path"] != request.path:
        return None
    return QueryDict(request.session.pop(_KEY)["typed"])
