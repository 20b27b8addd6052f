"""What suppliers are asked for: accept all or part, or decline."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from apps.accounts.models import User
from apps.accounts.permissions import Permission, can
from apps.core.errors import RuleViolation
from apps.fulfilment.services import accept_match
from apps.matching import services as matching_services
from apps.matching.explanation.wording import why_not_to_answer
from apps.matching.models import WAS_ASKED, Match, MatchState
from apps.portal.access import suppliers_of
from apps.portal.forms.orders import AcceptForm, DeclineForm
from apps.portal.paging import in_order, newest_first
from apps.portal.web import blame, done, refused, user_of


def match_for(user: User, pk: int, permission: Permission = Permission.VIEW) -> Match:
    """A request to a supplier that the user may see as its supplier; 404 as well when `permission` is missing."""
    matches = Match.objects.visible_to(user).exclude(state=MatchState.STANDBY)
    match = get_object_or_404(matches.shown().select_related("offer__organisation__region"), pk=pk)
    if not can(user, permission, match.offer.organisation):
        raise Http404
    return match


@login_required
def listing(request: HttpRequest) -> HttpResponse:
    user = user_of(request)
    suppliers, organisation = suppliers_of(request, user)
    # Suppliers see what they were asked. Whoever watches a named one need not see all of that.
    mine = Match.objects.visible_to(user) if organisation else Match.objects.filter(WAS_ASKED)
    mine = mine.for_suppliers(suppliers)
    waiting = mine.awaiting_answer(timezone.now())
    answered = mine.exclude(state__in=[MatchState.HELD, MatchState.STANDBY])
    return render(
        request,
        "portal/supplier/inbox.html",
        {
            "waiting": in_order(
                request,
                waiting.order_by("respond_by", "pk"),
                parameter="waiting_after",
                shown=Match.objects.shown(),
            ),
            "answered": newest_first(request, answered, shown=Match.objects.shown()),
            "of_organisation": organisation,
            "is_supplier": bool(suppliers),
            "may_answer": {one.pk for one in suppliers if can(user, Permission.PUBLISH_OFFERS, one)},
        },
    )


@login_required
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    user = user_of(request)
    return _detail(request, user, match_for(user, pk))


def _detail(
    request: HttpRequest,
    user: User,
    match: Match,
    *,
    accept_form: AcceptForm | None = None,
    decline_form: DeclineForm | None = None,
    status: int = 200,
) -> HttpResponse:
    now = timezone.now()
    is_waiting = Match.objects.awaiting_answer(now).filter(pk=match.pk).exists()
    is_in_time = match.respond_by is not None and match.respond_by > now
    # What waits no more though its time is not up is being taken back this moment.
    state = MatchState.CANCELLED if match.state == MatchState.HELD and is_in_time else match.state
    context: dict[str, Any] = {
        "match": match,
        "is_waiting": is_waiting,
        "over": "" if is_waiting else why_not_to_answer(state),
        "may_answer": can(user, Permission.PUBLISH_OFFERS, match.offer.organisation),
        "accept_form": accept_form or AcceptForm(match=match, prefix="accept"),
        "decline_form": decline_form or DeclineForm(prefix="decline"),
        "orders": list(match.orders.order_by("pk")),
    }
    return render(request, "portal/supplier/match.html", context, status=status)


@login_required
@require_POST
def accept(request: HttpRequest, pk: int) -> HttpResponse:
    """All of it by the plain button, or what the form says."""
    user = user_of(request)
    match = match_for(user, pk, Permission.PUBLISH_OFFERS)
    form = AcceptForm(request.POST, match=match, prefix="accept") if "part" in request.POST else None
    if form is not None and not form.is_valid():
        return _detail(request, user, match, accept_form=form, status=400)
    try:
        # All of it by default: the plain button of the list has no form.
        order = accept_match(match, by=user, **(form.cleaned_data if form is not None else {}))
    except RuleViolation as violation:
        if form is not None and violation.errors:
            blame(form, violation)
            return _detail(request, user, match, accept_form=form, status=400)
        return refused(request, violation, "match", pk)
    return done(request, "order", _("Accepted. Here is whom to call."), order.pk)


@login_required
@require_POST
def decline(request: HttpRequest, pk: int) -> HttpResponse:
    user = user_of(request)
    match = match_for(user, pk, Permission.PUBLISH_OFFERS)
    form = DeclineForm(request.POST, prefix="decline")
    if not form.is_valid():
        return _detail(request, user, match, decline_form=form, status=400)
    try:
        matching_services.decline(match, by=user, **form.cleaned_data)
    except RuleViolation as violation:
        return refused(request, violation, "match", pk)
    return done(request, "inbox", _("Declined. Thank you for saying so: the next supplier is asked at once."))


urlpatterns = [
    path("inbox/", listing, name="inbox"),
    path("inbox/<int:pk>/", detail, name="match"),
    path("inbox/<int:pk>/accept/", accept, name="match-accept"),
    path("inbox/<int:pk>/decline/", decline, name="match-decline"),
]
