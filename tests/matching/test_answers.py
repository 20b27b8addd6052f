"""What an answer, or none, changes one sweep later: for the need, for the offer, and for what is asked next.

The form of these tests is that of test_rematching.py.
"""

import datetime as dt

import pytest
from django.utils import timezone

from apps.accounts.models import Organisation, User
from apps.catalogue.models import Satisfaction
from apps.demands.models import DemandState, QuantityKind
from apps.fulfilment import services as fulfilment
from apps.fulfilment.models import Order, Side
from apps.matching import services as matching
from apps.matching.loading import load_sources
from apps.matching.models import DeclineReason, Match, MatchState
from apps.matching.search import offer_index
from apps.notifications.models import Message
from apps.policy.values import PolicyValues
from apps.supply import services as supply
from apps.supply.amending import amend_offer
from apps.supply.models import Offer, OfferState
from tests.factories import (
    ItemFactory,
    OfferFactory,
    region,
    standard_of,
)
from tests.matching.rematching import (
    BEIJING,
    SHENZHEN,
    WUHAN,
    XINJIANG,
    Sweep,
    asked,
    need,
    nobody_left,
    offer_in,
    person_of,
    proposed,
    state_of,
    supplier_in,
    suppliers_asked,
    withdrawn,
)

pytestmark = pytest.mark.django_db


# --- Answers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", DeclineReason.values)
def test_a_no_brings_in_the_next_best_whatever_its_reason(sweep: Sweep, reason: str) -> None:
    near, far, demand = offer_in(WUHAN), offer_in(SHENZHEN), need()
    sweep()
    standby = Match.objects.get(offer=far)

    matching.decline(Match.objects.held().get(), by=None, reason=reason)
    news = sweep()

    if reason == DeclineReason.GONE:
        news.remove(("offer.gone", near.organisation.contact_email))
    assert news == [suppliers_asked(demand), proposed(far)]
    assert asked() == {(demand.pk, far.pk): 1000}
    assert Match.objects.held().get() == standby, "promoted, not asked a second time"
    assert state_of(demand, near) == [MatchState.DECLINED]


def test_silence_brings_in_the_next_best(sweep: Sweep) -> None:
    near, far, demand = offer_in(WUHAN), offer_in(SHENZHEN), need()
    sweep()

    news = sweep(timezone.now() + dt.timedelta(hours=3))

    assert news == [suppliers_asked(demand), ("match.expired", near.organisation.contact_email), proposed(far)]
    assert asked() == {(demand.pk, far.pk): 1000}


@pytest.mark.parametrize(
    ("reason", "is_asked"),
    [("gone", True), ("price", False), ("distance", False), ("standard", True), ("other", True), ("silence", False)],
)
def test_another_offer_of_a_supplier_is_asked_unless_its_no_covers_it(
    sweep: Sweep, reason: str, is_asked: bool
) -> None:
    """Of the same goods at the same place: gone is this heap; the price and the way are the same; nobody is in."""
    maker = supplier_in(WUHAN)
    item = ItemFactory.create()
    first = offer_in(WUHAN, organisation=maker, item=item, standard=standard_of(item))
    second = offer_in(WUHAN, organisation=maker, item=item, lead_time_days=5)
    demand = need(item=item)
    sweep()
    assert asked() == {(demand.pk, first.pk): 1000}

    later = timezone.now() + dt.timedelta(hours=3)
    if reason != "silence":
        matching.decline(Match.objects.held().get(), by=None, reason=reason)
    sweep(later if reason == "silence" else None)

    assert asked() == ({(demand.pk, second.pk): 1000} if is_asked else {})
    amend_offer(second, by=person_of(demand), lead_time_days=4, now=later)
    sweep(later + dt.timedelta(minutes=1))
    assert asked() == {(demand.pk, second.pk): 1000}, "whoever touches an offer may be asked again"


def test_part_of_what_was_asked_leaves_the_rest_to_others(sweep: Sweep) -> None:
    near, far, demand = offer_in(WUHAN), offer_in(SHENZHEN), need()
    sweep()

    fulfilment.accept_match(Match.objects.held().get(), by=None, quantity=300)

    news = sweep()
    assert [one for one in news if one[0] not in {"match.accepted", "order.confirmed"}] == [
        suppliers_asked(demand),
        proposed(far),
    ]
    assert asked() == {(demand.pk, far.pk): 700}
    near.refresh_from_db()
    assert near.quantity_reserved == 300


def test_what_part_of_a_request_leaves_free_goes_to_another_need(sweep: Sweep) -> None:
    offer, first = offer_in(WUHAN, 1000), need(1000)
    sweep()
    second = need(500, by={"kind": "enterprise"})
    sweep()

    fulfilment.accept_match(Match.objects.held().get(), by=None, quantity=600)
    sweep()

    assert asked() == {(second.pk, offer.pk): 400}
    first.refresh_from_db()
    assert (first.state, first.quantity_matched) == (DemandState.OPEN, 600)


# --- Goods that are gone ----------------------------------------------------------------------------------------------


def test_an_offer_that_is_gone_is_suspended_until_one_click_confirms_it(sweep: Sweep) -> None:
    offer, first, second = offer_in(WUHAN, 2000), need(1000), need(500)
    sweep()
    assert asked() == {(first.pk, offer.pk): 1000, (second.pk, offer.pk): 500}

    matching.decline(Match.objects.get(demand=first), by=None, reason="gone")
    third = need(100)

    # One message for all of it: the other request is not withdrawn by one of its own.
    assert sweep() == [nobody_left(first), nobody_left(second), ("offer.gone", offer.organisation.contact_email)]
    assert Message.objects.get(event="offer.gone").context["withdrawn"] == 1
    offer.refresh_from_db()
    assert (asked(), offer.state, offer.quantity_reserved) == ({}, OfferState.STALE, 0)

    supply.confirm_offer(offer, by=person_of(first))
    sweep()
    assert asked() == {(first.pk, offer.pk): 1000, (second.pk, offer.pk): 500, (third.pk, offer.pk): 100}


def test_a_request_for_goods_that_are_gone_is_taken_back_with_a_notice(sweep: Sweep) -> None:
    first, second, offer = need(1000), need(1000), offer_in(WUHAN, 2000)
    sweep()
    supply.pause_offer(offer, by=person_of(first))

    matching.decline(Match.objects.get(demand=first), by=None, reason="gone")

    assert sweep() == [nobody_left(first), nobody_left(second), withdrawn(offer)]
    assert state_of(second, offer) == [MatchState.CANCELLED]


def test_what_was_accepted_of_goods_that_are_gone_stays_accepted(sweep: Sweep) -> None:
    offer, first = offer_in(WUHAN, 2000), need(1000)
    sweep()
    fulfilment.accept_match(Match.objects.get(), by=None)
    second = need(500)
    sweep()

    matching.decline(Match.objects.get(demand=second), by=None, reason="gone")
    sweep()

    offer.refresh_from_db()
    assert (offer.state, offer.quantity_reserved) == (OfferState.STALE, 1000)
    assert state_of(first, offer) == [MatchState.ACCEPTED]


# --- What a no teaches ------------------------------------------------------------------------------------------------


def test_too_far_covers_farther_needs_until_the_offer_is_touched(sweep: Sweep) -> None:
    offer = offer_in(SHENZHEN)
    sweep()
    beijing = need(100, by={"region": region(BEIJING)})
    sweep()
    matching.decline(Match.objects.get(demand=beijing), by=None, reason="distance")
    sweep()

    near, far = need(100), need(100, by={"region": region(XINJIANG)})
    sweep()
    assert asked() == {(near.pk, offer.pk): 100}

    supply.confirm_offer(offer, by=person_of(near))
    sweep()
    assert asked() == {(need.pk, offer.pk): 100 for need in (near, far, beijing)}


def test_not_the_right_standard_is_meant_of_every_need_that_asks_for_it(sweep: Sweep) -> None:
    item = ItemFactory.create()
    standard, other = standard_of(item), standard_of(item, "YY/T 0969-2013")
    Satisfaction.objects.create(offered=standard, demanded=other)
    offer = offer_in(SHENZHEN, item=item, standard=standard)
    first = need(100, standard=standard, item=item)
    sweep()
    matching.decline(Match.objects.get(demand=first), by=None, reason="standard")
    sweep()

    need(100, standard=standard, item=item)
    of_other, of_any = need(100, standard=other, item=item), need(100, item=item)
    sweep()

    assert asked() == {(of_other.pk, offer.pk): 100, (of_any.pk, offer.pk): 100}


def test_a_price_that_does_not_fit_one_need_may_fit_another(sweep: Sweep) -> None:
    offer, first = offer_in(SHENZHEN), need(100)
    sweep()
    matching.decline(Match.objects.get(demand=first), by=None, reason="price")
    sweep()

    second = need(100)
    sweep()

    assert asked() == {(second.pk, offer.pk): 100}


def record_of(offer: Offer) -> tuple[int, int]:
    offer_index.refresh_supplier_statistics()
    [source] = [one for one in load_sources([offer.item_id], timezone.now(), PolicyValues()) if one.id == offer.pk]
    return source.kept, source.broken


@pytest.mark.parametrize(
    ("reason", "broken"), [("gone", 1), ("price", 0), ("distance", 0), ("standard", 0), ("other", 0), ("silence", 1)]
)
def test_only_silence_and_gone_count_against_the_record(sweep: Sweep, reason: str, broken: int) -> None:
    maker = supplier_in(WUHAN)
    offer_in(WUHAN, organisation=maker)
    other = offer_in(WUHAN, organisation=maker, item=ItemFactory.create(key="gown"))
    need()
    sweep()

    if reason != "silence":
        matching.decline(Match.objects.held().get(), by=None, reason=reason)
    sweep(timezone.now() + dt.timedelta(hours=3))

    assert record_of(other) == (0, broken)


@pytest.mark.parametrize(("side", "record"), [("supplier", (0, 1)), ("requester", (0, 0))])
def test_only_who_calls_an_order_off_answers_for_it(
    sweep: Sweep,
    hospital: Organisation,
    buyer: User,
    maker: Organisation,
    supplier: User,
    side: str,
    record: tuple[int, int],
) -> None:
    offer = OfferFactory.create(organisation=maker)
    need(organisation=hospital)
    sweep()
    order = fulfilment.accept_match(Match.objects.get(), by=supplier)
    assert record_of(offer) == (1, 0)

    fulfilment.cancel_order(order, by={"supplier": supplier, "requester": buyer}[side], side=Side(side))

    assert record_of(offer) == record


@pytest.mark.parametrize(("rejected", "record"), [(100, (0, 1)), (99, (1, 0))])
def test_a_delivery_of_which_a_tenth_is_rejected_breaks_the_promise(
    sweep: Sweep, hospital: Organisation, buyer: User, maker: Organisation, rejected: int, record: tuple[int, int]
) -> None:
    offer = OfferFactory.create(organisation=maker)
    need(1000, organisation=hospital)
    sweep()
    order = fulfilment.accept_match(Match.objects.get(), by=None)

    fulfilment.deliver_order(
        order, by=buyer, quantity_accepted=1000 - rejected, quantity_rejected=rejected, reason="torn"
    )

    assert record_of(offer) == record
    assert (maker.record.called_off, maker.record.failed) == (0, record[1])


def test_goods_that_never_come_break_the_promise(
    sweep: Sweep, hospital: Organisation, buyer: User, maker: Organisation
) -> None:
    offer = OfferFactory.create(organisation=maker)
    need(1000, organisation=hospital)
    sweep()
    order = fulfilment.accept_match(Match.objects.get(), by=None)
    fulfilment.ship_order(order, by=None)
    order.refresh_from_db()

    fulfilment.close_order(order, by=buyer, reason="It never came")

    assert record_of(offer) == (0, 1)
    assert maker.record.failed == 1


@pytest.mark.parametrize(("side", "record"), [("supplier", (0, 1)), ("requester", (0, 0)), ("coordinator", (0, 0))])
def test_a_coordinator_says_for_whom_an_order_is_called_off(
    sweep: Sweep, supplier: User, maker: Organisation, coordinator: User, side: str, record: tuple[int, int]
) -> None:
    offer = OfferFactory.create(organisation=maker)
    need()
    sweep()
    order = fulfilment.accept_match(Match.objects.get(), by=supplier)
    assert fulfilment.sides_of(order, coordinator) == tuple(Side)

    fulfilment.cancel_order(order, by=coordinator, side=Side(side))

    assert record_of(offer) == record


# --- Orders -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def order(sweep: Sweep, hospital: Organisation, buyer: User, maker: Organisation, supplier: User) -> Order:
    """Of 1,000, accepted; another supplier could have served it."""
    OfferFactory.create(organisation=maker)
    offer_in(XINJIANG)
    need(organisation=hospital)
    sweep()
    order = fulfilment.accept_match(Match.objects.held().get(), by=supplier)
    sweep()
    return order


@pytest.mark.parametrize("side", ["supplier", "requester"])
def test_an_order_that_is_called_off_is_wanted_again_of_somebody_else(
    sweep: Sweep, order: Order, buyer: User, supplier: User, side: str
) -> None:
    fulfilment.cancel_order(order, by={"supplier": supplier, "requester": buyer}[side], side=Side(side))

    news = [one for one in sweep() if one[0] != "order.cancelled"]

    [held] = Match.objects.held()
    assert (held.offer.organisation != order.match.offer.organisation, held.quantity) == (True, 1000)
    assert news == [suppliers_asked(held.demand), proposed(held.offer)]


def test_goods_that_were_rejected_are_wanted_again_of_somebody_else(
    sweep: Sweep, order: Order, buyer: User, supplier: User
) -> None:
    fulfilment.ship_order(order, by=supplier)
    fulfilment.deliver_order(order, by=buyer, quantity_accepted=900, quantity_rejected=100, reason="Wet")

    sweep()

    [held] = Match.objects.held()
    assert (held.offer.organisation != order.match.offer.organisation, held.quantity) == (True, 100)


def test_what_never_came_of_an_order_is_wanted_again_of_somebody_else(
    sweep: Sweep, order: Order, buyer: User, supplier: User
) -> None:
    fulfilment.ship_order(order, by=supplier)
    fulfilment.deliver_order(order, by=buyer, quantity_accepted=700)
    fulfilment.close_order(Order.objects.get(pk=order.pk), by=buyer, reason="Lost on the way")

    sweep()

    [held] = Match.objects.held()
    assert (held.offer.organisation != order.match.offer.organisation, held.quantity) == (True, 300)


# --- Unknown quantities -----------------------------------------------------------------------------------------------


def test_an_unknown_quantity_goes_on_after_part_of_its_trial_lot(sweep: Sweep) -> None:
    demand, first = need(None, quantity_kind=QuantityKind.UNSPECIFIED), offer_in(WUHAN, 50)
    sweep()
    fulfilment.accept_match(Match.objects.held().get(), by=None)
    sweep()

    second = offer_in(WUHAN, 1000, queued=True)
    sweep()

    assert demand.item.trial_lot == 200
    assert (state_of(demand, first), asked()) == ([MatchState.ACCEPTED], {(demand.pk, second.pk): 150})
