"""Each derived quantity is one formula: what a row says is what the database says."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.db import connection, models
from django.utils import timezone

from apps.core.quantities import DerivedQuantity
from apps.demands.models import Demand
from apps.fulfilment.models import Order
from apps.matching.loading import load_sources
from apps.policy.values import PolicyValues
from apps.supply.models import Offer
from tests.factories import DemandFactory, ItemFactory, MatchFactory, OfferFactory

pytestmark = pytest.mark.django_db


def derived(model: type[models.Model]) -> Iterator[tuple[str, DerivedQuantity]]:
    yield from ((name, found) for name, found in vars(model).items() if isinstance(found, DerivedQuantity))


@pytest.fixture
def rows() -> list[Any]:
    """Rows of every model that has derived quantities, the unknown and the exhausted among them."""
    item = ItemFactory.create(trial_lot=200)
    demands = [
        DemandFactory.create(item=item, quantity=1000, quantity_held=300, quantity_matched=200, quantity_received=50),
        DemandFactory.create(item=item, quantity=None, quantity_kind="unspecified", quantity_held=150),
        DemandFactory.create(item=item, quantity=None, quantity_kind="unspecified", quantity_matched=500),
    ]
    offers = [OfferFactory.create(quantity=70, quantity_reserved=reserved) for reserved in (0, 30, 70)]
    match = MatchFactory.create(state="accepted", responded_at=timezone.now())
    order = Order.objects.create(match=match, quantity=90, quantity_received=40, quantity_rejected=5)
    return [*demands, *offers, order]


def test_every_derived_quantity_is_the_same_in_python_and_in_sql(rows: list[Any]) -> None:
    known = {model for model in apps.get_models() if list(derived(model))}
    assert known == {type(row) for row in rows} == {Demand, Offer, Order}
    for row in rows:
        for name, quantity in derived(type(row)):
            counted = type(row)._default_manager.filter(pk=row.pk).values_list(quantity.expression(), flat=True)
            assert counted.get() == getattr(row, name), (row, name)


def test_what_remains_of_a_need_is_never_negative(rows: list[Any]) -> None:
    assert [(row.target, row.quantity_covered, row.quantity_remaining) for row in rows[:3]] == [
        (1000, 500, 500),
        (200, 150, 50),
        (200, 500, 0),
    ]
    assert list(Demand.objects.filter(pk__in=[row.pk for row in rows[:3]]).short().order_by("pk")) == rows[:2]


def test_a_quantity_can_be_counted_from_a_row_that_points_to_it(rows: list[Any]) -> None:
    order = rows[-1]
    free = Order.objects.values_list(Offer.quantity_free.expression("match__offer__"), flat=True).get()
    assert free == order.match.offer.quantity_free


def test_a_known_quantity_costs_no_query(rows: list[Any], django_assert_num_queries: Any) -> None:
    demand = Demand.objects.get(pk=rows[0].pk)
    with django_assert_num_queries(0):
        assert demand.quantity_remaining == 500


def test_statements_written_by_hand_count_as_the_formulas_do(rows: list[Any]) -> None:
    """Views and the reading of sources are SQL for speed, and subtract for themselves."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, free FROM supply_published")
        free = dict(cursor.fetchall())
        cursor.execute("SELECT id, greatest(0, remaining) FROM demands_open")
        remaining = dict(cursor.fetchall())
    offers = Offer.objects.published()
    read = load_sources({offer.item_id for offer in offers}, timezone.now(), PolicyValues())

    assert free == {offer.pk: offer.quantity_free for offer in offers}
    assert {source.id: source.free for source in read} == {pk: number for pk, number in free.items() if number > 0}
    assert remaining == {demand.pk: demand.quantity_remaining for demand in Demand.objects.open()}
    assert min(len(read), len(remaining)) > 1
