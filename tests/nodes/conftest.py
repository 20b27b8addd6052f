"""The servers of the nodes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django.plugin import DjangoDbBlocker

from tests.databases import connected_by, dump
from tests.faults.conftest import deployment
from tests.nodes.standby import Pair, pair

__all__ = ["deployment"]


@pytest.fixture
def site(django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path: Path) -> Iterator[Pair]:
    """A primary and its standby, with our tables."""
    with django_db_blocker.unblock():
        dumped = dump(**connected_by())
    with pair(tmp_path, dumped) as site:
        yield site
