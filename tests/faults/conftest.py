"""Servers that the tests make sick, and a site and a worker on them."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from pytest_django.plugin import DjangoDbBlocker

from apps.local import embedded
from tests.faults.deployment import Deployment, copy_of_tables, restore
from tests.local.processes import free_port


@pytest.fixture(scope="package")
def deployment(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """Servers of its own, with our tables."""
    var = tmp_path_factory.mktemp("faults")
    with django_db_blocker.unblock():
        settings: dict[str, Any] = connection.get_connection_params()
    ours = {key: settings[key] for key in ("dbname", "host", "port", "user", "password") if settings.get(key)}
    with embedded.use(var, durable=False) as servers:
        url = embedded.database_url(var)
        site = Deployment(var, servers, free_port())
        site.sql("DROP EXTENSION pg_trgm")  # the dump has it
        restore(copy_of_tables(**ours), url)
        yield site
