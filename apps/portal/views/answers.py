"""One-click answers from mail: GET shows what will happen and changes nothing, POST does it, once, as the link's user.

Mail scanners open every link in a mail, so nothing may happen on GET. Nobody need be logged in: the signature says who
acts, and what is shown never names a contact.
"""

import datetime as dt
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path, reverse
from django.utils import timezone, translation
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from apps.accounts import services as accounts
from apps.accounts.models import User
from apps.accounts.permissions import Permission, can
from apps.core.errors import RuleViolation
from apps.demands import services as demands_services
from apps.demands.models import Demand
from apps.fulfilment.services import accept_match
from apps.matching import services as matching_services
from apps.matching.explanation.wording import why_not_to_answer
from apps.matching.models import Match, MatchState
from apps.matching.tasks import sweep
from apps.notifications.links import OneClickAction, OneClickLink, read_link, use_link
from apps.notifications.models import Channel, Message
from apps.notifications.tasks import wake
from apps.portal.forms.orders import DeclineForm
from apps.portal.takeover import take_back
from apps.portal.wording import quantity
from apps.supply import services as supply_services
from apps.supply.models import Offer

# A change is made a moment before its warning is written.
_WRITTEN_WITHIN: Final = dt.timedelta(minutes=10)


@dataclass(frozen=True)
class Kind:
    """What an action is about, who may do it, and in which words it is offered."""

    rows: Callable[[], Any]
    permission: Permission
    organisation: Callable[[Any], Any]
    is_open: Callable[[Any], bool]
    act: Callable[[Any, OneClickLink, dict[str, Any]], object]
    title: str | Promise
    button: str | Promise
    finished: str | Promise
    template: str
    page: str
    is_grave: bool = False


def _match_waits(match: Match) -> bool:
    return match.state == MatchState.HELD and match.respond_by is not None and match.respond_by > timezone.now()


_MATCH: Final[dict[str, Any]] = {
    "rows": lambda: Match.objects.shown().select_related("offer__organisation__region"),
    "permission": Permission.PUBLISH_OFFERS,
    "organisation": lambda match: match.offer.organisation,
    "is_open": _match_waits,
    "template": "match",
    "page": "match",
}
_DEMAND: Final[dict[str, Any]] = {
    "rows": lambda: Demand.objects.shown().select_related("organisation__region"),
    "permission": Permission.POST_DEMANDS,
    "organisation": lambda demand: demand.organisation,
    "template": "demand",
    "page": "need",
}
_OFFER: Final[dict[str, Any]] = {
    "rows": lambda: Offer.objects.shown().select_related("organisation__region"),
    "permission": Permission.PUBLISH_OFFERS,
    "organisation": lambda offer: offer.organisation,
    "template": "offer",
    "page": "offer",
}

KINDS: Final[dict[str, Kind]] = {
    OneClickAction.MATCH_ACCEPT: Kind(
        **_MATCH,
        act=lambda match, link, _data: accept_match(match, by=link.user),
        title=gettext_lazy("Accept this request?"),
        button=gettext_lazy("Accept all"),
        finished=gettext_lazy("Accepted. Both sides now see each other's contact: log in to see it and to ship."),
    ),
    OneClickAction.MATCH_DECLINE: Kind(
        **_MATCH,
        act=lambda match, link, data: matching_services.decline(match, by=link.user, **data),
        title=gettext_lazy("Decline this request?"),
        button=gettext_lazy("Decline"),
        finished=gettext_lazy("Declined. Thank you for saying so: the next supplier is asked at once."),
    ),
    OneClickAction.DEMAND_CONFIRM: Kind(
        **_DEMAND,
        is_open=lambda demand: demand.can_be_confirmed,
        act=lambda demand, link, _data: demands_services.confirm_demand(demand, by=link.user),
        title=gettext_lazy("Is this still needed?"),
        button=gettext_lazy("Yes, still needed"),
        finished=gettext_lazy("Thank you. We will keep looking."),
    ),
    OneClickAction.DEMAND_CLOSE: Kind(
        **_DEMAND,
        is_open=lambda demand: demand.can_be_cancelled,
        act=lambda demand, link, _data: demands_services.cancel_demand(demand, by=link.user),
        title=gettext_lazy("No longer needed?"),
        button=gettext_lazy("No longer needed: cancel it"),
        finished=gettext_lazy("Cancelled. The suppliers we asked will be told."),
        is_grave=True,
    ),
    OneClickAction.OFFER_CONFIRM: Kind(
        **_OFFER,
        is_open=lambda offer: offer.can_be_confirmed,
        act=lambda offer, link, _data: supply_services.confirm_offer(offer, by=link.user),
        title=gettext_lazy("Is this still available?"),
        button=gettext_lazy("Yes, still available"),
        finished=gettext_lazy("Thank you. The offer is published."),
    ),
    OneClickAction.OFFER_WITHDRAW: Kind(
        **_OFFER,
        is_open=lambda offer: offer.can_be_withdrawn,
        act=lambda offer, link, _data: supply_services.withdraw_offer(offer, by=link.user),
        title=gettext_lazy("No longer available?"),
        button=gettext_lazy("No longer available: withdraw it"),
        finished=gettext_lazy("Withdrawn. You will get no more requests for it."),
        is_grave=True,
    ),
}


@require_http_methods(["GET", "HEAD", "POST"])
def answer(request: HttpRequest, signed: str) -> HttpResponse:
    """The page behind a link of a mail."""
    try:
        link = read_link(signed)
        # In the language and time zone of whom the mail went to, unless whoever reads it chose another language here.
        chosen = settings.LANGUAGE_COOKIE_NAME in request.COOKIES
        language = translation.get_language() if chosen else link.user.language
        with translation.override(language), timezone.override(zone_of(link.user)):
            response = _answer(request, link)
    except RuleViolation as violation:
        response = _page(request, "over", status=violation.status, text=str(violation.message))
    # Not no-referrer: browsers would then send `Origin: null` with the form, which the CSRF protection refuses.
    response["Referrer-Policy"] = "same-origin"
    response["X-Robots-Tag"] = "noindex, nofollow"
    return response


def zone_of(user: User) -> dt.tzinfo:
    try:
        return zoneinfo.ZoneInfo(user.time_zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        return dt.UTC


def _answer(request: HttpRequest, link: OneClickLink) -> HttpResponse:
    if link.action == OneClickAction.ACCOUNT_FREEZE:
        return _freeze(request, link)
    kind = KINDS[link.action]
    row = kind.rows().filter(pk=link.target_id).first()
    # Rights are looked up now: the link outlives a membership.
    if row is None or not link.is_about(row) or not can(link.user, kind.permission, kind.organisation(row)):
        text = _(
            "This link is not valid any more: you may not answer for this organisation. Log in to see what you may do."
        )
        return _page(request, "over", status=410, text=text)

    context: dict[str, Any] = {
        "kind": kind,
        "row": row,
        "link": link,
        "for_whom": kind.organisation(row),
        "about": f"portal/answers/{kind.template}.html",
        "button": _button(kind, row),
        "page_url": reverse(kind.page, args=[row.pk]),
    }
    form = DeclineForm(request.POST or None) if link.action == OneClickAction.MATCH_DECLINE else None
    if request.method == "POST" and kind.is_open(row):
        if form is not None and not form.is_valid():
            return _page(request, "ask", status=400, form=form, **context)
        return _carry_out(request, link, kind, row, form, context)
    if not kind.is_open(row):
        return _page(request, "over", status=410, text=_overtaken(row), **context)
    return _page(request, "ask", form=form, **context)


def _freeze(request: HttpRequest, link: OneClickLink) -> HttpResponse:
    """The page of “This was not me”: the owner of the address that was warned takes the account back."""
    warning = Message.objects.filter(pk=link.target_id, user=link.user, channel=Channel.EMAIL).first()
    if warning is None or not link.is_about(warning) or accounts.was_frozen_before(link.user, warning.created_at):
        text = _("This account was taken back since. Reset the password by the address that it has now.")
        return _page(request, "over", status=410, text=text)
    if request.method != "POST":
        return _page(request, "freeze", address=warning.address)
    try:
        with transaction.atomic():
            use_link(link)
            since = warning.created_at - _WRITTEN_WITHIN
            is_open = take_back(link.user, address=warning.address, since=since)
    except RuleViolation as violation:
        return _page(request, "over", status=violation.status, text=str(violation.message))
    return _page(request, "frozen", address=warning.address, is_open=is_open)


def _carry_out(
    request: HttpRequest, link: OneClickLink, kind: Kind, row: Any, form: DeclineForm | None, context: dict[str, Any]
) -> HttpResponse:
    """Use the link up and do it, together or not at all."""
    try:
        # A link must not be used up by an answer that failed, nor an answer count twice.
        with transaction.atomic():
            use_link(link)
            kind.act(row, link, form.cleaned_data if form is not None else {})
            wake(sweep)
    except RuleViolation as violation:
        return _page(request, "over", status=violation.status, text=str(violation.message), **context)
    return _page(request, "done", **context)


def _button(kind: Kind, row: Any) -> str:
    """What the button says: accepting names the quantity that is accepted."""
    if kind is KINDS[OneClickAction.MATCH_ACCEPT]:
        return _("Accept all: %(quantity)s") % {"quantity": quantity(row.quantity, row.offer.item)}
    return str(kind.button)


def _overtaken(row: Match | Demand | Offer) -> str:
    """Why there is nothing to answer any more."""
    if isinstance(row, Match):
        # After a change of the need its supplier has two mails; the first says where to answer.
        if newer := Match.objects.held().filter(demand=row.demand_id, offer=row.offer_id, pk__gt=row.pk).first():
            return _("A newer request, for %(quantity)s, has taken its place: answer that one.") % {
                "quantity": quantity(newer.quantity, row.offer.item)
            }
        return str(why_not_to_answer(row.state))
    return _("There is nothing to answer any more: it is “%(state)s”.") % {"state": row.get_state_display()}


def _page(request: HttpRequest, name: str, *, status: int = 200, **context: Any) -> HttpResponse:
    return render(request, f"portal/answers/{name}.html", context, status=status)


urlpatterns = [path("a/<str:signed>/", answer, name="answer")]
