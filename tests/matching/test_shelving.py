"""Listings are put into cells while suppliers go on changing their offers."""

import random
import threading
from decimal import Decimal

import pytest
from django.db import connection, connections
from django.utils import timezone

from apps.catalogue.models import Item
from apps.matching import shelving
from apps.matching.models import Cell, Listing, ReferencePrice
from apps.policy.models import Policy
from apps.supply.models import Offer
from tests.factories import ItemFactory, OfferFactory

pytestmark = pytest.mark.django_db(transaction=True)


def offers_of(item: Item, number: int) -> list[int]:
    """Published offers of one supplier, all alike."""
    first = OfferFactory.create(item=item, unit_price=5)
    now = timezone.now()
    Offer.objects.bulk_create(
        Offer(
            organisation=first.organisation, item=item, quantity=10, unit_price=Decimal(5),
            origin_region=first.origin_region, state="published", published_at=now, confirmed_at=now,
        )
        for _i in range(number - 1)
    )  # fmt: skip
    return list(Offer.objects.values_list("pk", flat=True))


def wrong_keys() -> int:
    """How many listings stand in a cell by something else than what they say."""
    values = Policy.objects.current().values
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT count(*) FROM matching_listing WHERE cell_id IS NOT NULL AND abs(steady - matching_steady(
                kept, broken, is_donation, unit_price, reference_price, %s, %s, %s, %s)) > 1e-9
            """,
            [
                values.weights["record"], values.weights["price"],
                float(values.record_prior_matches), float(values.record_prior_share),
            ],
        )  # fmt: skip
        [wrong] = cursor.fetchone()
    return int(wrong)


def test_an_offer_that_changes_while_it_is_shelved_has_no_key_of_what_it_was() -> None:
    item = ItemFactory.create()
    ReferencePrice.objects.create(item=item, price=5, taken_at=timezone.now())
    offers = offers_of(item, 3000)
    over = threading.Event()

    def change_prices() -> None:
        chance = random.Random(1)
        try:
            while not over.is_set():
                price = Decimal(chance.randint(300, 700)) / 100
                Offer.objects.filter(pk=chance.choice(offers)).update(unit_price=price)
        finally:
            connections.close_all()

    supplier = threading.Thread(target=change_prices)
    supplier.start()
    try:
        for _round in range(8):
            Listing.objects.update(cell=None, steady=None, key=None)
            shelving.shelve()
    finally:
        over.set()
        supplier.join()

    assert Listing.objects.filter(cell__isnull=False).exists()
    assert wrong_keys() == 0


def test_another_policy_is_keyed_batch_by_batch_and_every_listing_is_back_in_a_cell() -> None:
    items = [ItemFactory.create(), ItemFactory.create(key="gown")]
    for item in items:
        offers_of(item, 7)
    shelving.shelve(batch=3)
    Policy.objects.create(version=2, settings={"half_distance_km": 400})

    assert shelving.shelve(batch=3) == 14

    assert not Listing.objects.filter(cell=None).exists()
    assert list(Cell.objects.order_by("item").values_list("item", "policy_version")) == [
        (item.pk, 2) for item in sorted(items, key=lambda item: item.pk)
    ]
    assert wrong_keys() == 0
