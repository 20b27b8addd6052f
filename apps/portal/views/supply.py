"""What one's organisation offers: list, publish, follow, amend. Sheets are read in `sheets`."""

from collections.abc import Callable
from typing import Any, Final

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import IntegrityError
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts import limits
from apps.accounts.models import Organisation, User
from apps.accounts.permissions import Permission, can
from apps.catalogue.models import Item
from apps.core.errors import RuleViolation
from apps.core.posts import LIKELY_DUPLICATE_WITHIN
from apps.matching import services as matching_services
from apps.matching.models import Match, MatchState
from apps.policy.models import Policy
from apps.portal.access import organisation_for, suppliers_of
from apps.portal.forms.items import ItemChoices
from apps.portal.forms.needs import ReasonForm, page_token
from apps.portal.forms.regions import RegionWidget
from apps.portal.forms.supply import OfferForm, OffersFilter, destinations
from apps.portal.navigation import as_badge, capped
from apps.portal.paging import newest_first
from apps.portal.web import blame, done, network_address, refused, user_of
from apps.supply import services
from apps.supply.models import Offer, OfferState
from apps.supply.review import QUESTIONS, doubts_now, facts_in_doubt

WAITING_SHOWN: Final = 8


def offer_for(user: User, pk: int, permission: Permission = Permission.VIEW) -> Offer:
    """An offer that the user may see; 404 as well when it may be seen and `permission` is missing."""
    offer = get_object_or_404(Offer.objects.visible_to(user).shown().select_related("organisation__region"), pk=pk)
    if permission != Permission.VIEW and not can(user, permission, offer.organisation):
        raise Http404
    return offer


# --- The list ---------------------------------------------------------------------------------------------------------


@login_required
def listing(request: HttpRequest) -> HttpResponse:
    user = user_of(request)
    suppliers, organisation = suppliers_of(request, user)
    everything = Offer.objects.visible_to(user).filter(organisation__in=suppliers)
    form = OffersFilter(request.GET)
    rows = everything
    is_filtered = False
    if form.is_valid():
        if state := form.cleaned_data["state"]:
            rows, is_filtered = rows.filter(state=state), True
        if text := form.cleaned_data["q"].strip():
            named = Item.objects.order_by().search(text).order_by().values("pk")
            # Offers have no reference that people would type.
            rows, is_filtered = rows.filter(item__in=named), True
    page = newest_first(request, rows, shown=Offer.objects.shown())
    first_page = not is_filtered and not page.first_url
    requests = capped(Match.objects.awaiting_answer(timezone.now()).for_suppliers(suppliers)) if first_page else 0
    return render(
        request,
        "portal/supplier/offers.html",
        {
            "page": page,
            "form": form,
            "is_filtered": is_filtered,
            "of_organisation": organisation,
            "can_publish": any(can(user, Permission.PUBLISH_OFFERS, one) for one in suppliers),
            "waiting": waiting_for(everything) if first_page else [],
            "requests": requests,
            "requests_shown": as_badge(requests),
        },
    )


def waiting_for(offers: Any) -> list[Offer]:
    """Offers that go on only when somebody of the organisation does something."""
    mine = offers.filter(
        Q(state=OfferState.DRAFT) | Q(state=OfferState.STALE) | Q(state=OfferState.PUBLISHED, asked_at__isnull=False)
    )
    return list(mine.shown().order_by("-pk")[:WAITING_SHOWN])


# --- Publishing -------------------------------------------------------------------------------------------------------


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    user = user_of(request)
    organisation = organisation_for(request, user, Permission.PUBLISH_OFFERS)
    if organisation is None:
        return render(request, "portal/requester/no_organisation.html", {"for_what": "offers"})
    item_choices = ItemChoices(organisation, of=Offer)
    if request.method == "POST":
        return _posted(request, user, organisation, item_choices)

    chosen = item_choices.item(request.GET.get("item"))
    form = OfferForm(
        organisation=organisation, item_choices=item_choices, initial={"item": str(chosen.pk)} if chosen else {}
    )
    return _page(request, organisation, form)


def typed(request: HttpRequest, form: OfferForm) -> dict[str, Any]:
    """What was typed, as it was typed, to show the form again without judging it yet."""
    values: dict[str, Any] = {name: request.POST.get(name, "") for name in form.fields}
    values["is_donation"] = bool(values.get("is_donation"))
    values["origin_region"] = RegionWidget().value_from_datadict(request.POST, request.FILES, "origin_region")
    if values.get("find") and not values.get("item"):
        found = form.item_choices.found(str(values["find"]))
        if len(found) == 1:
            values["item"] = str(found[0].pk)
    return values


def _posted(request: HttpRequest, user: User, organisation: Organisation, item_choices: ItemChoices) -> HttpResponse:
    data = request.POST
    form = OfferForm(data, organisation=organisation, item_choices=item_choices)
    if "search" in data:
        form = OfferForm(organisation=organisation, item_choices=item_choices, initial=typed(request, form))
        return _page(request, organisation, form, alike=_alike(organisation, form.chosen))
    if not form.is_valid():
        return _page(request, organisation, form, status=400)

    token = page_token(data.get("token"))
    if already := Offer.objects.visible_to(user).filter(source="portal", source_key=token).first():
        messages.info(request, _("This was saved already: here it is."))
        return redirect("offer", already.pk)
    alike = _alike(organisation, form.cleaned_data["item"])
    if alike and "post_anyway" not in data:
        return _page(request, organisation, form, alike=alike, ask_alike=True)
    try:
        limits.count_drafts(organisation, network_address(request))
        posted = services.post_offer(
            organisation, by=user, publish="draft" not in data, source="portal", source_key=token, **form.facts()
        )
    except RuleViolation as violation:
        blame(form, violation)
        return _page(request, organisation, form, status=400)
    except IntegrityError:
        # The same page was sent twice at the same time: the other one won.
        already = Offer.objects.visible_to(user).filter(source="portal", source_key=token).first()
        if already is None:
            raise
        return redirect("offer", already.pk)
    # A question stands on the offer's page, beside its buttons.
    if posted.violation is not None and posted.violation.code not in QUESTIONS:
        messages.warning(request, str(posted.violation.message))
    is_out = posted.offer.state == OfferState.PUBLISHED
    text = _("Published. You are told by mail when somebody needs it.") if is_out else _("Saved as a draft.")
    return done(request, "offer", text, posted.offer.pk)


def _alike(organisation: Organisation, item: Item | None) -> list[Offer]:
    """Live offers of the same goods within a week: likely the same."""
    if item is None:
        return []
    since = timezone.now() - LIKELY_DUPLICATE_WITHIN
    return list(Offer.objects.alike(organisation, item, since).shown()[:5])


def _page(
    request: HttpRequest, organisation: Organisation, form: OfferForm, *, status: int = 200, **more: Any
) -> HttpResponse:
    context = {
        "organisation": organisation,
        "on_behalf": organisation.pk not in {grant.organisation_id for grant in user_of(request).grants},
        "form": form,
        "token": page_token(request.POST.get("token")),
        "post_anyway": "post_anyway" in request.POST,
        **more,
    }
    return render(request, "portal/supplier/offer_new.html", context, status=status)


# --- One offer --------------------------------------------------------------------------------------------------------


@login_required
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    user = user_of(request)
    offer = offer_for(user, pk)
    # A backup has not been asked: its supplier need not know of it.
    matches = Match.objects.visible_to(user).filter(offer=offer).exclude(state=MatchState.STANDBY)
    # Before the rows: the next sweep may take back in between what was found waiting.
    ending = set(matches.invalid(timezone.now().date()).values_list("pk", flat=True))
    page = newest_first(request, matches.shown())
    context = {
        "offer": offer,
        "page": page,
        "taken_back": ending.intersection(match.pk for match in page.rows),
        "may_act": can(user, Permission.PUBLISH_OFFERS, offer.organisation),
        "ships_to": destinations(offer.ships_to),
        "goes_stale_at": offer.stale_at(Policy.objects.current().values),
        "is_mine": offer.organisation_id in {grant.organisation_id for grant in user.grants},
        "today": timezone.localdate(),
        "doubts": doubts_now(offer, timezone.now()) if offer.organisation.is_verified else [],
        "facts_in_doubt": facts_in_doubt(offer),
    }
    return render(request, "portal/supplier/offer.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def amend(request: HttpRequest, pk: int) -> HttpResponse:
    user = user_of(request)
    offer = offer_for(user, pk, Permission.PUBLISH_OFFERS)
    if not offer.can_be_amended:
        return refused(request, RuleViolation("illegal_move", _("This offer is withdrawn.")), "offer", pk)
    item_choices = ItemChoices(offer.organisation, of=Offer)
    form = OfferForm(request.POST or None, organisation=offer.organisation, item_choices=item_choices, offer=offer)
    status, asked = 200, ""
    if request.method == "POST" and "search" in request.POST:
        form = OfferForm(
            organisation=offer.organisation, item_choices=item_choices, offer=offer, initial=typed(request, form)
        )
    elif request.method == "POST":
        if form.is_valid():
            facts = form.facts()
            confirmed = request.POST.get("confirmed") == facts_in_doubt(facts)
            try:
                matching_services.amend_offer(offer, by=user, confirmed=confirmed, **facts)
            except RuleViolation as violation:
                blame(form, violation)
                asked = facts_in_doubt(facts) if violation.code in QUESTIONS else ""
            else:
                return done(request, "offer", _("Changed."), pk)
        status = 400
    return render(
        request, "portal/supplier/offer_amend.html", {"form": form, "offer": offer, "asked": asked}, status=status
    )


_BUTTONS: Final[dict[str, tuple[Callable[..., Offer], Any]]] = {
    "publish": (services.publish_offer, gettext_lazy("Published. You are told by mail when somebody needs it.")),
    "pause": (services.pause_offer, gettext_lazy("Paused. Requests without an answer are withdrawn.")),
    "confirm": (services.confirm_offer, gettext_lazy("Thank you. The offer is published.")),
}


@login_required
@require_POST
def act(request: HttpRequest, pk: int, verb: str) -> HttpResponse:
    """The plain buttons of an offer."""
    user = user_of(request)
    offer = offer_for(user, pk, Permission.PUBLISH_OFFERS)
    service, text = _BUTTONS[verb]
    answer = {"confirmed": request.POST.get("confirmed") == facts_in_doubt(offer)} if verb == "publish" else {}
    try:
        changed = service(offer, by=user, **answer)
    except RuleViolation as violation:
        return refused(request, violation, "offer", pk)
    if changed.awaits_review:
        text = gettext_lazy("Saved. A coordinator looks at it first; you need not do anything.")
    return done(request, "offer", text, pk)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    user = user_of(request)
    offer = offer_for(user, pk, Permission.PUBLISH_OFFERS)
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            services.withdraw_offer(offer, by=user, reason=form.cleaned_data["reason"])
        except RuleViolation as violation:
            return refused(request, violation, "offer", pk)
        return done(request, "offer", _("Withdrawn. You will get no more requests for it."), pk)
    pending = Match.objects.held().filter(offer=offer).count()
    context = {"offer": offer, "form": form, "pending": pending}
    return render(request, "portal/supplier/offer_withdraw.html", context, status=400 if form.errors else 200)


urlpatterns = [
    path("supply/", listing, name="supply"),
    path("supply/new/", new, name="offer-new"),
    path("supply/<int:pk>/", detail, name="offer"),
    path("supply/<int:pk>/amend/", amend, name="offer-amend"),
    path("supply/<int:pk>/withdraw/", withdraw, name="offer-withdraw"),
    *(path(f"supply/<int:pk>/{verb}/", act, {"verb": verb}, name=f"offer-{verb}") for verb in _BUTTONS),
]
