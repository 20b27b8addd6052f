"""Servers that the tests make sick, and a site and a worker on them."""

from collections.abc import Iterator

import pytest
from pytest_django.plugin import DjangoDbBlocker

from apps.local import embedded
from tests.databases import connected_by, dump, restore
from tests.faults.deployment import Deployment
from tests.local.processes import free_port


@pytest.fixture(scope="package")
def deployment(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """Servers of its own, with our tables."""
    var = tmp_path_factory.mktemp("faults")
    with django_db_blocker.unblock():
        ours = connected_by()
    with embedded.use(var, durable=False) as servers:
        url = embedded.database_url(var)
        site = Deployment(var, servers, free_port())
        site.sql("DROP EXTENSION pg_trgm")  # the dump has it
        restore(dump(**ours), url)  # a hundred migrations would take a minute
        yield site
