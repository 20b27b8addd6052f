from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import cache

from apps.accounts.models import User
from tests.api.conftest import Caller

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _clean() -> None:
    cache.clear()


def test_who_asks_too_much_is_told_when_to_come_back(
    call: Callable[..., Caller], buyer: User, supplier: User, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.API_REQUESTS_PER_MINUTE = 3
    # Never across the turn of a minute.
    monkeypatch.setattr("apps.api.protocol.throttling.time.time", lambda: 1_000_000.0)
    mine, theirs = call(buyer), call(supplier)

    answers = [mine.get("/demands/").status_code for _number in range(4)]
    refused = mine.get("/demands/")

    assert answers == [200, 200, 200, 429]
    assert (refused.status_code, refused.json()["code"], refused["Retry-After"]) == (429, "throttled", "20")
    assert theirs.get("/demands/").status_code == 200


def test_the_tokens_of_a_user_share_one_allowance(
    call: Callable[..., Caller], buyer: User, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.API_REQUESTS_PER_MINUTE = 3
    monkeypatch.setattr("apps.api.protocol.throttling.time.time", lambda: 1_000_000.0)

    answers = [call(buyer).get("/demands/").status_code for _number in range(5)]

    assert answers == [200, 200, 200, 429, 429]


def test_a_dead_redis_turns_nobody_away(call: Callable[..., Caller], buyer: User, settings: Any, tmp_path: Any) -> None:
    settings.API_REQUESTS_PER_MINUTE = 1
    location = f"unix://{tmp_path}/none.sock?db=0"
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": location}}

    mine = call(buyer)
    assert [mine.get("/demands/").status_code for _number in range(3)] == [200, 200, 200]
    assert call().get("/stats/").status_code == 200
