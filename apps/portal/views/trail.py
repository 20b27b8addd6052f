"""The audit trail: of one row for those whom it concerns, and of a region for its coordinators."""

import csv
import json
from collections.abc import Collection
from itertools import chain
from typing import Any, Final

from django import forms
from django.contrib.auth.decorators import login_required
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path, reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET

from apps.accounts.models import Membership, Organisation, User
from apps.accounts.permissions import Permission, can
from apps.core import audit
from apps.core.models import AuditEntry
from apps.demands.models import Demand
from apps.fulfilment.models import Order
from apps.matching.models import Match
from apps.portal import trail
from apps.portal.paging import first_of, newest_first
from apps.portal.views.desk.charge import coordinator, in_charge_of
from apps.portal.views.needs import need_for
from apps.portal.views.orders import order_for
from apps.portal.views.organisation import is_insider, visible
from apps.portal.views.supply import offer_for
from apps.portal.web import status_of, user_of

# Rows of one file. Whoever wants more asks again with an earlier date.
_IN_A_FILE: Final = 10_000
_FOUND: Final = 20


def _page(
    request: HttpRequest, entries: QuerySet[AuditEntry], title: str, back: str, insiders: Collection[int] | None
) -> HttpResponse:
    page = newest_first(request, entries)
    context = {"page": page, "lines": trail.lines_of(page.rows, insiders=insiders), "title": title, "back": back}
    return render(request, "portal/trail/object.html", context)


def _insiders(user: User, *organisations: Organisation) -> list[int] | None:
    """Whom the reader may know by name: the people of their own side. Coordinators may know everybody (None)."""
    own = {grant.organisation_id for grant in user.grants}
    if not own & {one.pk for one in organisations} and can(user, Permission.COORDINATE):
        return None
    side = [one.pk for one in organisations if one.pk in own]
    return list(Membership.objects.filter(organisation__in=side).values_list("user_id", flat=True))


@login_required
@require_GET
def of_account(request: HttpRequest) -> HttpResponse:
    user = user_of(request)
    return _page(request, trail.about(user), str(user), reverse("account"), [user.pk])


@login_required
@require_GET
def of_organisation(request: HttpRequest, pk: int) -> HttpResponse:
    user, organisation = user_of(request), visible(request, pk)
    if not is_insider(user, organisation):
        raise Http404
    back = reverse("organisation", args=[pk])
    return _page(request, trail.about(organisation), organisation.name, back, _insiders(user, organisation))


@login_required
@require_GET
def of_need(request: HttpRequest, pk: int) -> HttpResponse:
    """The need, and who saw its contact: looks are noted at its matches."""
    user, need = user_of(request), need_for(user_of(request), pk)
    if not can(user, Permission.VIEW, need.organisation):
        raise Http404
    # Answers of suppliers stand on the need's own page, with what may be told of them.
    [of_matches] = trail.about_each(Match.objects.filter(demand=need))
    looks = Q(of_matches, event="contact.seen")
    entries = AuditEntry.objects.that_meet(looks, Q(target_type="demands.demand", target_id=str(need.pk)))
    return _page(request, entries, need.reference, reverse("need", args=[pk]), _insiders(user, need.organisation))


@login_required
@require_GET
def of_offer(request: HttpRequest, pk: int) -> HttpResponse:
    user, offer = user_of(request), offer_for(user_of(request), pk)
    if not can(user, Permission.VIEW, offer.organisation):
        raise Http404
    [of_matches] = trail.about_each(Match.objects.filter(offer=offer))
    looks = Q(of_matches, event="contact.seen")
    entries = AuditEntry.objects.that_meet(looks, Q(target_type="supply.offer", target_id=str(offer.pk)))
    return _page(request, entries, str(offer.item), reverse("offer", args=[pk]), _insiders(user, offer.organisation))


@login_required
@require_GET
def of_order(request: HttpRequest, pk: int) -> HttpResponse:
    user, order = user_of(request), order_for(user_of(request), pk)
    sides = order.match.demand.organisation, order.match.offer.organisation
    if not any(can(user, Permission.VIEW, side) for side in sides):
        raise Http404
    back = reverse("order", args=[pk])
    return _page(request, trail.about(order, order.match), str(order), back, _insiders(user, *sides))


# --- For coordinators -------------------------------------------------------------------------------------------------


class TrailForm(forms.Form):
    q = forms.CharField(
        label=_("Organisation, need or order"),
        help_text=_("A name, a registration number, a reference or a number."),
        max_length=80,
        widget=forms.TextInput(attrs={"type": "search"}),
    )
    event = forms.ChoiceField(label=_("What"), choices=lambda: [("", _("all")), *trail.WORDS.items()], required=False)
    who = forms.CharField(label=_("Who (e-mail address)"), max_length=254, required=False)
    since = forms.DateField(
        label=_("From"), required=False, widget=forms.DateInput(attrs={"type": "date", "class": "short"})
    )


@login_required
@require_GET
def search(request: HttpRequest) -> HttpResponse:
    """What happened to organisations in the reader's charge, and to their needs, offers and orders."""
    user = coordinator(request)
    form = TrailForm(request.GET if "q" in request.GET else None)
    if not form.is_valid():
        return render(request, "portal/trail/search.html", {"form": form, "page": None}, status=status_of(form))

    entries = _found(user, form.cleaned_data)
    if request.GET.get("format") == "csv":
        return _file(user, entries, request.GET["q"])
    page = newest_first(request, entries)
    query = request.GET.copy()
    query["format"] = "csv"
    context = {
        "form": form,
        "page": page,
        "lines": trail.lines_of(page.rows, insiders=None),
        "file": f"?{query.urlencode()}",
    }
    return render(request, "portal/trail/search.html", context)


def _found(user: User, asked: dict[str, Any]) -> QuerySet[AuditEntry]:
    text = asked["q"].strip()
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 18 else 0
    bodies = Organisation.objects.filter(in_charge_of(user, "region"))
    named = list(bodies.filter(Q(name__icontains=text) | Q(identifier__iexact=text)).order_by("name", "pk")[:_FOUND])
    needs = Demand.objects.filter(in_charge_of(user, "region"), Q(reference__iexact=text) | Q(pk=number))
    orders = Order.objects.filter(
        Q(match__demand__in=needs.values("pk")) | Q(in_charge_of(user, "match__demand__region"), pk=number)
    )
    matches = Match.objects.filter(demand__in=needs.values("pk"))
    about = trail.about_organisations(named), trail.about_each(needs, orders, matches)
    entries = AuditEntry.objects.that_meet(*chain(*about))
    if asked["event"]:
        entries = entries.filter(event=asked["event"])
    if asked["who"]:
        entries = entries.filter(actor__in=User.objects.filter(email__iexact=asked["who"].strip()))
    if asked["since"]:
        entries = entries.filter(at__date__gte=asked["since"])
    return entries


def _file(user: User, entries: QuerySet[AuditEntry], text: str) -> HttpResponse:
    """The newest entries as CSV with everything that was noted. Taking them out is noted too."""
    found = first_of(entries.order_by("-pk"), _IN_A_FILE, AuditEntry.objects.select_related("actor"))
    audit.record(user, "trail.searched", user, note=text[:80], rows=len(found))
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="trail.csv"'
    writer = csv.writer(response)
    writer.writerow(["at", "actor", "event", "target_type", "target_id", "data"])
    for entry in found:
        actor = entry.actor.email if isinstance(entry.actor, User) else ""
        writer.writerow(
            [
                entry.at.isoformat(),
                # Spreadsheets take a text that begins so for a formula, and an address may.
                f"'{actor}" if actor[:1] in {"=", "+", "-", "@"} else actor,
                entry.event,
                entry.target_type,
                entry.target_id,
                json.dumps(entry.data, ensure_ascii=False),
            ]
        )
    return response


urlpatterns = [
    path("account/trail/", of_account, name="account-trail"),
    path("organisation/<int:pk>/trail/", of_organisation, name="organisation-trail"),
    path("needs/<int:pk>/trail/", of_need, name="need-trail"),
    path("supply/<int:pk>/trail/", of_offer, name="offer-trail"),
    path("orders/<int:pk>/trail/", of_order, name="order-trail"),
    path("desk/trail/", search, name="desk-trail"),
]
