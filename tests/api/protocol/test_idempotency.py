import datetime as dt
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from apps.accounts.models import ApiToken, User
from apps.api.models import IdempotencyKey
from apps.api.protocol.idempotency import forget_old
from apps.demands.models import Demand
from tests.api.conftest import Caller
from tests.factories import ItemFactory

NEED: dict[str, Any] = {"item": "mask.surgical", "quantity": 100}


@pytest.fixture
def hospital_calls(call: Callable[..., Caller], buyer: User) -> Caller:
    ItemFactory.create()
    return call(buyer)


@pytest.mark.django_db
def test_the_same_request_is_done_once_and_answered_the_same(hospital_calls: Caller) -> None:
    first = hospital_calls.post("/demands/", NEED, Idempotency_Key="a")
    again = hospital_calls.post("/demands/", dict(reversed(NEED.items())), Idempotency_Key="a")

    assert (first.status_code, again.status_code, again.content) == (201, 201, first.content)
    assert ("Idempotent-Replayed" in first, again["Idempotent-Replayed"]) == (False, "true")
    assert Demand.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize(("path", "data"), [("/demands/", {**NEED, "quantity": 101}), ("/offers/", NEED)])
def test_the_same_key_for_something_else_is_refused(hospital_calls: Caller, path: str, data: dict[str, Any]) -> None:
    hospital_calls.post("/demands/", NEED, Idempotency_Key="a")

    answer = hospital_calls.post(path, data, Idempotency_Key="a")

    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_key_reused")
    assert Demand.objects.count() == 1


@pytest.mark.django_db
def test_keys_of_two_people_are_two_keys(
    hospital_calls: Caller, call: Callable[..., Caller], coordinator: User, hospital: Any
) -> None:
    hospital_calls.post("/demands/", NEED, Idempotency_Key="a")
    answer = call(coordinator).post("/demands/", {**NEED, "organisation": str(hospital.pk)}, Idempotency_Key="a")
    assert answer.status_code == 201, answer.content
    assert Demand.objects.count() == 2


@pytest.mark.django_db
def test_what_failed_may_be_mended_under_the_same_key(hospital_calls: Caller) -> None:
    assert hospital_calls.post("/demands/", {**NEED, "quantity": 0}, Idempotency_Key="a").status_code == 400
    assert hospital_calls.post("/demands/", NEED, Idempotency_Key="a").status_code == 201


@pytest.mark.django_db
@pytest.mark.parametrize("key", ["", "x" * 256, "é", "\t"])
def test_a_key_is_short_and_printable(hospital_calls: Caller, key: str) -> None:
    assert hospital_calls.post("/demands/", NEED, Idempotency_Key=key).status_code == 400


@pytest.mark.django_db
def test_a_token_is_not_kept_for_a_repeat(hospital_calls: Caller) -> None:
    wanted = {"name": "x", "scopes": ["read"], "lasts_days": 1}
    first = hospital_calls.post("/tokens/", wanted, Idempotency_Key="a")
    again = hospital_calls.post("/tokens/", wanted, Idempotency_Key="a")

    assert first.status_code == 201, first.content
    assert "token" not in again.json()
    assert again.json()["id"] == first.json()["id"]
    assert first.json()["token"] not in IdempotencyKey.objects.get().body
    assert ApiToken.objects.filter(name="x").count() == 1


@pytest.mark.django_db
def test_old_keys_are_forgotten(hospital_calls: Caller) -> None:
    hospital_calls.post("/demands/", NEED, Idempotency_Key="a")

    assert forget_old(now=timezone.now() + dt.timedelta(hours=47)) == 0
    assert forget_old(now=timezone.now() + dt.timedelta(hours=49)) == 1


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_acts_and_all_hear_the_same(hospital_calls: Caller) -> None:
    together = Barrier(8)

    def post(_number: int) -> tuple[int, bytes]:
        together.wait()
        try:
            answer = hospital_calls.post("/demands/", NEED, Idempotency_Key="race")
            return answer.status_code, answer.content
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(post, range(8)))

    assert [status for status, _content in answers] == [201]
    assert Demand.objects.count() == 1
