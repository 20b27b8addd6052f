"""A deployment of each released version comes up to date with all that is in it."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from pytest_django import Settings
from pytest_django.plugin import DjangoDbBlocker

from apps.accounts.models import User
from apps.demands.models import Demand
from apps.fulfilment.models import Order
from apps.matching.models import Match
from apps.matching.search import offer_index
from apps.ops.data.invariants import broken_invariants
from apps.supply.models import OfferChange
from tests import releases
from tests.databases import another_database


@pytest.fixture
def empty_database(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[dict[str, Any]]:
    with django_db_blocker.unblock(), another_database() as connected:
        yield connected


@pytest.mark.parametrize("version", releases.all_versions())
def test_a_released_version_comes_up_to_date(
    version: str, empty_database: dict[str, Any], settings: Settings, tmp_path: Path
) -> None:
    releases.restore(version, **empty_database)
    before = {model: model.objects.count() for model in (Demand, Match, Order)}
    assert all(before.values())

    call_command("migrate", verbosity=0)

    assert {model: model.objects.count() for model in before} == before
    assert broken_invariants() == {}
    offer_index.refresh_supplier_statistics()
    assert not OfferChange.objects.exists()

    # The one dump that has been lived in also shows that the command for test systems meets every constraint.
    settings.MEDIA_ROOT = tmp_path
    people = set(User.objects.values_list("email", flat=True))
    call_command("anonymise", "--yes", stdout=io.StringIO())
    assert people.isdisjoint(User.objects.values_list("email", flat=True))
    assert broken_invariants() == {}
