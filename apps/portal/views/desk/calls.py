"""Stepping in for a stuck need: who could help, a call with what was said in it, and asking one offer now."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from apps.accounts.models import User
from apps.core.errors import RuleViolation
from apps.demands.models import Demand
from apps.desk import services
from apps.matching.desks.asking import Helper, who_could_help
from apps.portal.forms.queues import CallForm
from apps.portal.views.desk.charge import coordinator, in_charge_of
from apps.portal.web import blame, done, refused, status_of
from apps.supply.models import Offer, OfferState


def _pair(request: HttpRequest, pk: int, offer_pk: int) -> tuple[User, Demand, Offer]:
    """A need in charge, and an offer of such goods, wherever its supplier is: help comes from anywhere."""
    user = coordinator(request)
    demand = get_object_or_404(Demand.objects.filter(in_charge_of(user, "region")).shown(), pk=pk)
    may_help = [OfferState.PUBLISHED, OfferState.STALE, OfferState.PAUSED]
    offers = Offer.objects.filter(state__in=may_help, item__category=demand.item.category_id)
    return user, demand, get_object_or_404(offers.shown(), pk=offer_pk)


@login_required
@require_POST
def call(request: HttpRequest, pk: int, offer_pk: int) -> HttpResponse:
    """Whom to call about this need, and what to note of the call. It is written down who looked."""
    user, demand, offer = _pair(request, pk, offer_pk)
    return _page(request, user, demand, offer, CallForm())


def _page(request: HttpRequest, user: User, demand: Demand, offer: Offer, form: CallForm) -> HttpResponse:
    helpers = [one for one in who_could_help(demand, now=timezone.now(), limit=50) if one.offer == offer]
    context = {
        "demand": demand,
        "offer": offer,
        "helper": helpers[0] if helpers else Helper(offer, ()),
        "contact": services.note_look(demand, offer, by=user),
        "form": form,
    }
    return render(request, "portal/desk/call.html", context, status=status_of(form))


@login_required
@require_POST
def answer(request: HttpRequest, pk: int, offer_pk: int) -> HttpResponse:
    user, demand, offer = _pair(request, pk, offer_pk)
    form = CallForm(request.POST)
    if form.is_valid():
        said = form.cleaned_data
        try:
            if said["answer"] == "yes":
                services.note_yes(demand, offer, by=user, quantity=said["quantity"], text=said["text"])
                return done(request, "desk-need", _("Accepted by phone. Both sides are told."), demand.pk)
            if said["answer"] == "no":
                services.note_no(demand, offer, by=user, reason=said["reason"], text=said["text"])
            else:
                services.note_no_answer(demand, offer, by=user, text=said["text"])
        except RuleViolation as violation:
            blame(form, violation)
        else:
            return done(request, "desk-need", _("Noted."), demand.pk)
    return _page(request, user, demand, offer, form)


@login_required
@require_POST
def ask(request: HttpRequest, pk: int, offer_pk: int) -> HttpResponse:
    user, demand, offer = _pair(request, pk, offer_pk)
    try:
        services.ask_now(demand, offer, by=user)
    except RuleViolation as violation:
        return refused(request, violation, "desk-need", demand.pk)
    return done(request, "desk-need", _("Asked. Both sides are told."), demand.pk)
