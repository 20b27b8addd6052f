"""Tables are changed while people read them."""

import threading
import time
from collections.abc import Iterator

import pytest
from django.core.management import call_command
from django.db import connection
from psycopg import connect
from pytest_django import Settings

from tests.databases import connected_by

pytestmark = [pytest.mark.servers, pytest.mark.long, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def migration(settings: Settings) -> Iterator[None]:
    """One more migration, in an app that has no tables."""
    settings.MIGRATION_MODULES = settings.MIGRATION_MODULES | {"evaluation": "tests.ops.altering"}
    yield
    call_command("migrate", "evaluation", "zero", verbosity=0)


def test_a_change_of_a_table_behind_a_long_reader_stops_nobody(migration: None) -> None:
    to = connected_by()
    stop, waits = threading.Event(), [0.0]

    def read_long() -> None:
        with connect(**to) as reader:
            reader.execute("SELECT FROM catalogue_item")
            time.sleep(6)

    def read_often() -> None:
        with connect(**to, autocommit=True) as reader:
            while not stop.wait(0.05):
                began = time.monotonic()
                reader.execute("SELECT FROM catalogue_item")
                waits.append(time.monotonic() - began)

    readers = [threading.Thread(target=read_long), threading.Thread(target=read_often)]
    for reader in readers:
        reader.start()
    time.sleep(0.5)
    call_command("migrate", "evaluation", verbosity=0)
    stop.set()
    for reader in readers:
        reader.join()

    with connection.cursor() as cursor:
        cursor.execute("SELECT colour FROM catalogue_item")
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("0",)
    assert max(waits) < 4
