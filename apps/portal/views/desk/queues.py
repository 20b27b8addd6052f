"""What waits for a coordinator now, and the search by which one finds who is calling."""

import datetime as dt
from collections.abc import Callable
from typing import Any, Final

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Count, Prefetch, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.models import Organisation, User
from apps.core.errors import RuleViolation
from apps.demands.models import Demand
from apps.duplicates.models import DuplicateProposal
from apps.matching.models import Escalation
from apps.notifications import services as outbox
from apps.notifications.models import Message
from apps.notifications.tasks import wake_senders
from apps.portal.forms.desk import SearchForm
from apps.portal.views.desk.charge import coordinator, in_charge_of, regions_of
from apps.portal.views.desk.duplicates import propose_form
from apps.portal.web import done, refused
from apps.reports.models import AbuseReport
from apps.supply.models import Offer, OfferState

_SHOWN: Final = 6
_A_PAGE: Final = 25
# Time enough to make two telephone calls before the next coordinator is told.
_SOON: Final = dt.timedelta(minutes=60)
_FOUND: Final = 25


def to_verify(user: User, _now: dt.datetime) -> QuerySet[Any]:
    return (
        Organisation.objects.awaiting_verification()
        .filter(in_charge_of(user, "region"))
        .select_related("region")
        .annotate(documents=Count("evidence"))
        .order_by("updated_at", "pk")
    )


def to_review(user: User, _now: dt.datetime) -> QuerySet[Any]:
    return Demand.objects.awaiting_review().filter(in_charge_of(user, "region")).shown().most_pressing_first()


def escalated(user: User, _now: dt.datetime) -> QuerySet[Any]:
    """Put before any coordinator of the region: what a city could not solve concerns its province and the nation."""
    latest = Escalation.objects.of_the_uncovered().select_related("organisation").order_by("-pk")
    return (
        Demand.objects.open()
        .filter(in_charge_of(user, "region"), pk__in=Escalation.objects.of_the_uncovered().values("demand"))
        .shown()
        .prefetch_related(Prefetch("escalations", latest, to_attr="latest"))
        .order_by("opened_at", "pk")
    )


def running_out(user: User, now: dt.datetime) -> QuerySet[Any]:
    return (
        Demand.objects.open()
        .filter(in_charge_of(user, "region"), escalates_at__lte=now + _SOON)
        .exclude(pk__in=Escalation.objects.of_the_uncovered().values("demand"))
        .shown()
        .order_by("escalates_at", "pk")
    )


def duplicates(user: User, _now: dt.datetime) -> QuerySet[Any]:
    both = in_charge_of(user, "first__region") & in_charge_of(user, "second__region")
    return DuplicateProposal.objects.waiting().filter(both).shown().order_by("-score", "pk")


def failed(user: User, _now: dt.datetime) -> QuerySet[Any]:
    return (
        Message.objects.failed()
        .filter(in_charge_of(user, "organisation__region"))
        .select_related("organisation", "user")
        .order_by("-pk")
    )


def doubted(user: User, _now: dt.datetime) -> QuerySet[Any]:
    rows = Offer.objects.awaiting_review().filter(in_charge_of(user, "origin_region"))
    return rows.shown().order_by("review_requested_at", "pk")


def reported(user: User, _now: dt.datetime) -> QuerySet[Any]:
    return AbuseReport.objects.waiting().at_desk_of(user).select_related("accused").order_by("pk")


def unconfirmed(user: User, now: dt.datetime) -> QuerySet[Any]:
    # A day after the question: before, the supplier may still answer by itself.
    asked = Q(state=OfferState.PUBLISHED, asked_at__isnull=False, asked_at__lte=now - dt.timedelta(days=1))
    return (
        Offer.objects.filter(in_charge_of(user, "origin_region"))
        .filter(asked | Q(state=OfferState.STALE))
        .shown()
        .order_by("confirmed_at", "pk")
    )


Queue = tuple[str | Promise, str | Promise, Callable[[User, dt.datetime], QuerySet[Any]]]
QUEUES: Final[dict[str, Queue]] = {
    "escalated": (_("Stuck needs"), _("No need is stuck."), escalated),
    "review": (_("Needs waiting for review"), _("No need is waiting for review."), to_review),
    "doubted": (_("Offers waiting for review"), _("No offer is waiting for review."), doubted),
    "reports": (_("Reports of abuse"), _("No report is waiting."), reported),
    "verify": (_("Organisations to verify"), _("No organisation is waiting."), to_verify),
    "duplicates": (_("Organisations that may be one"), _("No two organisations look like one."), duplicates),
    "clock": (_("Needs that will be escalated within the hour"), _("No need is about to be escalated."), running_out),
    "failed": (_("Messages that failed"), _("No message has failed."), failed),
    "offers": (_("Offers that nobody confirmed"), _("All offers are confirmed."), unconfirmed),
}


@login_required
@require_GET
def desk(request: HttpRequest) -> HttpResponse:
    user, now = coordinator(request), timezone.now()
    waiting = []
    for name, (title, nothing, rows) in QUEUES.items():
        first = list(rows(user, now)[: _SHOWN + 1])
        # Counted only where the first page does not show all.
        count = rows(user, now).order_by().count() if len(first) > _SHOWN else len(first)
        waiting.append(
            {"name": name, "title": title, "nothing": nothing, "rows": first[:_SHOWN], "count": count,
             "more": count - len(first[:_SHOWN])}
        )  # fmt: skip
    context = {"waiting": waiting, "search": SearchForm(), "now": now, "regions": regions_of(user)}
    return render(request, "portal/desk/desk.html", context)


@login_required
@require_GET
def waiting(request: HttpRequest, name: str) -> HttpResponse:
    """One of the queues, whole."""
    user, now = coordinator(request), timezone.now()
    if name not in QUEUES:
        raise Http404
    title, nothing, rows = QUEUES[name]
    page = Paginator(rows(user, now), _A_PAGE).get_page(request.GET.get("page"))
    queue = {"name": name, "title": title, "nothing": nothing, "rows": page.object_list, "count": page.paginator.count}
    context: dict[str, Any] = {"queue": queue, "page": page, "now": now}
    if name == "duplicates":
        context["propose_form"] = propose_form(user)
    return render(request, "portal/desk/waiting.html", context)


@login_required
@require_GET
def search(request: HttpRequest) -> HttpResponse:
    """Organisations by name, phone or registration number, needs by reference or number, of the region in charge."""
    user = coordinator(request)
    form = SearchForm(request.GET)
    organisations: list[Organisation] = []
    needs: list[Demand] = []
    text = form.cleaned_data["q"].strip() if form.is_valid() else ""
    if text:
        # Callers read their number out with spaces and dashes. Fewer than five digits would fit everybody.
        digits = "".join(letter for letter in text if letter.isdigit())
        by_body = Q(name__icontains=text) | Q(identifier__iexact=text) | Q(contact_name__icontains=text)
        if len(digits) >= 5:
            by_body |= Q(contact_phone__contains=digits) | Q(contact_phone__contains=text)
        organisations = list(
            Organisation.objects.filter(in_charge_of(user, "region"))
            .filter(by_body)
            .select_related("region")
            .order_by("name", "pk")[:_FOUND]
        )
        by_need = Q(reference__iexact=text) | Q(organisation__in=[one.pk for one in organisations])
        # The number of a need, as its address shows it.
        if text.isascii() and text.isdigit() and len(text) < 18:
            by_need |= Q(pk=int(text))
        if len(digits) >= 5:
            by_need |= Q(contact_phone__contains=digits)
        needs = list(
            Demand.objects.filter(in_charge_of(user, "region")).filter(by_need).shown().order_by("-pk")[:_FOUND]
        )
    context = {"search": form, "text": text, "organisations": organisations, "needs": needs, "limit": _FOUND}
    return render(request, "portal/desk/search.html", context)


@login_required
@require_POST
def retry(request: HttpRequest, pk: int) -> HttpResponse:
    user = coordinator(request)
    message = get_object_or_404(failed(user, timezone.now()), pk=pk)
    try:
        outbox.retry_message(message, by=user)
    except RuleViolation as violation:
        return refused(request, violation, "desk")
    # `done` wakes matching only.
    wake_senders()
    return done(request, "desk", _("The message is on its way again."))
