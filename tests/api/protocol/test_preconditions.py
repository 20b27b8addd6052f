"""`If-Match`: a change is for the row as it was read, and for no other."""

from collections.abc import Callable

import pytest

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
