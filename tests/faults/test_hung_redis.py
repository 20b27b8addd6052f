"""A Redis that takes connections and never answers."""

import socket
from collections.abc import Iterator

import pytest
from django.conf import settings as django_settings
from django.core.cache import cache
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from apps.accounts.models import User
from apps.demands.models import Demand, DemandState
from cosmomatch import cache as breaker
from tests.factories import DemandFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def hung(settings: Settings) -> Iterator[socket.socket]:
    """The server, whose backlog takes connections that nobody looks at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        location = f"redis://127.0.0.1:{server.getsockname()[1]}/1"
        settings.CACHES = {"default": django_settings.CACHES["default"] | {"LOCATION": location}}
        yield server


@pytest.mark.usefixtures("hung")
def test_only_the_first_call_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RedisTimeoutError):
        cache.get("anything")
    for _call in range(3):
        with pytest.raises(RedisConnectionError, match="not asked again"):
            cache.get("anything")

    monkeypatch.setattr(breaker, "REST", -1.0)
    monkeypatch.setattr("cosmomatch.cache.time.monotonic", lambda: float("inf"))
    with pytest.raises(RedisTimeoutError):  # asked again after the rest
        cache.get("anything")


def test_a_post_waits_for_it_once(
    hung: socket.socket, client: Client, buyer: User, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    draft = DemandFactory.create(organisation=buyer.memberships.get().organisation, state=DemandState.DRAFT)
    client.force_login(buyer)

    with django_capture_on_commit_callbacks(execute=True):
        answer = client.post(f"/needs/{draft.pk}/open/")

    assert answer.status_code == 302
    assert Demand.objects.get().state == DemandState.OPEN
    hung.setblocking(False)
    hung.accept()
    with pytest.raises(BlockingIOError):
        hung.accept()  # no second connection was opened
