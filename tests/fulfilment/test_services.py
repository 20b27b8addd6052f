"""From promise to receipt: what each side may say, and what it does to the need and the stock."""

import datetime as dt
from decimal import Decimal

import pytest
from django.utils import timezone

from apps.accounts.models import Organisation, User
from apps.core.errors import RuleViolation
from apps.demands.amending import amend_demand
from apps.demands.models import DemandState
from apps.fulfilment import services
from apps.fulfilment.models import ContactReveal, Order, OrderState, Side
from apps.matching import services as matching
from apps.matching.models import MatchState
from apps.ops.data.invariants import broken_invariants
from apps.supply import services as supply
from apps.supply.models import Offer
from tests.factories import DemandFactory, MatchFactory, OfferFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def order(hospital: Organisation, maker: Organisation) -> Order:
    """A hospital's accepted 1,000 of a maker's 5,000."""
    match = MatchFactory.create(
        demand=DemandFactory.create(organisation=hospital, quantity=1000),
        offer=OfferFactory.create(organisation=maker, quantity=5000),
        quantity=1000,
    )
    return services.accept_match(match, by=None)


def test_an_order_ships_in_parts_and_not_more_than_was_ordered(order: Order, supplier: User) -> None:
    services.ship_order(order, by=supplier, quantity=400)
    with pytest.raises(RuleViolation) as caught:
        services.ship_order(order, by=supplier, quantity=601)
    assert caught.value.params["left"] == 600
    services.ship_order(order, by=supplier)
    assert sorted(order.shipments.values_list("quantity", flat=True)) == [400, 600]


def test_the_price_agreed_stays_when_the_supplier_asks_more_later(
    order: Order, supplier: User, maker: Organisation, hospital: Organisation
) -> None:
    match = MatchFactory.create(
        demand=DemandFactory.create(organisation=hospital, quantity=100),
        offer=OfferFactory.create(organisation=maker, quantity=500, unit_price="2.5000", currency="CNY"),
        quantity=100,
    )
    dear = services.accept_match(match, by=None)
    matching.amend_offer(match.offer, by=supplier, unit_price=Decimal(25))
    again = services.repeat_order(dear, by=None, quantity=10)
    dear.refresh_from_db()

    assert (dear.unit_price, dear.currency) == (Decimal("2.5"), "CNY")
    assert (again.unit_price, again.currency) == (Decimal(25), "CNY")
    assert (order.unit_price, order.currency) == (None, "")


def test_a_donation_is_agreed_at_nothing(hospital: Organisation, maker: Organisation) -> None:
    match = MatchFactory.create(
        demand=DemandFactory.create(organisation=hospital, quantity=100),
        offer=OfferFactory.create(organisation=maker, is_donation=True),
        quantity=100,
    )
    assert services.accept_match(match, by=None).unit_price == 0


def test_goods_are_received_in_parts_and_only_accepted_ones_count(order: Order, buyer: User) -> None:
    services.deliver_order(order, by=buyer, quantity_accepted=300)
    order.refresh_from_db()
    assert order.state == OrderState.CONFIRMED
    with pytest.raises(RuleViolation, match="outstanding"):
        services.deliver_order(order, by=buyer, quantity_accepted=701)
    with pytest.raises(RuleViolation, match="why"):
        services.deliver_order(order, by=buyer, quantity_accepted=600, quantity_rejected=100)
    services.deliver_order(order, by=buyer, quantity_accepted=600, quantity_rejected=100, reason="wet")

    order.refresh_from_db()
    demand = order.match.demand
    demand.refresh_from_db()
    assert (order.state, order.quantity_received, order.quantity_rejected) == (OrderState.DELIVERED, 900, 100)
    assert (demand.state, demand.quantity_received, demand.quantity_matched) == (DemandState.OPEN, 900, 900)
    assert demand.match_requested_at is not None
    assert broken_invariants() == {}


def test_all_received_fulfils_the_need(order: Order, buyer: User) -> None:
    services.deliver_order(order, by=buyer, quantity_accepted=1000)
    order.match.demand.refresh_from_db()
    assert order.match.demand.state == DemandState.FULFILLED


@pytest.mark.parametrize(("accepted", "rejected"), [(0, 0), (-1, 5), (5, -1), (10**18, 0)])
def test_a_receipt_of_nonsense_is_refused(order: Order, buyer: User, accepted: int, rejected: int) -> None:
    with pytest.raises(RuleViolation):
        services.deliver_order(order, by=buyer, quantity_accepted=accepted, quantity_rejected=rejected, reason="x")


def test_a_short_order_is_closed_and_the_rest_is_wanted_again(order: Order, buyer: User, supplier: User) -> None:
    services.ship_order(order, by=supplier, quantity=700)
    services.deliver_order(order, by=buyer, quantity_accepted=700)
    services.close_order(order, by=buyer, reason="The rest never came")

    demand = order.match.demand
    demand.refresh_from_db()
    assert (demand.state, demand.quantity_remaining) == (DemandState.OPEN, 300)
    assert broken_invariants() == {}


def test_an_order_that_has_left_cannot_be_called_off(order: Order, supplier: User) -> None:
    services.ship_order(order, by=supplier)
    with pytest.raises(RuleViolation):
        services.cancel_order(order, by=supplier, side=Side.SUPPLIER)


def test_calling_off_frees_stock_and_need(order: Order, supplier: User) -> None:
    services.cancel_order(order, by=supplier, side=Side.SUPPLIER, reason="Line broke down")
    match = order.match
    match.refresh_from_db()
    match.demand.refresh_from_db()
    match.offer.refresh_from_db()
    assert (match.state, match.demand.state, match.demand.quantity_matched) == (
        MatchState.CANCELLED,
        DemandState.OPEN,
        0,
    )
    assert match.offer.quantity_reserved == 0
    assert broken_invariants() == {}


def test_a_repeat_is_bounded_by_what_is_free_and_says_how_much_that_is(order: Order, buyer: User) -> None:
    with pytest.raises(RuleViolation) as caught:
        services.repeat_order(order, by=buyer, quantity=4001)
    assert (caught.value.code, caught.value.params["free"]) == ("insufficient_stock", 4000)

    again = services.repeat_order(order, by=buyer, quantity=4000)
    assert again.repeat_of == order
    order.match.demand.refresh_from_db()
    assert order.match.demand.quantity == 5000
    assert broken_invariants() == {}


def test_goods_that_are_gone_are_not_ordered_again_until_confirmed(order: Order, buyer: User, supplier: User) -> None:
    offer = order.match.offer
    offer.refresh_from_db()
    other = MatchFactory.create(offer=offer, demand=DemandFactory.create(item=offer.item))
    matching.decline(other, by=supplier, reason="gone")

    with pytest.raises(RuleViolation, match="has to confirm first") as caught:
        services.repeat_order(order, by=buyer, quantity=100)
    assert (caught.value.code, caught.value.status) == ("offer_suspended", 409)
    order.match.demand.refresh_from_db()
    assert (order.match.demand.quantity, Order.objects.count()) == (1000, 1)

    offer.refresh_from_db()
    supply.confirm_offer(offer, by=supplier)
    assert services.repeat_order(order, by=buyer, quantity=100).repeat_of == order
    assert broken_invariants() == {}


def test_a_repeat_takes_from_a_paused_offer_and_not_from_a_withdrawn_one(
    order: Order, buyer: User, supplier: User
) -> None:
    offer = order.match.offer
    supply.pause_offer(offer, by=supplier)
    assert services.repeat_order(order, by=buyer, quantity=100).quantity == 100

    supply.withdraw_offer(offer, by=supplier)
    with pytest.raises(RuleViolation, match="not offer these goods any more") as caught:
        services.repeat_order(order, by=buyer, quantity=100)
    assert caught.value.code == "offer_withdrawn"


def test_goods_whose_certificate_has_run_out_are_not_ordered_again(order: Order, buyer: User) -> None:
    now = timezone.now()
    Offer.objects.filter(pk=order.match.offer_id).update(certificate_valid_until=now.date())
    assert services.repeat_order(order, by=buyer, quantity=100, now=now).quantity == 100

    with pytest.raises(RuleViolation) as caught:
        services.repeat_order(order, by=buyer, quantity=100, now=now + dt.timedelta(days=1))
    assert caught.value.code == "certificate_expired"


@pytest.mark.parametrize("side", ["demand", "offer"])
def test_nothing_is_ordered_again_while_one_side_is_not_verified(order: Order, buyer: User, side: str) -> None:
    Organisation.objects.filter(pk=getattr(order.match, side).organisation_id).update(state="unverified")
    with pytest.raises(RuleViolation) as caught:
        services.repeat_order(order, by=buyer, quantity=100)
    assert caught.value.code == "organisation_unverified"


def test_a_repeat_taken_back_by_the_requester_shrinks_the_need_again(order: Order, buyer: User) -> None:
    again = services.repeat_order(order, by=buyer, quantity=500)
    services.cancel_order(again, by=buyer, side=Side.REQUESTER)
    demand = order.match.demand
    demand.refresh_from_db()
    assert (demand.quantity, demand.quantity_matched, demand.state) == (1000, 1000, DemandState.MATCHED)
    order.match.refresh_from_db()
    assert order.match.state == MatchState.ACCEPTED
    assert broken_invariants() == {}


def test_both_sides_see_contacts_after_acceptance_and_looks_are_logged(
    order: Order, buyer: User, supplier: User, rival: User, partner: User, stranger: User
) -> None:
    match = order.match
    for outsider in (rival, partner, stranger):
        assert services.reveal_contact(match, to=outsider) is None
    for insider in (buyer, supplier, buyer):
        contacts = services.reveal_contact(match, to=insider)
        assert contacts is not None
        assert contacts["supplier"]["phone"] == match.offer.organisation.contact_phone
        assert contacts["requester"]["phone"] == match.demand.organisation.contact_phone
    assert sorted(ContactReveal.objects.values_list("user", flat=True)) == sorted([buyer.pk, supplier.pk])

    held = MatchFactory.create(demand__organisation=match.demand.organisation)
    assert services.reveal_contact(held, to=buyer) is None


def test_a_repeat_can_be_called_off_though_less_is_needed_by_now(
    hospital: Organisation, buyer: User, maker: Organisation
) -> None:
    demand = DemandFactory.create(organisation=hospital, quantity=100)
    offer = OfferFactory.create(organisation=maker, item=demand.item)
    first = services.accept_match(MatchFactory.create(demand=demand, offer=offer, quantity=100), by=None)
    again = services.repeat_order(first, by=buyer, quantity=50)
    services.cancel_order(first, by=buyer, side=Side.REQUESTER)
    demand.refresh_from_db()
    amend_demand(demand, by=buyer, quantity=50)

    services.cancel_order(again, by=buyer, side=Side.REQUESTER)

    demand.refresh_from_db()
    assert (demand.state, demand.quantity, demand.quantity_matched) == (DemandState.OPEN, 50, 0)
