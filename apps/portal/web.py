"""The few gestures that every view makes."""

from allauth.account.internal.flows.reauthentication import is_reauthentication_required
from allauth.core.exceptions import ReauthenticationRequired
from allauth.core.internal.httpkit import get_client_ip
from django.contrib import messages
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.cache import patch_cache_control
from django.utils.functional import Promise

from apps.accounts.models import User
from apps.core.errors import RuleViolation
from apps.exports.publishing import KEPT
from apps.matching.tasks import sweep
from apps.notifications.tasks import wake


def user_of(request: HttpRequest) -> User:
    """The user of a request that a login was demanded for."""
    assert isinstance(request.user, User)
    return request.user


def network_address(request: HttpRequest) -> str:
    """From where a request came, behind the proxies that are trusted."""
    return get_client_ip(request) or ""


def kept_for_all(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Let any cache keep a page that is the same for all strangers, unless it has something for this reader alone."""
    if not request.user.is_authenticated and not messages.get_messages(request):
        patch_cache_control(response, public=True, **KEPT)
    return response


def csv_response(name: str) -> HttpResponse:
    """An empty file of figures, which says where they are defined. An empty field is “not known, or not shown”."""
    response = HttpResponse(content_type="text/csv; charset=utf-8; header=present")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Link"] = f'<{reverse("figures")}>; rel="describedby"'
    return response


def require_password(request: HttpRequest) -> None:
    """Send whoever did not give the password lately to give it again; the request goes on after that.

    Somebody else may sit before an open session.
    """
    if is_reauthentication_required(request, app="allauth.account"):
        raise ReauthenticationRequired  # allauth's middleware turns it into a redirect, and keeps the request


def done(request: HttpRequest, to: object, message: str | Promise = "", *args: object) -> HttpResponse:
    """After a service did its work: say so, wake matching, go on to another page (a URL name or an object)."""
    # After every change, because most of them give matching something to do, and a needless wake-up costs nothing.
    wake(sweep)
    if message:
        messages.success(request, str(message))
    return redirect(to, *args)  # type: ignore[call-overload, no-any-return]  # a name, a URL or a model: Django finds out


def refused(request: HttpRequest, violation: RuleViolation, to: str, *args: object) -> HttpResponseRedirect:
    """After a service said no to a plain button: say why, and show the page as it now is."""
    messages.error(request, str(violation.message))
    return redirect(to, *args)


def status_of(*forms: BaseForm | None) -> int:
    """400 for a page that shows what is wrong with what was sent, else 200."""
    # A browser shows the page all the same; scripts, tests and monitors see that nothing was saved.
    return 400 if any(form is not None and form.is_bound and form.errors for form in forms) else 200


def blame(form: BaseForm, violation: RuleViolation) -> None:
    """Put what a service said against the fields that it blames, or above the form."""
    blamed: dict[str | None, set[str]] = {}
    for name, texts in violation.errors.items():
        field = name.rpartition(".")[2]  # `1.needed_by`, of the second line
        blamed.setdefault(field if field in form.fields else None, set()).update(str(text) for text in texts)
    for place, said in blamed.items():
        # In a fixed order, or the page would differ from one time to the next.
        for text in sorted(said):
            form.add_error(place, text)
    if not blamed:
        form.add_error(None, str(violation.message))
