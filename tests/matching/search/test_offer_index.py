"""Offers are indexed while suppliers go on changing them, and the bounds of cells stay true."""

import datetime as dt
import random
import threading
from decimal import Decimal

import pytest
from django.db import connections
from django.db.models import Max, Min
from django.utils import timezone

from apps.catalogue.models import Item, Region
from apps.matching.loading import load_published
from apps.matching.models import IndexCell, IndexedOffer, ReferencePrice
from apps.matching.search import offer_index
from apps.policy.models import Policy
from apps.supply.models import Offer, OfferChange
from tests.factories import ItemFactory, OfferFactory, SupplierFactory, region

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


def wrong() -> list[int]:
    """Offers that are indexed otherwise than they are now, although nothing is noted."""
    now, policy = timezone.now(), Policy.objects.current()
    indexed = {row.pk: row for row in IndexedOffer.objects.filter(offer__noted_change=None)}
    rows = {row.pk: row for row in offer_index._rows(load_published(list(indexed)), policy, now)}
    return [pk for pk, row in indexed.items() if pk not in rows or abs(row.key - rows[pk].key) > 1e-9]


def test_an_offer_that_changes_while_it_is_indexed_stays_noted() -> None:
    item = ItemFactory.create()
    ReferencePrice.objects.create(item=item, price=5, taken_at=timezone.now())
    offers = offers_of(item, 1000)
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
            offer_index.index_offers(batch=150)
    finally:
        over.set()
        supplier.join()

    assert IndexedOffer.objects.count() == 1000
    assert wrong() == []
    offer_index.index_offers()
    assert not OfferChange.objects.exists()
    assert wrong() == []


def test_items_keyed_for_another_policy_are_indexed_anew_as_a_whole() -> None:
    items = [ItemFactory.create(), ItemFactory.create(key="gown")]
    for item in items:
        offers_of(item, 7)
    offer_index.index_offers(batch=3)
    Policy.objects.create(version=2, settings={"half_distance_km": 400, "offer_fresh_days": 9})

    assert offer_index.index_offers(batch=3) == 14

    assert set(IndexCell.objects.values_list("item", "policy_version")) == {(item.pk, 2) for item in items}
    assert wrong() == []


def test_the_bounds_of_a_cell_are_those_of_what_is_in_it() -> None:
    """Of a city that is a hundred kilometres wide: its first offers lie in one part of it, the next ones in others."""
    city = region("420100")
    for number in range(4):
        district = Region.objects.create(
            code=f"4201{number}9", name="区", name_en="District", level="county", parent=city,
            path=f"{city.path}4201{number}9/", latitude=30.6 + 0.3 * number, longitude=114.3,
        )  # fmt: skip
        OfferFactory.create(organisation=SupplierFactory.create(region=district), lead_time_days=9 - number)
        offer_index.index_offers()
        in_it = IndexedOffer.objects.aggregate(Max("key"), Min("lead_time_days"), Min("x"), Max("x"), Max("z"))
        cell = IndexCell.objects.get()
        assert (cell.best_key, cell.soonest, cell.min_x, cell.max_x, cell.max_z) == tuple(in_it.values())

    Offer.objects.filter(lead_time_days=6).update(state="paused")
    offer_index.index_offers()
    assert IndexCell.objects.get().soonest == 7
    Offer.objects.update(state="paused")
    offer_index.index_offers()
    assert not IndexCell.objects.exists()


def test_keys_are_made_anew_before_they_are_past_their_time() -> None:
    now = timezone.now()
    OfferFactory.create(confirmed_at=now - dt.timedelta(days=90))
    offer_index.index_offers(now=now)

    for hours in range(1, 50):
        hour = now + dt.timedelta(hours=hours)
        assert IndexedOffer.objects.get().good_until > hour
        offer_index.refresh_supplier_statistics(now=hour)
