"""What is asked in a market with history costs what is to be done, and not what was done: rows read, never time."""

from collections.abc import Iterator

import pytest
from django.db import connection
from pytest_django import DjangoDbBlocker

from apps.accounts.models import Organisation
from apps.matching import services as matching
from tests.benchmarks import aged_world
from tests.plans import rows_read

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("world")]


@pytest.fixture(scope="module")
def world(reference_data: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """2,000 needs with 4,000 matches and 1,300 orders, at rest."""
    with django_db_blocker.unblock():
        aged_world.build(needs=2_000, offers=2_000, seed=7)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
        yield


def test_a_sweep_with_nothing_to_do_reads_next_to_nothing() -> None:
    # So few organisations are read as a whole. Their queue is a partial index.
    assert rows_read(matching.sweep) < Organisation.objects.count() + 10
