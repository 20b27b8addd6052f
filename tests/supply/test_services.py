"""What may be offered, and what time does to it."""

import datetime as dt
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from apps.accounts.models import Organisation, User
from apps.core.errors import RuleViolation
from apps.notifications.models import Notification
from apps.supply import freshness, quantities, services
from apps.supply.amending import amend_offer
from apps.supply.models import Offer, OfferState
from tests.factories import ItemFactory, OfferFactory, SupplierFactory, standard_of
from tests.waiting import until_it_waits_for_us

pytestmark = pytest.mark.django_db


def test_an_offer_is_drafted_published_paused_and_withdrawn(maker: Organisation, supplier: User) -> None:
    offer = services.create_offer(maker, item=ItemFactory.create(), by=supplier, quantity=500)
    assert (offer.state, offer.origin_region) == (OfferState.DRAFT, maker.region)

    services.publish_offer(offer, by=supplier)
    assert (offer.state, offer.match_requested_at is not None) == (OfferState.PUBLISHED, True)
    services.pause_offer(offer, by=supplier)
    services.publish_offer(offer, by=supplier)
    services.withdraw_offer(offer, by=supplier)
    with pytest.raises(RuleViolation):
        services.publish_offer(offer, by=supplier)


@pytest.mark.parametrize(
    ("facts", "field"),
    [
        ({"quantity": -1}, "quantity"),
        ({"quantity": 10**18}, "quantity"),
        ({"minimum_order": 0}, "minimum_order"),
        ({"daily_capacity": 0}, "daily_capacity"),
        ({"unit_price": -1}, "unit_price"),
        ({"unit_price": 5, "is_donation": True}, "unit_price"),
        ({"ships_to": ["420000", "999999"]}, "ships_to"),
    ],
)
def test_each_fault_is_named_by_its_field(
    maker: Organisation, supplier: User, facts: dict[str, Any], field: str
) -> None:
    with pytest.raises(RuleViolation) as caught:
        services.create_offer(maker, item=ItemFactory.create(), by=supplier, **{"quantity": 5, **facts})
    assert field in caught.value.errors
    assert Offer.objects.count() == 0


def test_all_faults_come_at_once(maker: Organisation, supplier: User) -> None:
    alien = standard_of(ItemFactory.create(key="cap"), "GB 1")
    with pytest.raises(RuleViolation) as caught:
        services.create_offer(maker, item=ItemFactory.create(), by=supplier, quantity=-1, standard=alien)
    assert set(caught.value.errors) == {"quantity", "standard"}


def test_what_cannot_be_promised_cannot_be_published(maker: Organisation, supplier: User) -> None:
    empty = services.create_offer(maker, item=ItemFactory.create(), by=supplier)
    with pytest.raises(RuleViolation, match="how much"):
        services.publish_offer(empty, by=supplier)
    expired = services.create_offer(
        maker, item=ItemFactory.create(), by=supplier, quantity=5, certificate_valid_until=dt.date(2020, 1, 1)
    )
    with pytest.raises(RuleViolation, match="expired"):
        services.publish_offer(expired, by=supplier)
    unknown = OfferFactory.create(draft=True, organisation=SupplierFactory.create(unverified=True))
    with pytest.raises(RuleViolation, match="verified"):
        services.publish_offer(unknown, by=supplier)


def test_what_may_not_be_published_yet_is_kept_and_says_why(maker: Organisation, supplier: User) -> None:
    facts: dict[str, Any] = {"item": ItemFactory.create(), "by": supplier, "quantity": 5}
    new = SupplierFactory.create(unverified=True)
    posted = [
        services.post_offer(maker, **facts),
        services.post_offer(maker, publish=True, **facts),
        services.post_offer(new, publish=True, **facts),
        services.post_offer(maker, publish=True, certificate_valid_until=dt.date(2020, 1, 1), **facts),
    ]

    assert [(one.offer.state, one.violation and one.violation.code) for one in posted] == [
        (OfferState.DRAFT, None),
        (OfferState.PUBLISHED, None),
        (OfferState.DRAFT, "organisation_unverified"),
        (OfferState.DRAFT, "certificate_expired"),
    ]
    assert sorted(Offer.objects.values_list("state", flat=True)) == ["draft", "draft", "draft", "published"]


def test_what_is_promised_bounds_what_can_be_amended(supplier: User, maker: Organisation) -> None:
    offer = OfferFactory.create(organisation=maker, quantity=100, quantity_reserved=60)
    with pytest.raises(RuleViolation) as caught:
        amend_offer(offer, by=supplier, quantity=59)
    assert "60 of it are reserved" in str(caught.value.errors["quantity"][0])
    assert amend_offer(offer, by=supplier, quantity=60).quantity_free == 0


def test_a_hospital_has_no_offers(hospital: Organisation, buyer: User) -> None:
    with pytest.raises(RuleViolation, match="does not publish"):
        services.create_offer(hospital, item=ItemFactory.create(), by=buyer, quantity=5)


def test_many_rows_are_all_or_nothing(maker: Organisation, supplier: User) -> None:
    item = ItemFactory.create()
    with pytest.raises(RuleViolation):
        services.create_offers(maker, [{"item": item, "quantity": 5}, {"item": item, "quantity": -5}], by=supplier)
    assert Offer.objects.count() == 0
    made = services.create_offers(maker, [{"item": item, "quantity": 5}] * 3, by=supplier, publish=True)
    assert {offer.state for offer in made} == {OfferState.PUBLISHED}


def test_an_offer_is_asked_about_then_suspended_and_back_when_confirmed(maker: Organisation, supplier: User) -> None:
    offer = OfferFactory.create(organisation=maker)
    start = timezone.now()
    assert freshness.ask_whether_still_there(now=start + dt.timedelta(days=11)) == 1
    assert freshness.ask_whether_still_there(now=start + dt.timedelta(days=11)) == 0
    late = start + dt.timedelta(days=15)
    assert freshness.suspend_stale(now=late) == 1
    offer.refresh_from_db()
    assert offer.state == OfferState.STALE
    assert Notification.objects.filter(user=supplier).count() == 2

    assert services.confirm_offer(offer, by=supplier, now=late).state == OfferState.PUBLISHED
    assert freshness.suspend_stale(now=late + dt.timedelta(days=13)) == 0


def test_stock_is_reserved_only_while_it_is_there() -> None:
    offer = OfferFactory.create(quantity=10)
    assert quantities.reserve(offer.pk, 7)
    assert not quantities.reserve(offer.pk, 4)
    assert quantities.reserve(offer.pk, 3)
    assert not quantities.reserve(offer.pk, 1)


@pytest.mark.parametrize(
    ("state", "expected"), [("published", True), ("paused", True), ("stale", False), ("withdrawn", False)]
)
def test_stock_is_reserved_of_what_its_supplier_stands_by(state: str, expected: bool) -> None:
    offer = OfferFactory.create(quantity=10, state=state)
    assert quantities.reserve(offer.pk, 7) == expected
    offer.refresh_from_db()
    assert (offer.quantity_reserved, offer.is_repeatable) == (7 if expected else 0, expected)


@pytest.mark.django_db(transaction=True)
def test_many_offers_are_locked_in_the_order_of_their_keys() -> None:
    """Also where they lie the other way round: who holds the first and wants the second finds it free."""
    first, second = OfferFactory.create_batch(2)
    Offer.objects.filter(pk=first.pk).update(note="written anew, behind the other")

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            Offer.objects.select_for_update(no_key=True).get(pk=first.pk)
            looked = until_it_waits_for_us(pool, partial(_request, [first.pk, second.pk]))
            Offer.objects.select_for_update(no_key=True, nowait=True).get(pk=second.pk)
        assert looked.result() == 2


def _request(offers: list[int]) -> int:
    """On a connection that reads tables as they lie, as it would when most of a table is asked for."""
    with connection.cursor() as cursor:
        cursor.execute("SET enable_indexscan = off; SET enable_bitmapscan = off")
    return services.request_matching(offers, now=timezone.now())


CAN: dict[str, Callable[..., Offer]] = {
    "can_be_published": services.publish_offer,
    "can_be_confirmed": services.confirm_offer,
    "can_be_paused": services.pause_offer,
    "can_be_withdrawn": services.withdraw_offer,
}


@pytest.mark.parametrize("may", CAN)
@pytest.mark.parametrize("state", OfferState.values)
def test_an_offer_offers_what_the_services_do(supplier: User, state: str, may: str) -> None:
    offer = OfferFactory.create(state=state)

    if getattr(offer, may):
        CAN[may](offer, by=supplier)
    else:
        with pytest.raises(RuleViolation):
            CAN[may](offer, by=supplier)
