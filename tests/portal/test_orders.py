import datetime as dt
import threading
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from apps.accounts.models import Organisation, User
from apps.catalogue.models import Item
from apps.fulfilment.models import ContactReveal, Delivery, Order, OrderState, Shipment
from apps.fulfilment.services import accept_match
from apps.supply.models import Offer
from tests.factories import DemandFactory, ItemFactory, MatchFactory, OfferFactory
from tests.portal.conftest import Login, queries

pytestmark = pytest.mark.django_db


def make_order(hospital: Organisation, maker: Organisation, item: Item, *, quantity: int = 400) -> Order:
    offer = OfferFactory.create(organisation=maker, item=item)
    demand = DemandFactory.create(organisation=hospital, item=item, address="Ward 7")
    return accept_match(MatchFactory.create(demand=demand, offer=offer, quantity=quantity), by=None)


@pytest.fixture
def order(hospital: Organisation, maker: Organisation, mask: Item) -> Order:
    """400 masks that the maker has accepted to send to the hospital; 4,600 more are free."""
    return make_order(hospital, maker, mask)


def test_both_sides_see_each_others_contact_and_the_first_look_is_logged(
    log_in: Login, buyer: User, supplier: User, hospital: Organisation, maker: Organisation, order: Order
) -> None:
    buyers, suppliers = (
        log_in(buyer).get(f"/orders/{order.pk}/").text,
        log_in(supplier).get(f"/orders/{order.pk}/").text,
    )

    assert maker.contact_phone in buyers
    assert hospital.contact_phone in suppliers
    assert "Ward 7" in suppliers
    assert {(reveal.user, reveal.match) for reveal in ContactReveal.objects.all()} == {
        (buyer, order.match),
        (supplier, order.match),
    }


def test_both_sides_read_the_price_that_was_agreed(
    log_in: Login, buyer: User, supplier: User, hospital: Organisation, maker: Organisation, mask: Item
) -> None:
    offer = OfferFactory.create(organisation=maker, item=mask, unit_price="2.5000")
    match = MatchFactory.create(demand=DemandFactory.create(organisation=hospital, item=mask), offer=offer)
    order = accept_match(match, by=None)
    Offer.objects.filter(pk=offer.pk).update(unit_price=25)

    pages = [log_in(one).get(f"/orders/{order.pk}/").text for one in (buyer, supplier)]

    assert ["2.5 CNY per unit" in page for page in pages] == [True, True]
    assert "25 CNY per unit" in pages[0]  # what it costs now, before ordering again


def test_a_partner_sees_orders_of_its_region_without_contact_and_address(
    log_in: Login, partner: User, hospital: Organisation, maker: Organisation, order: Order
) -> None:
    client = log_in(partner)
    page = client.get(f"/orders/{order.pk}/").text

    for secret in (maker.contact_phone, maker.contact_email, hospital.contact_phone, hospital.contact_email, "Ward 7"):
        assert secret not in page
    assert client.post(f"/orders/{order.pk}/cancel/").status_code == 404


def test_the_story_of_an_order_on_its_pages(log_in: Login, buyer: User, supplier: User, order: Order) -> None:
    hospital, maker, url = log_in(buyer), log_in(supplier), f"/orders/{order.pk}/"
    page = maker.get(url)
    assert (
        maker.post(
            f"{url}ship/",
            {"ship-quantity": "400", "ship-carrier": "SF", "ship-tracking_number": "SF1", "seen": page.context["seen"]},
        ).status_code
        == 302
    )
    assert "SF1" in hospital.get(url).text
    assert f'href="{url}"' in hospital.get("/needs/").text

    seen = hospital.get(url).context["seen"]
    delivered = {"deliver-quantity_accepted": "390", "deliver-quantity_rejected": "10", "seen": seen}
    refused = hospital.post(f"{url}deliver/", delivered)
    assert refused.status_code == 400
    assert "Say why you rejected them." in refused.text
    assert 'value="390"' in refused.text

    reason = {"deliver-reason_kind": "damaged", "deliver-reason": "wet boxes"}
    assert hospital.post(f"{url}deliver/", delivered | reason).status_code == 302
    order.refresh_from_db()
    assert (order.state, order.quantity_received, order.quantity_rejected) == (OrderState.DELIVERED, 390, 10)
    assert Delivery.objects.get().reason == "Damaged: wet boxes"
    assert "Damaged: wet boxes" in maker.get(url).text


def test_the_receipt_is_filled_in_with_what_is_on_its_way(
    log_in: Login, buyer: User, supplier: User, order: Order
) -> None:
    hospital, maker, url = log_in(buyer), log_in(supplier), f"/orders/{order.pk}/"
    assert hospital.get(url).context["deliver_form"]["quantity_accepted"].value() is None

    maker.post(f"{url}ship/", {"ship-quantity": "300", "seen": maker.get(url).context["seen"]})
    page = hospital.get(url).context
    assert page["deliver_form"]["quantity_accepted"].value() == 300
    hospital.post(f"{url}deliver/", {"deliver-quantity_accepted": "300", "seen": page["seen"]})

    assert hospital.get(url).context["deliver_form"]["quantity_accepted"].value() is None


def test_more_is_ordered_on_the_same_match_and_what_is_free_is_said(log_in: Login, buyer: User, order: Order) -> None:
    client = log_in(buyer)
    page = client.get(f"/orders/{order.pk}/").text
    assert "Shenzhen Maker has 4,600 pieces free right now." in page

    too_much = client.post(f"/orders/{order.pk}/repeat/", {"repeat-quantity": "4,601"})
    assert too_much.status_code == 400
    assert "4,600 free right now" in too_much.text
    assert 'value="4,601"' in too_much.text

    client.post(f"/orders/{order.pk}/repeat/", {"repeat-quantity": "4,600"})
    again = Order.objects.get(repeat_of=order)
    assert (again.quantity, again.match) == (4600, order.match)


def test_what_cannot_be_ordered_again_says_why_in_place_of_the_form(log_in: Login, buyer: User, order: Order) -> None:
    client, url = log_in(buyer), f"/orders/{order.pk}/"
    Offer.objects.filter(pk=order.match.offer_id).update(state="stale")

    page = client.get(url).text
    assert "The supplier has to confirm first that it still has these goods." in page
    assert "repeat-quantity" not in page

    refused = client.post(f"{url}repeat/", {"repeat-quantity": "100"})
    assert refused.status_code == 409
    assert "The supplier has to confirm first" in refused.text


def test_the_same_forms_sent_twice_count_once(log_in: Login, buyer: User, supplier: User, order: Order) -> None:
    hospital, maker, url = log_in(buyer), log_in(supplier), f"/orders/{order.pk}/"
    shipped = {"ship-quantity": "100", "seen": maker.get(url).context["seen"]}
    for _time in range(2):
        page = maker.post(f"{url}ship/", shipped, follow=True).text
    assert [shipment.quantity for shipment in Shipment.objects.all()] == [100]
    assert "This order has just changed" in page

    received = {"deliver-quantity_accepted": "100", "seen": hospital.get(url).context["seen"]}
    for _time in range(2):
        hospital.post(f"{url}deliver/", received)
    assert [delivery.quantity_accepted for delivery in Delivery.objects.all()] == [100]

    repeated = {"repeat-quantity": "100", "newest": str(hospital.get(url).context["newest"])}
    for _time in range(2):
        page = hospital.post(f"{url}repeat/", repeated, follow=True).text
    assert [again.quantity for again in Order.objects.filter(repeat_of=order)] == [100]
    assert "More has just been ordered" in page


@pytest.mark.django_db(transaction=True)
def test_the_same_repeat_sent_twice_at_the_same_time_orders_once(log_in: Login, buyer: User, order: Order) -> None:
    clients = [log_in(buyer), log_in(buyer)]
    data = {"repeat-quantity": "100", "newest": str(order.pk)}
    barrier = threading.Barrier(2)
    statuses: list[int] = []

    def send(client: Client) -> None:
        barrier.wait()
        try:
            statuses.append(client.post(f"/orders/{order.pk}/repeat/", data).status_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=send, args=[client]) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert statuses == [302, 302]
    assert Order.objects.filter(repeat_of=order).count() == 1


BAD = [
    ("ship", {"ship-quantity": "401"}, "Only 400 are left to ship."),
    ("ship", {"ship-quantity": ""}, "This field is required."),
    ("ship", {"ship-quantity": str(10**18)}, "Write at most"),
    ("ship", {"ship-quantity": "5", "ship-carrier": "\0"}, "Null characters are not allowed."),
    ("ship", {"ship-quantity": "5", "ship-carrier": "x" * 101}, "at most 100 characters"),
    ("ship", {"ship-quantity": "5", "ship-expected_on": "10000-01-01"}, "Write a date such as 2026-02-15."),
    ("ship", {"ship-quantity": "5", "ship-expected_on": "9999-12-31"}, "more than a year away"),
    ("deliver", {"deliver-quantity_accepted": "0"}, "Say how many you accepted or rejected."),
    ("deliver", {"deliver-quantity_accepted": ""}, "This field is required."),
    ("deliver", {"deliver-quantity_accepted": "401"}, "Only 400 of this order are outstanding."),
    ("deliver", {"deliver-quantity_accepted": "-1"}, "Write a whole number"),
    ("deliver", {"deliver-quantity_accepted": "1", "deliver-reason": "\0"}, "Null characters are not allowed."),
    ("repeat", {"repeat-quantity": "0"}, "Write at least 1."),
    ("repeat", {"repeat-quantity": "\0"}, "Write a whole number"),
    ("repeat", {"repeat-quantity": "9" * 40}, "Write"),
]


@pytest.mark.parametrize(("verb", "data", "says"), BAD)
def test_bad_input_is_said_in_words(
    log_in: Login, buyer: User, supplier: User, order: Order, verb: str, data: dict[str, Any], says: str
) -> None:
    client = log_in(supplier if verb == "ship" else buyer)

    response = client.post(f"/orders/{order.pk}/{verb}/", data)

    assert response.status_code == 400
    assert says in response.text
    order.refresh_from_db()
    assert (order.state, order.quantity_received) == (OrderState.CONFIRMED, 0)


@pytest.mark.parametrize("seen", ["", "nonsense", "2026-02-30T00:00:00Z", "\0"])
def test_a_mark_of_what_was_seen_that_cannot_be_read_is_no_obstacle(
    log_in: Login, supplier: User, order: Order, seen: str
) -> None:
    assert log_in(supplier).post(f"/orders/{order.pk}/ship/", {"ship-quantity": "5", "seen": seen}).status_code == 302


@pytest.mark.parametrize("side", ["buyer", "supplier"])
def test_either_side_cancels_before_anything_is_shipped_after_being_asked(
    request: pytest.FixtureRequest, log_in: Login, order: Order, side: str
) -> None:
    client = log_in(request.getfixturevalue(side))

    assert "Cancel the order of 400 pieces" in client.get(f"/orders/{order.pk}/cancel/").text
    order.refresh_from_db()
    assert order.state == OrderState.CONFIRMED
    client.post(f"/orders/{order.pk}/cancel/", {"reason": "fire"})
    order.refresh_from_db()
    assert (order.state, order.state_reason) == (OrderState.CANCELLED, "fire")


def test_a_coordinator_chooses_for_whom_an_order_is_cancelled(
    log_in: Login, coordinator: User, buyer: User, order: Order
) -> None:
    url = f"/orders/{order.pk}/cancel/"
    assert 'name="side"' not in log_in(buyer).get(url).text
    desk = log_in(coordinator)
    assert desk.get(url).text.count('name="side"') == 3

    assert desk.post(url, {"reason": "rang"}).status_code == 400
    desk.post(url, {"reason": "rang", "side": "supplier"})

    order.match.refresh_from_db()
    assert (order.match.state, order.match.decline_reason) == ("cancelled", "other")


def test_an_order_is_closed_short(log_in: Login, buyer: User, supplier: User, order: Order) -> None:
    log_in(supplier).post(f"/orders/{order.pk}/ship/", {"ship-quantity": "400"})
    client = log_in(buyer)
    client.post(f"/orders/{order.pk}/deliver/", {"deliver-quantity_accepted": "300"})

    assert "100 pieces are outstanding." in client.get(f"/orders/{order.pk}/close/").text
    client.post(f"/orders/{order.pk}/close/", {"reason": ""})
    order.refresh_from_db()
    order.match.demand.refresh_from_db()
    assert (order.state, order.match.demand.quantity_matched) == (OrderState.CLOSED, 300)


VERBS = ["ship", "deliver", "repeat", "cancel", "close"]


@pytest.mark.parametrize("who", ["stranger", "rival", "far_partner"])
def test_an_order_that_is_not_theirs_is_not_there(
    request: pytest.FixtureRequest, log_in: Login, order: Order, who: str
) -> None:
    client = log_in(request.getfixturevalue(who))

    assert client.get(f"/orders/{order.pk}/").status_code == 404
    assert [client.post(f"/orders/{order.pk}/{verb}/").status_code for verb in VERBS] == [404] * 5
    assert f"/orders/{order.pk}/" not in client.get("/orders/").text


def test_each_side_does_only_its_own_part(
    log_in: Login, buyer: User, colleague: User, supplier: User, order: Order
) -> None:
    hospital, maker, onlooker = log_in(buyer), log_in(supplier), log_in(colleague)
    url = f"/orders/{order.pk}/"

    assert hospital.post(f"{url}ship/", {"ship-quantity": "5"}).status_code == 404
    assert [maker.post(f"{url}{verb}/").status_code for verb in ("deliver", "repeat", "close")] == [404] * 3
    assert [onlooker.post(f"{url}{verb}/").status_code for verb in VERBS] == [404] * 5
    assert onlooker.get(url).status_code == 200


def test_nobody_sees_an_order_without_logging_in(client: Client, order: Order) -> None:
    for path in ("/orders/", f"/orders/{order.pk}/", f"/orders/{order.pk}/cancel/"):
        assert client.get(path)["Location"] == f"/login/?next={path}"


@pytest.mark.parametrize("state", OrderState.values)
def test_every_state_has_a_page_in_both_languages(
    log_in: Login, buyer: User, supplier: User, order: Order, state: str
) -> None:
    Order.objects.filter(pk=order.pk).update(state=state)

    for user in (buyer, supplier):
        client = log_in(user)
        for language in ("en", "zh-hans"):
            User.objects.filter(pk=user.pk).update(language=language)
            assert client.get(f"/orders/{order.pk}/").status_code == 200
            assert client.get("/orders/").status_code == 200


def test_the_list_filters(
    log_in: Login, buyer: User, hospital: Organisation, maker: Organisation, mask: Item, order: Order
) -> None:
    gown = make_order(hospital, maker, ItemFactory.create(key="gown", name_zh="隔离衣"))
    Order.objects.filter(pk=gown.pk).update(state=OrderState.SHIPPED)
    client = log_in(buyer)

    def found(query: str) -> list[Order]:
        return list(client.get(f"/orders/?{query}").context["page"].rows)

    assert found("") == [gown, order]
    assert found("state=shipped") == [gown]
    assert found("q=外科") == [order]
    assert found(f"q={gown.match.demand.reference}") == [gown]
    assert "Nothing fits this search." in client.get("/orders/?state=closed").text


def test_the_pages_ask_the_database_as_often_for_much_as_for_little(
    log_in: Login, buyer: User, hospital: Organisation, maker: Organisation, mask: Item, order: Order
) -> None:
    client = log_in(buyer)
    paths = ["/orders/", "/needs/", f"/orders/{order.pk}/"]

    def ship(one: Order) -> None:
        Shipment.objects.create(order=one, quantity=1, shipped_at=timezone.now())
        Order.objects.filter(pk=one.pk).update(state=OrderState.SHIPPED, updated_at=timezone.now() + dt.timedelta(0))

    ship(order)
    make_order(hospital, maker, ItemFactory.create(key="first"))
    few = [queries(client, path) for path in paths]
    for number in range(10):
        ship(make_order(hospital, maker, ItemFactory.create(key=f"item.{number}")))
        ship(order)

    assert [queries(client, path) for path in paths] == few
