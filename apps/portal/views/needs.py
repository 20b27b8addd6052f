"""What one's organisation needs: list, follow, amend, and the buttons of a need's life. It is posted in `posting`."""

from collections.abc import Callable
from typing import Any, Final

from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts.models import Organisation, OrganisationState, User
from apps.accounts.permissions import Permission, can
from apps.catalogue.models import Item, Region, Standard
from apps.core.errors import RuleViolation
from apps.demands import services
from apps.demands.models import AWAITS_REVIEW, Demand, DemandState, DemandStateCode, QuantityKind, Urgency
from apps.demands.outcomes import PostOutcome
from apps.fulfilment import destinations
from apps.fulfilment.models import Order, OrderState
from apps.fulfilment.services import reveal_contacts
from apps.matching.explanation.outlook import outlook
from apps.matching.explanation.shortfalls import shortfall_of
from apps.matching.models import Escalation, Match
from apps.portal.access import named_organisation
from apps.portal.asked import asked_for
from apps.portal.forms.items import ItemChoices
from apps.portal.forms.needs import (
    AmendForm,
    NeedsFilter,
    ReasonForm,
)
from apps.portal.forms.regions import RegionWidget
from apps.portal.paging import newest_first
from apps.portal.views.posting import say_what_became
from apps.portal.web import blame, done, refused, require_password, user_of

# On a phone the list itself must still be in sight.
WAITING_SHOWN: Final = 8


# --- Whose needs ------------------------------------------------------------------------------------------------------


def own_needs(request: HttpRequest, user: User) -> tuple[Any, Organisation | None]:
    """The needs to list: of the user's organisations and posted by the user for others, or of `?organisation=`."""
    visible = Demand.objects.visible_to(user)
    if organisation := named_organisation(request, user):
        return visible.filter(organisation=organisation), organisation
    own = [grant.organisation_id for grant in user.grants]
    return visible.filter(Q(organisation__in=own) | Q(posted_by=user)), None


def need_for(user: User, pk: int, permission: Permission = Permission.VIEW) -> Demand:
    """A need that the user may see; 404 as well when it may be seen and `permission` is missing."""
    demand = get_object_or_404(Demand.objects.visible_to(user).shown().select_related("organisation__region"), pk=pk)
    if permission != Permission.VIEW and not can(user, permission, demand.organisation):
        raise Http404
    return demand


# --- The list ---------------------------------------------------------------------------------------------------------


@login_required
def listing(request: HttpRequest) -> HttpResponse:
    user = user_of(request)
    everything, organisation = own_needs(request, user)
    form = NeedsFilter(request.GET)
    rows = everything
    is_filtered = False
    if form.is_valid():
        if state := form.cleaned_data["state"]:
            rows, is_filtered = rows.filter(state=state), True
        if text := form.cleaned_data["q"].strip():
            # The search orders by likeness. In a subquery that only costs.
            named = Item.objects.order_by().search(text).order_by().values("pk")
            rows, is_filtered = rows.filter(Q(reference__iexact=text) | Q(item__in=named)), True
    page = newest_first(request, rows.shown())
    # Whoever searches or turns pages looks for something else than what waits.
    first_page = not is_filtered and not page.first_url
    return render(
        request,
        "portal/requester/needs.html",
        {
            "page": page,
            "form": form,
            "is_filtered": is_filtered,
            "of_organisation": organisation,
            "can_post": bool(user.organisations_with(Permission.POST_DEMANDS)) or organisation is not None,
            "waiting": waiting_for(everything) if first_page else [],
            "arriving": arriving_for(user) if first_page and organisation is None else [],
        },
    )


def waiting_for(needs: Any) -> list[Demand]:
    """Needs that go on only when somebody of the organisation does something."""
    goes_by_itself = Q(state_code=DemandStateCode.ORGANISATION_UNVERIFIED)
    # One whose organisation was verified meanwhile, and is a draft all the same, waits for its owner.
    goes_by_itself &= ~Q(organisation__state=OrganisationState.VERIFIED)
    of_mine = needs.exclude(goes_by_itself | AWAITS_REVIEW).filter(
        Q(state=DemandState.DRAFT) | Q(state=DemandState.STALE) | Q(state=DemandState.OPEN, asked_at__isnull=False)
    )
    return list(of_mine.shown().order_by("-pk")[:WAITING_SHOWN])


def arriving_for(user: User) -> list[Order]:
    """Shipped orders whose receipt the user can confirm."""
    own = user.organisations_with(Permission.POST_DEMANDS)
    orders = Order.objects.filter(state=OrderState.SHIPPED, match__demand__organisation__in=own)
    return list(orders.shown().order_by("pk")[:WAITING_SHOWN])


# --- One need ---------------------------------------------------------------------------------------------------------


@login_required
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    user = user_of(request)
    return _detail(request, user, need_for(user, pk))


def _detail(
    request: HttpRequest,
    user: User,
    demand: Demand,
    *,
    question: str = "",
    asks_unchanged: bool = False,
    status: int = 200,
) -> HttpResponse:
    now = timezone.now()
    asked = asked_for(demand, Match.objects.visible_to(user), now=now)
    orders = list(Order.objects.visible_to(user).filter(match__demand=demand).shown().order_by("pk"))
    may_act = can(user, Permission.POST_DEMANDS, demand.organisation)
    # Why nobody could be asked takes several queries: only for a need that lacks something now.
    is_short = demand.state == DemandState.OPEN and demand.quantity_remaining > 0
    is_searching = demand.state == DemandState.OPEN and demand.match_requested_at is not None
    contacts = reveal_contacts(asked.accepted, to=user)
    is_waiting = demand.awaits_review or demand.awaits_verification
    # A draft that waits for somebody else, or for an answer on this page, has no button.
    may_send = demand.state == DemandState.DRAFT and not is_waiting and not asks_unchanged
    return render(
        request,
        "portal/requester/need.html",
        {
            "demand": demand,
            "may_act": may_act,
            "asked": asked,
            "next_answer": min((match.respond_by for match in asked.held if match.respond_by), default=None),
            "contacts": contacts,
            "orders": orders,
            "is_searching": is_searching,
            "outlook": outlook(demand, now=now) if is_short and not is_searching else None,
            "shortfall": None if is_searching else shortfall_of(demand),
            "escalation": Escalation.objects.of_the_uncovered()
            .filter(demand=demand)
            .select_related("organisation")
            .order_by("-pk")
            .first(),
            "question": question,
            "asks_unchanged": asks_unchanged,
            "may_send": may_send,
            # What was returned is to be amended, rather than sent again as it is: that stands first.
            "amends_first": demand.state_code == DemandStateCode.RETURNED and (may_send or asks_unchanged),
            "is_mine": demand.organisation_id in {grant.organisation_id for grant in user.grants},
        },
        status=status,
    )


def _suggested(request: HttpRequest) -> dict[str, Any]:
    """What a link to the form has filled in: a way out that the outlook of a need suggests."""
    given = request.GET
    filled: dict[str, Any] = {}
    if "accepts_substitutes" in given:
        filled["accepts_substitutes"] = True
    if "standard" in given:
        standard = Standard.objects.filter(code=given["standard"]).first()
        filled["standard"] = standard.pk if standard else None
    quantity = given.get("quantity", "")
    if quantity.isascii() and quantity.isdigit() and len(quantity) <= 13:
        filled |= {"quantity": int(quantity), "quantity_kind": QuantityKind.EXACT}
    if given.get("urgency") in Urgency.values:
        filled["urgency"] = given["urgency"]
    if place := Region.objects.filter(code=given.get("region", "")).first():
        # The address that was typed lies in the other region.
        filled |= {"region": place, "address": ""}  # the address there is another one
    return filled


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def amend(request: HttpRequest, pk: int) -> HttpResponse:
    user = user_of(request)
    demand = need_for(user, pk, Permission.POST_DEMANDS)
    if not demand.can_be_amended:
        return refused(request, RuleViolation("illegal_move", _("This need is cancelled.")), "need", pk)
    item_choices = ItemChoices(demand.organisation)
    form = AmendForm(request.POST or None, demand=demand, item_choices=item_choices, initial=_suggested(request))
    status, question = 200, ""
    if request.method == "POST" and "search" in request.POST:
        typed: dict[str, Any] = {name: request.POST.get(name, "") for name in form.fields}
        typed["region"] = RegionWidget().value_from_datadict(request.POST, request.FILES, "region")
        form = AmendForm(demand=demand, item_choices=item_choices, initial=typed)
    elif request.method == "POST":
        if form.is_valid():
            changes = form.changes()
            if demand.leads_elsewhere(changes):
                require_password(request)
            try:
                destinations.amend_demand(demand, by=user, quantity_confirmed=form.is_confirmed, **changes)
            except RuleViolation as violation:
                # A question and not a fault: the page asks it above the form, with a button for yes.
                if violation.code == "quantity_unusual":
                    question = str(violation.message)
                else:
                    blame(form, violation)
            else:
                return done(request, "need", _("Changed."), pk)
        status = 409 if question else 400
    held = Match.objects.held().filter(demand=demand).count()
    context = {"form": form, "demand": demand, "held": held, "question": question}
    return render(request, "portal/requester/need_amend.html", context, status=status)


_BUTTONS: Final[dict[str, tuple[Callable[..., Demand], Any]]] = {
    "pause": (
        services.pause_demand,
        gettext_lazy("Paused. Suppliers that have not answered are told that they need not."),
    ),
    "resume": (services.resume_demand, gettext_lazy("Open again. We are asking suppliers.")),
    "confirm": (services.confirm_demand, gettext_lazy("Thank you. We will keep looking.")),
}


@login_required
@require_POST
def act(request: HttpRequest, pk: int, verb: str) -> HttpResponse:
    """The plain buttons of a need."""
    user = user_of(request)
    demand = need_for(user, pk, Permission.POST_DEMANDS)
    service, text = _BUTTONS[verb]
    try:
        service(demand, by=user)
    except RuleViolation as violation:
        return refused(request, violation, "need", pk)
    return done(request, "need", text, pk)


@login_required
@require_POST
def open_draft(request: HttpRequest, pk: int) -> HttpResponse:
    """Send a draft out; asked about first is a quantity far from usual, and what a coordinator returned and nobody
    changed since.
    """
    user = user_of(request)
    demand = need_for(user, pk, Permission.POST_DEMANDS)
    if demand.state_code == DemandStateCode.RETURNED and "unchanged" not in request.POST:
        return _detail(request, user, demand, asks_unchanged=True, status=409)
    # The confirmation names the quantity: it may have been changed in another window.
    confirmed = request.POST.get("confirmed_quantity") == str(demand.quantity)
    try:
        sent = services.send_out(demand, by=user, quantity_confirmed=confirmed)
    except RuleViolation as violation:
        return refused(request, violation, "need", pk)
    if sent.violation is not None and sent.outcome is PostOutcome.NEEDS_CONFIRMATION:
        return _detail(request, user, demand, question=str(sent.violation.message), status=409)
    if sent.violation is not None:
        return refused(request, sent.violation, "need", pk)
    say_what_became(request, [sent])
    return done(request, "need", "", pk)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    user = user_of(request)
    demand = need_for(user, pk, Permission.POST_DEMANDS)
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            services.cancel_demand(demand, by=user, reason=form.cleaned_data["reason"])
        except RuleViolation as violation:
            return refused(request, violation, "need", pk)
        return done(request, "need", _("Cancelled. The suppliers we asked will be told."), pk)
    context = {
        "demand": demand,
        "form": form,
        "held": Match.objects.held().filter(demand=demand).count(),
        "promised": demand.quantity_outstanding,
    }
    return render(request, "portal/requester/need_cancel.html", context, status=400 if form.errors else 200)


urlpatterns = [
    path("needs/", listing, name="needs"),
    path("needs/<int:pk>/", detail, name="need"),
    path("needs/<int:pk>/amend/", amend, name="need-amend"),
    path("needs/<int:pk>/open/", open_draft, name="need-open"),
    path("needs/<int:pk>/cancel/", cancel, name="need-cancel"),
    *(path(f"needs/<int:pk>/{verb}/", act, {"verb": verb}, name=f"need-{verb}") for verb in _BUTTONS),
]
