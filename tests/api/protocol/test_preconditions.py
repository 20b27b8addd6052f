"""`If-Match`: a change is for the row as it was read, and for no other."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, connections, transaction

from apps.accounts.models import Organisation, User
from apps.demands.models import Demand
from apps.supply.models import Offer
from tests.api.conftest import Caller
from tests.factories import DemandFactory, ItemFactory, OfferFactory

pytestmark = pytest.mark.django_db

Call = Callable[..., Caller]


@pytest.fixture
def need(hospital: Organisation) -> Demand:
    return DemandFactory.create(organisation=hospital, note="as it was")


def test_of_two_changes_of_the_same_state_the_second_is_told(call: Call, need: Demand, buyer: User) -> None:
    mine, path = call(buyer), f"/demands/{need.pk}/"
    read = mine.get(path)["ETag"]

    first = mine.patch(path, {"note": "Gate 3"}, If_Match=read)
    second = mine.patch(path, {"note": "Gate 4"}, If_Match=read)

    assert (first.status_code, second.status_code, second.json()["code"]) == (200, 412, "precondition_failed")
    need.refresh_from_db()
    assert need.note == "Gate 3"
    assert first["ETag"] == mine.get(path)["ETag"] != read
    assert mine.patch(path, {"note": "Gate 4"}, If_Match=first["ETag"]).status_code == 200


def test_an_act_may_be_for_one_state_too(call: Call, maker: Organisation, supplier: User) -> None:
    offer = OfferFactory.create(organisation=maker)
    mine, path = call(supplier), f"/offers/{offer.pk}/"

    assert mine.post(f"{path}withdraw/", {}, If_Match='"of another state"').status_code == 412
    assert Offer.objects.get().state == "published"
    assert mine.post(f"{path}withdraw/", {}, If_Match=mine.get(path)["ETag"]).status_code == 200


@pytest.mark.parametrize("write", ["W/{}", '"other", {}', "*"])
def test_other_ways_to_name_the_state_hold_too(call: Call, need: Demand, buyer: User, write: str) -> None:
    mine, path = call(buyer), f"/demands/{need.pk}/"

    answer = mine.patch(path, {"note": "Gate 3"}, If_Match=write.format(mine.get(path)["ETag"]))
    assert answer.status_code == 200


def test_what_is_new_has_a_tag_and_what_is_not_seen_stays_unseen(
    call: Call, need: Demand, buyer: User, rival: User
) -> None:
    ItemFactory.create()
    mine = call(buyer)
    made = mine.post("/demands/", {"item": "mask.surgical", "quantity": 100})

    assert made["ETag"] == mine.get(f"/demands/{made.json()['id']}/")["ETag"]
    assert call(rival).patch(f"/demands/{need.pk}/", {}, If_Match='"x"').status_code == 404


@pytest.mark.django_db(transaction=True)
def test_of_two_at_once_for_the_same_state_exactly_one_wins(call: Call, need: Demand, buyer: User) -> None:
    callers, path = [call(buyer), call(buyer)], f"/demands/{need.pk}/"
    read = callers[0].get(path)["ETag"]

    def patch(number: int) -> tuple[int, str]:
        try:
            note = f"Gate {number}"
            return callers[number].patch(path, {"note": note}, If_Match=read).status_code, note
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        with transaction.atomic():
            Demand.objects.select_for_update().get(pk=need.pk)
            answers = [pool.submit(patch, number) for number in range(2)]
            while waiting_for_locks() < 2 and not any(answer.done() for answer in answers):
                time.sleep(0.01)
        found = sorted(answer.result() for answer in answers)

    assert [status for status, _note in found] == [200, 412]
    need.refresh_from_db()
    assert need.note == found[0][1]


def waiting_for_locks() -> int:
    with connection.cursor() as cursor:
        # PostgreSQL would otherwise show the transaction what it read of its first look.
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        (count,) = cursor.fetchone()
    return int(count)
