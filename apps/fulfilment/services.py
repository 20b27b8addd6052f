"""The verbs of fulfilment: the only writer of this app's tables.

Locks follow the order of matching: the demand, then the offer, then what hangs on them.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.accounts.permissions import Permission, can
from apps.core import audit
from apps.core.errors import RuleViolation
from apps.core.states import move
from apps.demands import quantities as demands_quantities
from apps.demands.models import Demand
from apps.demands.review import look_needed, reviews, wants_approval
from apps.fulfilment.models import ContactReveal, Delivery, Order, OrderState, Shipment, Side
from apps.matching.holds import acceptance
from apps.matching.holds.plans import describe as describe_match
from apps.matching.models import Match
from apps.notifications.services import queue
from apps.policy.models import Policy
from apps.supply import quantities as supply_quantities
from apps.supply.models import Offer


@transaction.atomic
def accept_match(
    match: Match,
    *,
    by: User | None,
    quantity: int | None = None,
    lead_time_days: int | None = None,
    now: dt.datetime | None = None,
) -> Order:
    """The supplier accepts all (None) or part of a hold. It becomes an order, and both sides may see contacts.

    Raises as `acceptance.record_acceptance` does.
    """
    # One transaction for acceptance and order: a promise without an order would never be shipped.
    match = acceptance.record_acceptance(match, by=by, quantity=quantity, lead_time_days=lead_time_days, now=now)
    order = Order.objects.create(match=match, quantity=match.quantity, placed_by=by, **_price_of(match.offer))
    queue("order.confirmed", match.offer.organisation, describe(order), key=f"order.confirmed:{order.pk}")
    return order


def _price_of(offer: Offer) -> dict[str, Any]:
    """The price at which an order of these goods is made now. The caller has locked the offer."""
    return {"unit_price": offer.asking_price, "currency": "" if offer.asking_price is None else offer.currency}


def _lock(order: Order) -> Order:
    """The order as it is now, with everything it stands on locked first."""
    demand_id, offer_id = Match.objects.values_list("demand_id", "offer_id").get(pk=order.match_id)
    # In the order in which matching locks, so that neither waits for the other in a circle.
    list(Demand.objects.select_for_update(no_key=True).filter(pk=demand_id).values_list("pk"))
    list(Offer.objects.select_for_update(no_key=True).filter(pk=offer_id).values_list("pk"))
    return Order.objects.shown().select_for_update(of=["self"], no_key=True).get(pk=order.pk)


def _check_seen(order: Order, seen: dt.datetime | None) -> None:
    """Refuse what was decided on an older state of the order, such as the same form sent twice."""
    if seen is not None and order.updated_at != seen:
        raise RuleViolation("state_changed", _("This order has just changed, perhaps by you. Check it and try again."))


@transaction.atomic
def ship_order(
    order: Order,
    *,
    by: User | None,
    quantity: int | None = None,
    carrier: str = "",
    tracking_number: str = "",
    expected_on: dt.date | None = None,
    seen: dt.datetime | None = None,
    now: dt.datetime | None = None,
) -> Shipment:
    """The supplier has sent all that is left to send (None) or a part of it, in base units.

    `seen` is the `updated_at` of the order when this was decided. Raises `state_changed` if the order changed since,
    `illegal_move` where nothing is to be shipped, and `quantity_out_of_range`.
    """
    now = now or timezone.now()
    order = _lock(order)
    _check_seen(order, seen)
    if order.state not in {OrderState.CONFIRMED, OrderState.SHIPPED}:
        raise RuleViolation("illegal_move", _("This order is not waiting to be shipped."), state=order.state)
    left = order.quantity_unshipped
    sent = left if quantity is None else quantity
    # Several shipments may make up an order; together they send no more than was ordered.
    if not 0 < sent <= left:
        raise RuleViolation(
            "quantity_out_of_range",
            _("Only %(left)s are left to ship.") % {"left": f"{left:,}"},
            field="quantity",
            left=left,
        )
    shipment = Shipment.objects.create(
        order=order,
        quantity=sent,
        carrier=carrier,
        tracking_number=tracking_number,
        expected_on=expected_on,
        shipped_at=now,
        shipped_by=by,
    )
    if order.state == OrderState.CONFIRMED:
        move(order, OrderState.SHIPPED)
    else:
        # Writing the same state moves `updated_at`, by which partners pull: a second shipment is a change, too.
        Order.objects.filter(pk=order.pk).update(state=order.state)
    audit.record(by, "order.shipped", order, quantity=sent)
    queue(
        "order.shipped",
        order.match.demand.organisation,
        {
            **describe(order),
            "shipped": sent,
            "carrier": carrier,
            "tracking_number": tracking_number,
            "expected_on": expected_on.isoformat() if expected_on else None,
        },
        key=f"order.shipped:{shipment.pk}",
    )
    return shipment


@transaction.atomic
def deliver_order(
    order: Order,
    *,
    by: User | None,
    quantity_accepted: int,
    quantity_rejected: int = 0,
    reason: str = "",
    seen: dt.datetime | None = None,
    now: dt.datetime | None = None,
) -> Delivery:
    """The requester says what came, in base units: accepted goods count as met, rejected ones are wanted again.

    `seen` as in `ship_order`. Raises `state_changed`, `illegal_move`, `quantity_missing`, `quantity_out_of_range`, and
    `reason_missing` for a rejection without a reason.
    """
    now = now or timezone.now()
    order = _lock(order)
    _check_seen(order, seen)
    if order.state not in {OrderState.CONFIRMED, OrderState.SHIPPED}:
        raise RuleViolation("illegal_move", _("Nothing of this order is on its way."), state=order.state)
    if quantity_accepted < 0 or quantity_rejected < 0 or quantity_accepted + quantity_rejected == 0:
        raise RuleViolation("quantity_missing", _("Say how many you accepted or rejected."), field="quantity_accepted")
    # More than was ordered would count as met goods that nobody promised; it is another order, a repeat.
    if quantity_accepted + quantity_rejected > order.quantity_outstanding:
        raise RuleViolation(
            "quantity_out_of_range",
            _("Only %(left)s of this order are outstanding.") % {"left": f"{order.quantity_outstanding:,}"},
            field="quantity_accepted",
            left=order.quantity_outstanding,
        )
    if quantity_rejected and not reason.strip():
        raise RuleViolation("reason_missing", _("Say why you rejected them."), field="reason")

    # What arrives may be less than was shipped, and come before the supplier says that it has shipped anything.
    delivery = Delivery.objects.create(
        order=order,
        quantity_accepted=quantity_accepted,
        quantity_rejected=quantity_rejected,
        reason=reason.strip(),
        received_at=now,
        received_by=by,
    )
    Order.objects.filter(pk=order.pk).update(
        quantity_received=F("quantity_received") + quantity_accepted,
        quantity_rejected=F("quantity_rejected") + quantity_rejected,
    )
    demand_id = order.match.demand_id
    if quantity_accepted:
        demands_quantities.record_receipt(demand_id, quantity_accepted, now=now)
    # Rejected goods count as not accepted any more: the need asks others for them.
    if quantity_rejected:
        demands_quantities.record_loss(demand_id, quantity_rejected, now=now)
        acceptance.record_loss(order.match, quantity_rejected)
    # The order in memory is as it was before this delivery, so this says that nothing is outstanding any more.
    if quantity_accepted + quantity_rejected == order.quantity_outstanding:
        move(order, OrderState.DELIVERED)
    audit.record(by, "order.delivered", order, accepted=quantity_accepted, rejected=quantity_rejected)
    queue(
        "order.delivered",
        order.match.offer.organisation,
        {
            **describe(order),
            "accepted": quantity_accepted,
            "rejected": quantity_rejected,
            "reason": delivery.reason,
        },
        key=f"order.delivered:{delivery.pk}",
    )
    return delivery


@transaction.atomic
def close_order(order: Order, *, by: User | None, reason: str = "", now: dt.datetime | None = None) -> Order:
    """Close an order, because nothing more will come. What is still outstanding is wanted again.

    Raises `RuleViolation` for an order that was not shipped yet: that one is cancelled instead.
    """
    now = now or timezone.now()
    order = _lock(order)
    # Of an order that is closed short the rest is lost. The supplier is not asked for the same need again.
    outstanding = order.quantity_outstanding
    move(order, OrderState.CLOSED, state_reason=reason)
    if outstanding:
        demands_quantities.record_loss(order.match.demand_id, outstanding, now=now)
        acceptance.record_loss(order.match, outstanding)
        context = {**describe(order), "outstanding": outstanding, "reason": reason}
        for organisation in (order.match.demand.organisation, order.match.offer.organisation):
            queue("order.closed", organisation, context, key=f"order.closed:{order.pk}")
    audit.record(by, "order.closed", order, outstanding=outstanding, reason=reason)
    return order


def sides_of(order: Order, user: User) -> tuple[Side, ...]:
    """On whose behalf a user may act on an order: usually one side, all of them for a coordinator of both."""
    match = order.match
    requester, supplier = match.demand.organisation, match.offer.organisation
    may_act = {
        Side.REQUESTER: can(user, Permission.POST_DEMANDS, requester),
        Side.SUPPLIER: can(user, Permission.PUBLISH_OFFERS, supplier),
        Side.COORDINATOR: any(can(user, Permission.COORDINATE, one) for one in (requester, supplier)),
    }
    return tuple(side for side, may in may_act.items() if may)


@transaction.atomic
def cancel_order(
    order: Order, *, by: User | None, side: Side, reason: str = "", now: dt.datetime | None = None
) -> Order:
    """Call an order off before anything was shipped or received: stock and need are free again.

    `side` is on whose behalf `by` does it (`sides_of`), because a coordinator may do it for either. Only a supplier
    that calls off has it in its record. A repeat that the requester calls off is not needed any more; in all other
    cases the goods are wanted again.
    """
    now = now or timezone.now()
    order = _lock(order)
    if order.quantity_received or order.quantity_rejected:
        raise RuleViolation("illegal_move", _("Part of this order has arrived. Close it instead."))
    move(order, OrderState.CANCELLED, state_reason=reason)
    match = order.match
    # The goods never left: all of them are free for others.
    supply_quantities.release({match.offer_id: order.quantity}, now=now)
    # The repeat had made the need larger. Without it the need is as large as it was.
    if order.repeat_of_id and side == Side.REQUESTER:
        demands_quantities.undo_repeat(match.demand_id, order.quantity, now=now)
    else:
        demands_quantities.record_loss(match.demand_id, order.quantity, now=now)
    # A match ends with its first order only: repeats come and go while it stands.
    if order.repeat_of_id is None:
        acceptance.call_off(match, by=by, by_supplier=side == Side.SUPPLIER)
    audit.record(by, "order.cancelled", order, reason=reason, side=side)
    context = {**describe(order), "reason": reason}
    # A set: where one organisation is both sides it is notified once.
    for organisation in {match.demand.organisation, match.offer.organisation}:
        queue("order.cancelled", organisation, context, key=f"order.cancelled:{order.pk}")
    return order


@transaction.atomic
def repeat_order(
    order: Order, *, by: User | None, quantity: int, newest_seen: int | None = None, now: dt.datetime | None = None
) -> Order:
    """Order a proven match again, in any quantity that the supplier still has free. The need grows by as much.

    Raises as `check_repeatable` does, for a quantity that the supplier does not send or does not have, and
    `look_needed` where a coordinator approves each need.
    `newest_seen` is the key of the newest order of the match when this was decided. Raises `state_changed` if there is
    a newer one, so that a form that is sent twice does not order twice.
    """
    now = now or timezone.now()
    order = _lock(order)
    match = order.match
    if newest_seen is not None and match.orders.filter(pk__gt=newest_seen).exists():
        raise RuleViolation("state_changed", _("More has just been ordered, perhaps by you. Check it and try again."))
    check_repeatable(order, now)
    # An approval holds for a quantity, whether the need is changed or ordered again.
    if wants_approval(match.demand, Policy.objects.current().values) and not reviews(match.demand, by):
        raise look_needed("quantity")
    if quantity <= 0:
        raise RuleViolation("quantity_out_of_range", _("Order at least 1."), field="quantity")
    if quantity < match.offer.minimum_order:
        raise RuleViolation(
            "below_minimum_order",
            _("The supplier's minimum order is %(minimum)s.") % {"minimum": f"{match.offer.minimum_order:,}"},
            field="quantity",
            minimum=match.offer.minimum_order,
        )
    # A conditional UPDATE decides. The free quantity is read only afterwards, for the message.
    if not supply_quantities.reserve(match.offer_id, quantity):
        free = Offer.objects.get(pk=match.offer_id).quantity_free
        raise RuleViolation(
            "insufficient_stock",
            _("The supplier has %(free)s free right now. Order at most that, or post a new need.")
            % {"free": f"{free:,}"},
            field="quantity",
            status=409,
            free=free,
        )
    # The need grows by the repeat, so that its state and its fill rate stay true.
    demands_quantities.record_repeat(match.demand_id, quantity, now=now)
    again = Order.objects.create(
        match=match, quantity=quantity, repeat_of=order, placed_by=by, **_price_of(match.offer)
    )
    audit.record(by, "order.repeated", again, of=order.pk, quantity=quantity)
    queue("order.repeated", match.offer.organisation, describe(again), key=f"order.repeated:{again.pk}")
    return again


def check_repeatable(order: Order, now: dt.datetime) -> None:
    """Raise `RuleViolation` if nothing of this match can be ordered again, whatever the quantity.

    The match must be proven, and its offer one that may be promised. A paused offer may be. The supplier of a suspended
    offer has to confirm first that the goods are there.
    """
    match = order.match
    # A cancelled order may be a repeat, whose match stands; it proves nothing either.
    if order.state == OrderState.CANCELLED or not match.is_contact_revealed:
        raise RuleViolation("not_proven", _("Only an accepted match can be ordered again."))
    acceptance.check_may_be_promised(match, now)
    if match.offer.is_repeatable:
        return
    if match.offer.is_live:
        raise RuleViolation(
            "offer_suspended",
            _("The supplier has to confirm first that it still has these goods. Ask it to, or post a new need."),
        )
    raise RuleViolation("offer_withdrawn", _("The supplier does not offer these goods any more. Post a new need."))


def may_see_contact(match: Match, user: User) -> bool:
    """Either side once the match is accepted, and the coordinators of the region, who step in when it is stuck."""
    if not match.is_contact_revealed:
        return False
    return can(user, Permission.VIEW, match.demand.organisation) or can(user, Permission.VIEW, match.offer.organisation)


def reveal_contact(match: Match, *, to: User) -> dict[str, dict[str, str]] | None:
    """Both sides' contacts, `{"requester": …, "supplier": …}`, if `to` may see them; each look is noted."""
    return reveal_contacts([match], to=to).get(match.pk)


@transaction.atomic
def reveal_contacts(matches: Sequence[Match], *, to: User) -> dict[int, dict[str, dict[str, str]]]:
    """Both sides' contacts of each match that `to` may see, by the key of the match.

    Each look is in the audit trail, with the organisation for which `to` looked; the first is a `ContactReveal` too.
    Two queries if `to` has looked at all of them before.
    """
    allowed = [match for match in matches if may_see_contact(match, to)]
    if not allowed:
        return {}

    seen = set(ContactReveal.objects.filter(match__in=allowed, user=to).values_list("match_id", flat=True))
    first = [ContactReveal(match=match, user=to) for match in allowed if match.pk not in seen]
    if first:
        # The same person may look twice at the same moment.
        ContactReveal.objects.bulk_create(first, ignore_conflicts=True)
    audit.record_each(to, "contact.seen", [(match, _looks_for(match, to)) for match in allowed])
    return {match.pk: {"requester": match.demand.contact, "supplier": match.offer.contact} for match in allowed}


def _looks_for(match: Match, user: User) -> dict[str, Any]:
    """For which organisation somebody sees a contact: their side of the match, or the desk that steps in."""
    sides = {match.demand.organisation_id, match.offer.organisation_id}
    own = [grant.organisation for grant in user.grants if grant.organisation_id in sides]
    # Who may see a contact without being of either side coordinates the region.
    organisation = (own or user.organisations_with(Permission.COORDINATE))[0]
    return {"organisation": organisation.pk, "name": organisation.name}


def describe(order: Order) -> dict[str, Any]:
    """The facts of an order for a message: no contacts."""
    return {
        **describe_match(order.match),
        "order_id": order.pk,
        "ordered": order.quantity,
        "lead_time_days": order.match.lead_time_days,
    }
