"""The coordinators' desk: what waits now, and stepping in."""

import datetime as dt
from collections.abc import Callable
from typing import Any, Final

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Count, Prefetch, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts import services as accounts
from apps.accounts.models import IdentifierKind, Organisation, User
from apps.accounts.permissions import Permission, can
from apps.catalogue import identifiers
from apps.catalogue.models import Region
from apps.core import audit
from apps.core.errors import RuleViolation
from apps.demands import review
from apps.demands import services as demands
from apps.demands.models import Demand, DemandState
from apps.matching.explanation.outlook import outlook
from apps.matching.explanation.shortfalls import shortfall_of
from apps.matching.models import Escalation, Match
from apps.notifications import services as outbox
from apps.notifications.models import Message
from apps.notifications.tasks import send_due, wake
from apps.portal.asked import asked_for
from apps.portal.forms.desk import OptionalReasonForm, RequiredReasonForm, SearchForm, VerifyForm
from apps.portal.forms.organisation import OrganisationForm
from apps.portal.forms.seen import SeenForm, seeing
from apps.portal.web import blame, done, refused, status_of, user_of
from apps.portal.wording import asked
from apps.supply.models import Offer, OfferState

_SHOWN: Final = 6
_A_PAGE: Final = 25
_SOON: Final = dt.timedelta(minutes=60)
_FOUND: Final = 25


def coordinator(request: HttpRequest) -> User:
    user = user_of(request)
    if not can(user, Permission.COORDINATE):
        raise Http404
    return user


def _charge(user: User, lookup: str) -> Q:
    """Rows whose region, at `lookup`, lies in one that the user coordinates."""
    mine = Q(pk__in=[])
    for organisation in user.organisations_with(Permission.COORDINATE):
        mine |= Q(**{f"{lookup}__path__startswith": organisation.region.path})
    return mine


# --- What waits -------------------------------------------------------------------------------------------------------


def to_verify(user: User, _now: dt.datetime) -> QuerySet[Any]:
    return (
        Organisation.objects.awaiting_verification()
        .filter(_charge(user, "region"))
        .select_related("region")
        .annotate(documents=Count("evidence"))
        .order_by("updated_at", "pk")
    )


def to_review(user: User, _now: dt.datetime) -> QuerySet[Any]:
    return Demand.objects.awaiting_review().filter(_charge(user, "region")).shown().most_pressing_first()


def escalated(user: User, _now: dt.datetime) -> QuerySet[Any]:
    """Put before any coordinator of the region: what a city could not solve concerns its province and the nation."""
    latest = Escalation.objects.of_the_uncovered().select_related("organisation").order_by("-pk")
    return (
        Demand.objects.open()
        .filter(_charge(user, "region"), pk__in=Escalation.objects.of_the_uncovered().values("demand"))
        .shown()
        .prefetch_related(Prefetch("escalations", latest, to_attr="latest"))
        .order_by("opened_at", "pk")
    )


def running_out(user: User, now: dt.datetime) -> QuerySet[Any]:
    return (
        Demand.objects.open()
        .filter(_charge(user, "region"), escalates_at__lte=now + _SOON)
        .exclude(pk__in=Escalation.objects.of_the_uncovered().values("demand"))
        .shown()
        .order_by("escalates_at", "pk")
    )


def failed(user: User, _now: dt.datetime) -> QuerySet[Any]:
    return (
        Message.objects.failed()
        .filter(_charge(user, "organisation__region"))
        .select_related("organisation", "user")
        .order_by("-pk")
    )


def unconfirmed(user: User, now: dt.datetime) -> QuerySet[Any]:
    asked = Q(state=OfferState.PUBLISHED, asked_at__isnull=False, asked_at__lte=now - dt.timedelta(days=1))
    return (
        Offer.objects.filter(_charge(user, "origin_region"))
        .filter(asked | Q(state=OfferState.STALE))
        .shown()
        .order_by("confirmed_at", "pk")
    )


Queue = tuple[str | Promise, str | Promise, Callable[[User, dt.datetime], QuerySet[Any]]]
QUEUES: Final[dict[str, Queue]] = {
    "escalated": (_("Stuck needs"), _("No need is stuck."), escalated),
    "review": (_("Needs waiting for review"), _("No need is waiting for review."), to_review),
    "verify": (_("Organisations to verify"), _("No organisation is waiting."), to_verify),
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
        count = rows(user, now).order_by().count() if len(first) > _SHOWN else len(first)
        waiting.append(
            {"name": name, "title": title, "nothing": nothing, "rows": first[:_SHOWN], "count": count,
             "more": count - len(first[:_SHOWN])}
        )  # fmt: skip
    context = {"waiting": waiting, "search": SearchForm(), "now": now, "regions": _regions(user)}
    return render(request, "portal/desk/desk.html", context)


def _regions(user: User) -> list[Region]:
    return [organisation.region for organisation in user.organisations_with(Permission.COORDINATE)]


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
    return render(request, "portal/desk/waiting.html", {"queue": queue, "page": page, "now": now})


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
        digits = "".join(letter for letter in text if letter.isdigit())
        by_body = Q(name__icontains=text) | Q(identifier__iexact=text) | Q(contact_name__icontains=text)
        if len(digits) >= 5:
            by_body |= Q(contact_phone__contains=digits) | Q(contact_phone__contains=text)
        organisations = list(
            Organisation.objects.filter(_charge(user, "region"))
            .filter(by_body)
            .select_related("region")
            .order_by("name", "pk")[:_FOUND]
        )
        by_need = Q(reference__iexact=text) | Q(organisation__in=[one.pk for one in organisations])
        if text.isascii() and text.isdigit() and len(text) < 18:
            by_need |= Q(pk=int(text))
        if len(digits) >= 5:
            by_need |= Q(contact_phone__contains=digits)
        needs = list(Demand.objects.filter(_charge(user, "region")).filter(by_need).shown().order_by("-pk")[:_FOUND])
    context = {"search": form, "text": text, "organisations": organisations, "needs": needs, "limit": _FOUND}
    return render(request, "portal/desk/search.html", context)


# --- Organisations ----------------------------------------------------------------------------------------------------


def _organisation(user: User, pk: int) -> Organisation:
    rows = Organisation.objects.filter(_charge(user, "region")).select_related("region", "verified_by")
    return get_object_or_404(rows, pk=pk)


def _identifier_says(organisation: Organisation) -> list[tuple[str, str | Promise]]:
    """What the registration number tells by its form, as (tone, words): questions for a person, not verdicts."""
    number = organisation.identifier
    if not number:
        return [("warn", _("No registration number was given: look at the documents."))]
    if organisation.identifier_kind == IdentifierKind.GLN:
        fits = identifiers.is_gln(number)
        return [("good", _("The check digit fits.")) if fits else ("bad", _("The check digit does not fit."))]
    if organisation.identifier_kind != IdentifierKind.USCC:
        return [("quiet", _("This register gives no check digit: look it up."))]
    if not identifiers.is_uscc(number):
        return [("bad", _("The check character does not fit: mistyped or invented."))]

    says: list[tuple[str, str | Promise]] = [("good", _("The check character fits."))]
    if not identifiers.is_plausible_for(number, organisation.kind):
        says.append(("warn", _("Such an organisation is usually registered in another sector: ask.")))
    place = Region.objects.filter(pk=identifiers.uscc_region(number)).first()
    if place is None:
        says.append(("quiet", _("The place of registration in the number is not known.")))
    elif place.path.split("/")[1] != organisation.region.path.split("/")[1]:
        says.append(("warn", _("Registered in another province: %(place)s.") % {"place": place.label}))
    twins = Organisation.objects.filter(identifier=number).exclude(pk=organisation.pk)[:3]
    says += [("bad", _("“%(name)s” gives the same number.") % {"name": twin.name}) for twin in twins]
    return says


@login_required
@require_GET
def organisation(request: HttpRequest, pk: int) -> HttpResponse:
    return _organisation_page(request, _organisation(coordinator(request), pk))


def _organisation_page(request: HttpRequest, subject: Organisation, **more: Any) -> HttpResponse:
    context = {
        "organisation": subject,
        "says": _identifier_says(subject),
        "evidence": subject.evidence.select_related("uploaded_by").order_by("-pk"),
        "members": subject.memberships.select_related("user").order_by("pk")[:20],
        "needs": Demand.objects.filter(organisation=subject).shown().order_by("-pk")[:10],
        "offers": Offer.objects.filter(organisation=subject).shown().order_by("-pk")[:10],
        "verify_form": VerifyForm(prefix="verify", initial={"seen": seeing(subject.updated_at)}),
        "reject_form": RequiredReasonForm(prefix="reject"),
        "contact": None,
        **more,
    }
    return render(
        request,
        "portal/desk/organisation.html",
        context,
        status=status_of(context["verify_form"], context["reject_form"]),
    )


@login_required
@require_POST
def contact(request: HttpRequest, pk: int) -> HttpResponse:
    """Whom to call. Shown on demand, because it is written down who saw it."""
    user = coordinator(request)
    subject = _organisation(user, pk)
    audit.record(user, "contact.seen", subject)
    response = _organisation_page(request, subject, contact=subject.contact)
    response["Cache-Control"] = "no-store"
    return response


@login_required
@require_POST
def verify(request: HttpRequest, pk: int) -> HttpResponse:
    user = coordinator(request)
    subject = _organisation(user, pk)
    form = VerifyForm(request.POST, prefix="verify")
    if not form.is_valid():
        return _organisation_page(request, subject, verify_form=form)
    try:
        accounts.verify_organisation(subject, by=user, **form.cleaned_data)
    except RuleViolation as violation:
        return refused(request, violation, "desk-organisation", subject.pk)
    return done(request, "desk-organisation", _("Verified. The organisation is told."), subject.pk)


@login_required
@require_POST
def reject(request: HttpRequest, pk: int) -> HttpResponse:
    user = coordinator(request)
    subject = _organisation(user, pk)
    form = RequiredReasonForm(request.POST, prefix="reject")
    if not form.is_valid():
        return _organisation_page(request, subject, reject_form=form)
    try:
        accounts.reject_organisation(subject, by=user, reason=form.cleaned_data["reason"])
    except RuleViolation as violation:
        return refused(request, violation, "desk-organisation", subject.pk)
    return done(request, "desk-organisation", _("Rejected. The organisation is told why."), subject.pk)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def register_caller(request: HttpRequest) -> HttpResponse:
    """Somebody calls who has no account: their organisation, then their need."""
    user = coordinator(request)
    form = OrganisationForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        region = form.cleaned_data["region"]
        if not any(region.is_within(mine) for mine in _regions(user)):
            form.add_error("region", _("This place is not in your charge."))
        else:
            try:
                made = accounts.register_organisation(by=user, joins=False, **form.cleaned_data)
            except RuleViolation as violation:
                blame(form, violation)
            else:
                return done(request, "desk-organisation", _("Registered. Verify it, then post its need."), made.pk)
    return render(request, "portal/desk/caller.html", {"form": form}, status=status_of(form))


# --- Needs ------------------------------------------------------------------------------------------------------------


def _demand(user: User, pk: int) -> Demand:
    return get_object_or_404(Demand.objects.filter(_charge(user, "region")).shown(), pk=pk)


@login_required
@require_GET
def need(request: HttpRequest, pk: int) -> HttpResponse:
    """A need with all that was tried, and what can be done."""
    user = coordinator(request)
    subject = _demand(user, pk)
    now = timezone.now()
    is_short = subject.state == DemandState.OPEN and subject.quantity_remaining > 0
    is_searching = subject.state == DemandState.OPEN and subject.match_requested_at is not None
    context = {
        "demand": subject,
        "asked": asked_for(subject, Match.objects.all(), now=now),
        "is_searching": is_searching,
        "escalations": subject.escalations.select_related("organisation").order_by("pk"),
        "outlook": outlook(subject, now=now) if is_short and not is_searching else None,
        "shortfall": None if is_searching else shortfall_of(subject),
        "returned": review.last_return(subject),
        "judgement": review.judge_quantity(subject) if subject.state == DemandState.DRAFT else None,
    }
    return render(request, "portal/desk/need.html", context)


_STEPS: Final[dict[str, tuple[str | Promise, str | Promise, str | Promise]]] = {
    "open": (_("Open this need?"), _("Suppliers are asked at once."), _("Open the need")),
    "return": (
        _("Return this need to the requester?"),
        _("It is not sent out. The requester is told why, and can correct it and send it again."),
        _("Return the need"),
    ),
    "resume": (_("Resume this need?"), _("Suppliers are asked at once."), _("Resume")),
    "confirm": (_("Is this still needed?"), _("It counts as confirmed today."), _("Still needed")),
    "pause": (
        _("Pause this need?"),
        _("No new suppliers are asked, and unanswered requests are withdrawn."),
        _("Pause"),
    ),
    "cancel": (
        _("Cancel this need?"),
        _("Unanswered requests are withdrawn. Existing orders stand. This cannot be undone."),
        _("Cancel the need"),
    ),
}


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def step_in(request: HttpRequest, pk: int, step: str) -> HttpResponse:
    """Do for the organisation what it could do itself; say why."""
    user = coordinator(request)
    subject = _demand(user, pk)
    if step not in _STEPS:
        raise Http404
    title, text, submit = _STEPS[step]
    forms = {"open": SeenForm, "pause": OptionalReasonForm, "cancel": RequiredReasonForm, "return": RequiredReasonForm}
    typed, shown = request.POST if request.method == "POST" else None, {"seen": seeing(subject.updated_at)}
    form = forms[step](typed, initial=shown) if step in forms else None
    if request.method == "POST" and (form is None or form.is_valid()):
        try:
            _take(step, subject, user, **(form.cleaned_data if form else {}))
        except RuleViolation as violation:
            return refused(request, violation, "desk-need", subject.pk)
        return done(request, "desk-need", _("Done."), subject.pk)
    context = {
        "title": title,
        "text": text,
        "submit": submit,
        "form": form,
        "danger": step in {"pause", "cancel"},
        "back": reverse("desk-need", args=[subject.pk]),
        "facts": [
            (_("Reference"), subject.reference),
            (_("Organisation"), subject.organisation.name),
            (_("Item"), subject.item.label),
            (_("Requested"), asked(subject)),
        ],
    }
    return render(request, "partials/confirm.html", context, status=status_of(form))


def _take(step: str, subject: Demand, user: User, *, reason: str = "", seen: dt.datetime | None = None) -> None:
    if step == "open":
        demands.open_demand(subject, by=user, quantity_confirmed=True, seen=seen)
    elif step == "return":
        demands.return_demand(subject, by=user, reason=reason)
    elif step == "resume":
        demands.resume_demand(subject, by=user)
    elif step == "confirm":
        demands.confirm_demand(subject, by=user)
    elif step == "pause":
        demands.pause_demand(subject, by=user, reason=reason)
    else:
        demands.cancel_demand(subject, by=user, reason=reason)


# --- Messages ---------------------------------------------------------------------------------------------------------


@login_required
@require_POST
def retry(request: HttpRequest, pk: int) -> HttpResponse:
    user = coordinator(request)
    message = get_object_or_404(failed(user, timezone.now()), pk=pk)
    try:
        outbox.retry_message(message, by=user)
    except RuleViolation as violation:
        return refused(request, violation, "desk")
    wake(send_due)
    return done(request, "desk", _("The message is on its way again."))
