"""A deployment of each released version comes up to date with all that is in it."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from psycopg import connect
from pytest_django import Settings
from pytest_django.plugin import DjangoDbBlocker

from apps.accounts.models import User
from apps.demands.models import Demand
from apps.fulfilment.models import Order
from apps.matching.models import Match
from apps.matching.search import offer_index
from apps.supply.models import OfferChange
from tests import releases
from tests.invariants import broken_invariants

NAME = "cosmomatch_upgraded"


@pytest.fixture
def empty_database(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[dict[str, Any]]:
    """A database of its own, which Django's connection goes to meanwhile. Gives what psycopg connects by."""
    settings = connection.settings_dict
    ours = settings["NAME"]
    with django_db_blocker.unblock():
        parameters = connection.get_connection_params()
        connected = {key: parameters[key] for key in ("host", "port", "user", "password") if parameters.get(key)}
        connection.close()
        with connect(**connected, dbname=ours, autocommit=True) as server:
            server.execute(f"DROP DATABASE IF EXISTS {NAME}")
            server.execute(f"CREATE DATABASE {NAME}")
            settings["NAME"] = NAME
            try:
                yield connected | {"dbname": NAME}
            finally:
                connection.close()
                settings["NAME"] = ours
                server.execute(f"DROP DATABASE {NAME}")


@pytest.mark.long
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
