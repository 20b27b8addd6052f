"""What waits for a coordinator now, and the search by which one finds who is calling."""

import datetime as dt
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from django.contrib.auth.decorators import login_required
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
from apps.desk.models import DeskNote
from apps.duplicates.models import DuplicateProposal
from apps.matching.models import Escalation
from apps.notifications import services as outbox
from apps.notifications.models import Message
from apps.notifications.tasks import wake_senders
from apps.portal import paging
from apps.portal.forms.desk import SearchForm
from apps.portal.forms.queues import BulkForm, QueueFilter, VerifyManyForm
from apps.portal.navigation import MOST_COUNTED, as_badge, capped
from apps.portal.views.desk.charge import coordinator, in_charge_of, regions_of
from apps.portal.views.desk.duplicates import propose_form
from apps.portal.web import done, refused, user_of
from apps.reports.models import AbuseReport
from apps.supply.models import Offer

_SHOWN: Final = 6
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


def of_boards(user: User, _now: dt.datetime) -> QuerySet[Any]:
    return Organisation.objects.of_boards_to_verify().filter(in_charge_of(user, "region")).order_by("pk")


def _bodies() -> QuerySet[Any]:
    # What there is to judge by, side by side.
    return Organisation.objects.select_related("region").annotate(
        documents=Count("evidence", distinct=True), needs=Count("demands", distinct=True)
    )


def to_review(user: User, _now: dt.datetime) -> QuerySet[Any]:
    return Demand.objects.awaiting_review().filter(in_charge_of(user, "region")).most_pressing_first()


def escalated(user: User, _now: dt.datetime) -> QuerySet[Any]:
    """Put before any coordinator of the region: what a city could not solve concerns its province and the nation."""
    return Demand.objects.escalated().filter(in_charge_of(user, "region")).most_pressing_first("opened_at")


def running_out(user: User, now: dt.datetime) -> QuerySet[Any]:
    # A clock that has run out is for the next sweep to escalate, and no coordinator comes before it any more.
    soon = Demand.objects.open().filter(escalates_at__gt=now, escalates_at__lte=now + _SOON, escalation_level=0)
    return soon.filter(in_charge_of(user, "region")).most_pressing_first("escalates_at")


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
    return rows.order_by("review_requested_at", "pk")


def reported(user: User, _now: dt.datetime) -> QuerySet[Any]:
    return AbuseReport.objects.waiting().at_desk_of(user).select_related("accused").order_by("pk")


def unconfirmed(user: User, now: dt.datetime) -> QuerySet[Any]:
    # A day after the question: before, the supplier may still answer by itself.
    rows = Offer.objects.unanswered(now - dt.timedelta(days=1)).filter(in_charge_of(user, "origin_region"))
    return rows.order_by("confirmed_at", "pk")


def _needs() -> QuerySet[Any]:
    latest = Escalation.objects.of_the_uncovered().select_related("organisation").order_by("-pk")
    notes = DeskNote.objects.select_related("by").order_by("-pk")
    return (
        Demand.objects.shown()
        .select_related("handling__owner")
        .prefetch_related(
            Prefetch("escalations", latest, to_attr="latest"), Prefetch("desk_notes", notes, to_attr="noted")
        )
    )


class Queue(NamedTuple):
    """What waits for a coordinator: its rows in order, and how they are shown where `rows` only finds them.

    `region` is the column of their place, by which the queue can be narrowed; none of it where that is empty.
    """

    title: str | Promise
    nothing: str | Promise
    rows: Callable[[User, dt.datetime], QuerySet[Any]]
    shown: Callable[[], QuerySet[Any]] | None = None
    region: str = ""
    has_items: bool = True
    has_causes: bool = False
    has_posts: bool = False  # its rows are needs, shown post by post

    def filter_of(self, request: HttpRequest, rows: QuerySet[Any]) -> QueueFilter | None:
        """The form that narrows these rows down, as the address fills it in."""
        if not self.region:
            return None
        return QueueFilter(
            request.GET,
            user=user_of(request),
            rows=rows,
            region=self.region,
            has_items=self.has_items,
            has_causes=self.has_causes,
        )

    def first(self, user: User, now: dt.datetime) -> dict[str, Any]:
        """The first rows and how many there are, as far as they are counted."""
        rows = self.rows(user, now)
        keys = list(rows.values_list("pk", flat=True)[: MOST_COUNTED + 1])
        return {
            "title": self.title,
            "nothing": self.nothing,
            "has_posts": self.has_posts,
            "rows": paging.with_keys(self.shown() if self.shown else rows, keys[:_SHOWN]),
            "count": as_badge(len(keys)),
            "has_more": len(keys) > _SHOWN,
        }


QUEUES: Final[dict[str, Queue]] = {
    "escalated": Queue(
        _("Stuck needs"), _("No need is stuck."), escalated, _needs, region="region", has_causes=True, has_posts=True
    ),
    "review": Queue(
        _("Needs waiting for review"),
        _("No need is waiting for review."),
        to_review,
        Demand.objects.shown,
        region="region",
        has_posts=True,
    ),
    "doubted": Queue(
        _("Offers waiting for review"),
        _("No offer is waiting for review."),
        doubted,
        Offer.objects.shown,
        region="origin_region",
    ),
    "reports": Queue(_("Reports of abuse"), _("No report is waiting."), reported),
    "verify": Queue(
        _("Organisations to verify"), _("No organisation is waiting."), to_verify, region="region", has_items=False
    ),
    "imported": Queue(
        _("Organisations of a board to verify"),
        _("No organisation of a board is waiting."),
        of_boards,
        _bodies,
        region="region",
        has_items=False,
    ),
    "duplicates": Queue(_("Organisations that may be one"), _("No two organisations look like one."), duplicates),
    "clock": Queue(
        _("Needs that will be escalated within the hour"),
        _("No need is about to be escalated."),
        running_out,
        _needs,
        region="region",
        has_posts=True,
        has_causes=True,
    ),
    "failed": Queue(_("Messages that failed"), _("No message has failed."), failed),
    "offers": Queue(
        _("Offers that nobody confirmed"),
        _("All offers are confirmed."),
        unconfirmed,
        Offer.objects.shown,
        region="origin_region",
    ),
}


@login_required
@require_GET
def desk(request: HttpRequest) -> HttpResponse:
    user, now = coordinator(request), timezone.now()
    waiting = [queue.first(user, now) | {"name": name} for name, queue in QUEUES.items()]
    context = {"waiting": waiting, "search": SearchForm(), "now": now, "regions": regions_of(user)}
    return render(request, "portal/desk/desk.html", context)


@login_required
@require_GET
def waiting(request: HttpRequest, name: str) -> HttpResponse:
    """One of the queues, whole."""
    user, now = coordinator(request), timezone.now()
    if name not in QUEUES:
        raise Http404
    queue = QUEUES[name]
    rows = queue.rows(user, now)
    narrow = queue.filter_of(request, rows)
    if narrow is not None:
        rows = narrow.narrowed(rows)
    page = paging.in_order(request, rows, shown=queue.shown and queue.shown())
    context: dict[str, Any] = {
        "filter": narrow,
        "queue": {
            "name": name,
            "title": queue.title,
            "nothing": queue.nothing,
            "has_posts": queue.has_posts,
            "count": as_badge(capped(rows)),
        },
        "page": page,
        "now": now,
    }
    if queue.has_causes:  # open needs, which can be acted on together
        context["bulk"] = BulkForm()
    if name in {"verify", "imported"}:
        context["verify_many"] = VerifyManyForm()
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
