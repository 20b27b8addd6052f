"""Listings are put into cells while suppliers go on changing their offers, and the bounds of cells stay true."""

import datetime as dt
import math
import random
import re
import threading
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, connections
from django.utils import timezone

from apps.catalogue.models import Item, Region
from apps.matching.models import LEAD_CLASSES, Cell, Listing, ReferencePrice
from apps.matching.search import offer_index
from apps.policy.models import Policy
from apps.supply.models import Offer
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
            offer_index.index_offers()
    finally:
        over.set()
        supplier.join()

    assert Listing.objects.filter(cell__isnull=False).exists()
    assert wrong_keys() == 0


def test_another_policy_is_keyed_batch_by_batch_and_every_listing_is_back_in_a_cell() -> None:
    items = [ItemFactory.create(), ItemFactory.create(key="gown")]
    for item in items:
        offers_of(item, 7)
    offer_index.index_offers(batch=3)
    Policy.objects.create(version=2, settings={"half_distance_km": 400})

    assert offer_index.index_offers(batch=3) == 14

    assert not Listing.objects.filter(cell=None).exists()
    assert list(Cell.objects.order_by("item").values_list("item", "policy_version")) == [
        (item.pk, 2) for item in sorted(items, key=lambda item: item.pk)
    ]
    assert wrong_keys() == 0


def test_a_cell_reaches_round_all_that_is_ever_put_into_it() -> None:
    """Of a city that is a hundred kilometres wide: its first offers lie in one part of it, the next ones in others."""
    city = region("420100")
    for number in range(4):
        district = Region.objects.create(
            code=f"4201{number}9", name="区", name_en="District", level="county", parent=city,
            path=f"{city.path}4201{number}9/", latitude=30.6 + 0.3 * number, longitude=114.3,
        )  # fmt: skip
        OfferFactory.create(organisation=SupplierFactory.create(region=district))
        offer_index.index_offers()

    cell: Any = Cell.objects.get()
    places: list[Any] = list(Listing.objects.filter(cell=cell).values_list("x", "y", "z"))
    assert len(places) == 4
    assert max(math.dist(place, (cell.x, cell.y, cell.z)) for place in places) <= cell.radius


def test_stock_that_is_taken_in_time_makes_keys_anew_before_they_are_past_their_time() -> None:
    now = timezone.now()
    OfferFactory.create(confirmed_at=now - dt.timedelta(days=90))
    offer_index.index_offers(now=now)

    for hours in range(1, 50):
        hour = now + dt.timedelta(hours=hours)
        assert Cell.objects.get().good_until > hour
        offer_index.refresh_supplier_statistics(now=hour)


def test_the_database_bounds_lead_times_by_the_classes_that_cells_are_made_of() -> None:
    """A cell has the best key of each class, and `matching_best` adds what the fewest days of that class score."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT prosrc FROM pg_proc WHERE proname = 'matching_best'")
        [source] = cursor.fetchone()

    classes = re.findall(r"lead_(\d+) CONSTANT double precision := lead\[(\d+)\]", source)  # days count from 1 there
    assert [(int(place), int(days) - 1) for place, days in classes] == list(enumerate(LEAD_CLASSES))
    assert {f"best_{place}" for place in range(len(LEAD_CLASSES))} == {
        field.name for field in Cell._meta.fields if field.name.startswith("best_")
    }
