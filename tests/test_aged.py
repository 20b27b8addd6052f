"""The aged market of the benchmarks is one that could have happened."""

import pytest
from django.apps import apps
from django.db import connection, models

from apps.demands.models import Demand, DemandState
from apps.matching import services as matching
from apps.matching.models import Match, MatchState
from apps.ops.data.invariants import broken_invariants
from apps.supply.models import Offer, OfferState
from tests.benchmarks import aged_world

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("reference_data")]


def dangling() -> list[str]:
    """Foreign keys that lead nowhere. They are not checked while the world is made."""
    found = []
    for model in apps.get_models():
        for field in model._meta.concrete_fields:
            if isinstance(field, models.ForeignKey) and not model._meta.proxy:
                rows = model._default_manager.filter(**{f"{field.name}__isnull": False})
                related = field.related_model._default_manager.values(field.target_field.attname)
                if rows.exclude(**{f"{field.name}__in": related}).exists():
                    found.append(f"{model.__name__}.{field.name}")
    return found


@pytest.mark.long
def test_an_aged_market_keeps_every_promise_and_is_at_rest() -> None:
    aged_world.build(needs=1_500, offers=1_500, seed=7)

    assert broken_invariants() == {}
    assert dangling() == []
    assert set(Demand.objects.values_list("state", flat=True)) == set(DemandState.values)
    assert set(Offer.objects.values_list("state", flat=True)) == set(OfferState.values)
    assert set(Match.objects.values_list("state", flat=True)) == set(MatchState.values)
    assert not matching.sweep()


def test_the_tables_of_an_aged_market_have_no_defaults_of_its_own() -> None:
    def defaults() -> set[tuple[str, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT table_name, column_name, column_default FROM information_schema.columns"
                " WHERE column_default IS NOT NULL AND table_schema = 'public'"
            )
            return set(cursor.fetchall())

    before = defaults()
    aged_world.build(needs=100, offers=1_000, seed=7)
    assert defaults() == before
