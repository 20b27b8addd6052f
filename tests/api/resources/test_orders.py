"""Matches, contacts and orders over the API: who answers, who reads whom to call, what is shipped."""

from collections.abc import Callable

import pytest
from django.utils import timezone

from apps.accounts.models import Organisation, User
from apps.core.models import AuditEntry
from apps.fulfilment.models import ContactReveal, Order
from apps.matching.models import Match
from tests.api.conftest import Caller
from tests.factories import (
    DemandFactory,
    MatchFactory,
    OfferFactory,
)

pytestmark = pytest.mark.django_db

Call = Callable[..., Caller]


@pytest.fixture
def accepted(hospital: Organisation, maker: Organisation) -> Match:
    return MatchFactory.create(
        demand=DemandFactory.create(organisation=hospital),
        offer=OfferFactory.create(organisation=maker),
        state="accepted",
        responded_at=timezone.now(),
    )


def test_contacts_are_revealed_one_at_a_time_and_noted(call: Call, accepted: Match, buyer: User) -> None:
    mine = call(buyer)
    assert [match["contact"] for match in mine.get("/matches/").json()["results"]] == [None]
    assert not ContactReveal.objects.exists()

    contact = mine.get(f"/matches/{accepted.pk}/").json()["contact"]
    mine.get(f"/matches/{accepted.pk}/")

    assert contact["supplier"] == accepted.offer.organisation.contact
    assert ContactReveal.objects.filter(match=accepted, user=buyer).count() == 1


def test_a_repeat_that_shows_a_contact_again_is_a_look(call: Call, supplier: User, maker: Organisation) -> None:
    match = MatchFactory.create(offer=OfferFactory.create(organisation=maker))
    path, mine = f"/matches/{match.pk}/accept/", call(supplier)
    looks = AuditEntry.objects.filter(event="contact.seen", actor=supplier)

    first = mine.post(path, Idempotency_Key="a")
    again = mine.post(path, Idempotency_Key="a")
    assert (again.content, again["Idempotent-Replayed"], looks.count()) == (first.content, "true", 2)

    # Who has left the organisation since looks at nothing.
    supplier.memberships.all().delete()
    assert mine.post(path, Idempotency_Key="a").json() == {**first.json(), "contact": None}
    assert looks.count() == 2


def test_contacts_stay_hidden(call: Call, accepted: Match, buyer: User, partner: User, hospital: Organisation) -> None:
    held = MatchFactory.create(demand=DemandFactory.create(organisation=hospital))
    path = f"/matches/{accepted.pk}/"

    assert call(buyer).get(f"/matches/{held.pk}/").json()["contact"] is None
    assert call(buyer, scopes=["read", "write"]).get(path).json()["contact"] is None
    assert call(partner).get(path).json()["contact"] is None
    assert not ContactReveal.objects.exists()


def test_a_supplier_answers_once(call: Call, supplier: User, maker: Organisation) -> None:
    match = MatchFactory.create(offer=OfferFactory.create(organisation=maker), quantity=400)
    mine = call(supplier)

    too_much = mine.post(f"/matches/{match.pk}/accept/", {"quantity": 401})
    assert (too_much.status_code, too_much.json()["held"]) == (400, 400)
    assert mine.post(f"/matches/{match.pk}/decline/", {"reason": "moon"}).status_code == 400
    declined = mine.post(f"/matches/{match.pk}/decline/", {"reason": "price", "note": "too low"})
    assert (declined.json()["state"], declined.json()["decline_reason"]) == ("declined", "price")
    late = mine.post(f"/matches/{match.pk}/accept/")
    assert (late.status_code, late.json()["code"], late.json()["state"]) == (409, "match_not_held", "declined")


def test_a_reason_is_given_in_the_language_of_the_request(call: Call, accepted: Match, buyer: User) -> None:
    (reason,) = call(buyer).get(f"/matches/{accepted.pk}/", Accept_Language="en").json()["explanation"]
    assert reason == {
        "term": "coverage",
        "value": 400,
        "score": 0.4,
        "weight": 0.25,
        "text": "It has enough for 40 % of what is still needed: 400.",
    }


# Orders


def test_an_order_is_called_off_by_either_side_but_shipped_by_one(
    call: Call, accepted: Match, buyer: User, supplier: User
) -> None:
    order = Order.objects.create(match=accepted, quantity=400)
    path = f"/orders/{order.pk}"

    assert call(buyer).post(f"{path}/ship/").json()["code"] == "not_allowed"
    assert call(supplier).post(f"{path}/deliver/", {"quantity_accepted": 1}).json()["code"] == "not_allowed"
    assert call(supplier).post(f"{path}/repeat/", {"quantity": 5}).json()["code"] == "not_allowed"
    assert call(supplier).post(f"{path}/cancel/", {"reason": "burnt"}).json()["state"] == "cancelled"


def test_a_coordinator_says_on_whose_behalf_an_order_is_called_off(
    call: Call, accepted: Match, supplier: User, coordinator: User
) -> None:
    orders = [Order.objects.create(match=accepted, quantity=200)]
    orders += [Order.objects.create(match=accepted, quantity=100, repeat_of=orders[0]) for _i in range(2)]
    demand = accepted.demand

    said = {"on_behalf_of": "requester", "reason": "enough"}
    assert call(supplier).post(f"/orders/{orders[1].pk}/cancel/", said).json()["code"] == "not_allowed"
    before = (demand.quantity or 0, demand.quantity_matched)
    assert call(coordinator).post(f"/orders/{orders[1].pk}/cancel/", said).json()["state"] == "cancelled"
    demand.refresh_from_db()
    assert (demand.quantity, demand.quantity_matched) == (before[0] - 100, before[1] - 100)

    assert call(coordinator).post(f"/orders/{orders[2].pk}/cancel/", {"on_behalf_of": "supplier"}).status_code == 200
    demand.refresh_from_db()
    assert (demand.quantity, demand.quantity_matched) == (before[0] - 100, before[1] - 200)

    call(coordinator).post(f"/orders/{orders[0].pk}/cancel/", {"on_behalf_of": "supplier"})
    accepted.refresh_from_db()
    assert (accepted.state, accepted.decline_reason) == ("cancelled", "other")


def test_parts_are_shipped_and_the_rest_is_closed(call: Call, accepted: Match, buyer: User, supplier: User) -> None:
    order = Order.objects.create(match=accepted, quantity=400)
    path = f"/orders/{order.pk}"

    call(supplier).post(f"{path}/ship/", {"quantity": 100, "expected_on": "2030-01-01"})
    too_much = call(supplier).post(f"{path}/ship/", {"quantity": 301})
    assert (too_much.status_code, too_much.json()["left"]) == (400, 300)
    call(buyer).post(f"{path}/deliver/", {"quantity_accepted": 100})
    closed = call(buyer).post(f"{path}/close/", {"reason": "enough"}).json()

    assert (closed["state"], closed["quantity_received"], closed["shipments"][0]["expected_on"]) == (
        "closed",
        100,
        "2030-01-01",
    )


def test_more_than_is_there_cannot_be_ordered_again(call: Call, accepted: Match, buyer: User) -> None:
    order = Order.objects.create(match=accepted, quantity=400)

    answer = call(buyer).post(f"/orders/{order.pk}/repeat/", {"quantity": 5000})

    assert (answer.status_code, answer.json()["code"], answer.json()["free"]) == (409, "insufficient_stock", 4600)
