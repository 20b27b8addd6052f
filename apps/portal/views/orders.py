"""Orders, from both sides: whom to call, ship, receive, end, order again."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts.models import User
from apps.accounts.permissions import Permission, can
from apps.catalogue.models import Item
from apps.core.errors import RuleViolation, Text
from apps.fulfilment import services
from apps.fulfilment.models import Order, OrderState, Side
from apps.portal.access import named_organisation
from apps.portal.forms.needs import ReasonForm
from apps.portal.forms.orders import CancelForm, DeliverForm, OrdersFilter, RepeatForm, ShipForm
from apps.portal.forms.seen import SeenField, seeing
from apps.portal.paging import newest_first
from apps.portal.web import blame, done, refused, user_of


def order_for(user: User, pk: int) -> Order:
    orders = Order.objects.visible_to(user).shown()
    return get_object_or_404(
        orders.select_related("match__demand__organisation__region", "match__offer__organisation__region"), pk=pk
    )


def _as_requester(user: User, order: Order) -> bool:
    return can(user, Permission.POST_DEMANDS, order.match.demand.organisation)


def _as_supplier(user: User, order: Order) -> bool:
    return can(user, Permission.PUBLISH_OFFERS, order.match.offer.organisation)


@login_required
def listing(request: HttpRequest) -> HttpResponse:
    user = user_of(request)
    organisation = named_organisation(request, user)
    # Both sides: a hospital with a laboratory may be requester and supplier.
    own = [organisation.pk] if organisation else [grant.organisation_id for grant in user.grants]
    rows = Order.objects.of(own)
    if organisation:  # whoever watches its region need not see both sides
        rows = rows.visible_to(user)
    form = OrdersFilter(request.GET)
    is_filtered = False
    if form.is_valid():
        if state := form.cleaned_data["state"]:
            rows, is_filtered = rows.filter(state=state), True
        if text := form.cleaned_data["q"].strip():
            named = Item.objects.order_by().search(text).order_by().values("pk")
            rows = rows.filter(Q(match__demand__reference__iexact=text) | Q(match__demand__item__in=named))
            is_filtered = True
    context = {
        "page": newest_first(request, rows, shown=Order.objects.shown()),
        "form": form,
        "is_filtered": is_filtered,
        "of_organisation": organisation,
        "own": set(own),
    }
    return render(request, "portal/orders/orders.html", context)


@login_required
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    user = user_of(request)
    return _detail(request, user, order_for(user, pk))


def _detail(request: HttpRequest, user: User, order: Order, *, status: int = 200, **forms: Form) -> HttpResponse:
    match = order.match
    as_requester, as_supplier = _as_requester(user, order), _as_supplier(user, order)
    left = order.quantity_unshipped
    is_under_way = order.state in {OrderState.CONFIRMED, OrderState.SHIPPED}
    # Repeats belong to the same match, and people look for the one among the other.
    siblings = list(match.orders.order_by("pk"))
    may_repeat = as_requester and order.state != OrderState.CANCELLED
    on_its_way = order.quantity_on_its_way
    context: dict[str, Any] = {
        "order": order,
        "match": match,
        "item": match.demand.item,
        "as_requester": as_requester,
        "as_supplier": as_supplier,
        "contacts": services.reveal_contact(match, to=user),
        "deliveries": list(order.deliveries.order_by("pk")),
        "left": left,
        "siblings": siblings,
        "newest": siblings[-1].pk,
        "price_now": match.offer.asking_price,
        "free": match.offer.quantity_free if match.offer.is_live else 0,
        "seen": seeing(order.updated_at),
        "ship_form": ShipForm(prefix="ship", initial={"quantity": left})
        if as_supplier and is_under_way and left > 0
        else None,
        "deliver_form": DeliverForm(
            prefix="deliver",
            # What is on its way is the likeliest answer: mostly one press of the button.
            initial={"quantity_accepted": on_its_way if on_its_way > 0 else None},
        )
        if as_requester and is_under_way
        else None,
        "repeat_form": RepeatForm(prefix="repeat") if may_repeat else None,
        "why_not_again": _why_not_again(order) if may_repeat else None,
        "may_cancel": (as_requester or as_supplier)
        and order.state == OrderState.CONFIRMED
        and not (order.quantity_received or order.quantity_rejected),
        "may_close": as_requester and order.state == OrderState.SHIPPED and order.quantity_outstanding > 0,
    }
    context.update({name: form for name, form in forms.items() if context.get(name) is not None})
    return render(request, "portal/orders/order.html", context, status=status)


def _why_not_again(order: Order) -> Text | None:
    """What stands against ordering again, however much: then there is nothing to fill in."""
    try:
        services.check_repeatable(order, timezone.now())
    except RuleViolation as violation:
        return violation.message
    return None


def _seen(request: HttpRequest) -> dt.datetime | None:
    """All forms of the page came from the same."""
    return SeenField().clean(request.POST.get("seen"))


def _acting(
    request: HttpRequest, pk: int, *, as_requester: bool = False, as_supplier: bool = False
) -> tuple[User, Order]:
    user = user_of(request)
    order = order_for(user, pk)
    if (as_requester and _as_requester(user, order)) or (as_supplier and _as_supplier(user, order)):
        return user, order
    raise Http404


@login_required
@require_POST
def ship(request: HttpRequest, pk: int) -> HttpResponse:
    user, order = _acting(request, pk, as_supplier=True)
    form = ShipForm(request.POST, prefix="ship")
    if not form.is_valid():
        return _detail(request, user, order, ship_form=form, status=400)
    try:
        services.ship_order(order, by=user, seen=_seen(request), **form.cleaned_data)
    except RuleViolation as violation:
        return _not_allowed(request, user, order, violation, ship_form=form)
    return done(request, "order", _("Noted. The other side is told that it is on its way."), pk)


@login_required
@require_POST
def deliver(request: HttpRequest, pk: int) -> HttpResponse:
    user, order = _acting(request, pk, as_requester=True)
    form = DeliverForm(request.POST, prefix="deliver")
    if not form.is_valid():
        return _detail(request, user, order, deliver_form=form, status=400)
    try:
        services.deliver_order(order, by=user, seen=_seen(request), **form.facts())
    except RuleViolation as violation:
        return _not_allowed(request, user, order, violation, deliver_form=form)
    return done(request, "order", _("Thank you. What you accepted counts as received."), pk)


@login_required
@require_POST
def repeat(request: HttpRequest, pk: int) -> HttpResponse:
    user, order = _acting(request, pk, as_requester=True)
    form = RepeatForm(request.POST, prefix="repeat")
    if not form.is_valid():
        return _detail(request, user, order, repeat_form=form, status=400)
    raw = request.POST.get("newest", "")
    newest = int(raw) if raw.isascii() and raw.isdigit() and len(raw) < 19 else None
    try:
        again = services.repeat_order(order, by=user, newest_seen=newest, **form.cleaned_data)
    except RuleViolation as violation:
        return _not_allowed(request, user, order, violation, repeat_form=form)
    return done(request, "order", _("Ordered. The supplier is told at once."), again.pk)


def _not_allowed(
    request: HttpRequest, user: User, order: Order, violation: RuleViolation, **forms: Form
) -> HttpResponse:
    """Say it at the form, with all that was typed, or above the page when the order has moved on."""
    ((name, form),) = forms.items()
    fresh = order_for(user, order.pk)
    # The other side was quicker. The form would be about an order that is not like that any more.
    if violation.code in {"state_changed", "illegal_move"}:
        return refused(request, violation, "order", order.pk)
    blame(form, violation)
    return _detail(request, user, fresh, status=400 if violation.errors else 409, **{name: form})


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Either side, before anything was shipped."""
    user, order = _acting(request, pk, as_requester=True, as_supplier=True)
    sides = services.sides_of(order, user)
    form = CancelForm(request.POST if request.method == "POST" else None, sides=sides)
    if form.is_valid():
        try:
            services.cancel_order(order, by=user, **form.facts())
        except RuleViolation as violation:
            return refused(request, violation, "order", pk)
        return done(request, "order", _("Cancelled. Both sides are told."), pk)
    return _confirm(request, order, form, kind="cancel", as_requester=_as_requester(user, order), sides=sides)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def close(request: HttpRequest, pk: int) -> HttpResponse:
    """The requester: nothing more will come."""
    user, order = _acting(request, pk, as_requester=True)
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            services.close_order(order, by=user, reason=form.cleaned_data["reason"])
        except RuleViolation as violation:
            return refused(request, violation, "order", pk)
        return done(request, "order", _("Closed. We are looking for what is missing."), pk)
    return _confirm(request, order, form, kind="close", as_requester=True)


def _confirm(
    request: HttpRequest,
    order: Order,
    form: ReasonForm,
    *,
    kind: str,
    as_requester: bool,
    sides: Sequence[Side] = (Side.REQUESTER,),
) -> HttpResponse:
    form.fields["reason"].help_text = _("The other side will read this.")
    context = {
        "order": order,
        "match": order.match,
        "item": order.match.demand.item,
        "form": form,
        "kind": kind,
        "as_requester": as_requester,
        "for_either_side": len(sides) > 1,
    }
    return render(request, "portal/orders/end.html", context, status=400 if form.errors else 200)


urlpatterns = [
    path("orders/", listing, name="orders"),
    path("orders/<int:pk>/", detail, name="order"),
    path("orders/<int:pk>/ship/", ship, name="order-ship"),
    path("orders/<int:pk>/deliver/", deliver, name="order-deliver"),
    path("orders/<int:pk>/repeat/", repeat, name="order-repeat"),
    path("orders/<int:pk>/cancel/", cancel, name="order-cancel"),
    path("orders/<int:pk>/close/", close, name="order-close"),
]
