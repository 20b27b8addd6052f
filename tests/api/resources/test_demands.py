"""Needs over the API: states, questions back, what there is for them, and for whom."""

from collections.abc import Callable

import pytest
from django.utils import timezone

from apps.accounts.models import Organisation, User
from apps.demands.models import Demand, QuantityKind
from apps.matching.models import Shortfall
from apps.policy.services import make_policy
from tests.api.conftest import Caller
from tests.factories import (
    DemandFactory,
    ItemFactory,
    MatchFactory,
    OfferFactory,
    OrganisationFactory,
    member,
)

pytestmark = pytest.mark.django_db

Call = Callable[..., Caller]


def test_a_post_of_several_lines_shares_a_reference(call: Call, buyer: User) -> None:
    ItemFactory.create()
    ItemFactory.create(key="gown", name_en="Gown")
    lines = [
        {"item": "mask.surgical", "quantity": 100, "open": True},
        {"item": "gown", "quantity_kind": "unspecified", "needed_by": "2099-01-31"},
    ]

    answer = call(buyer).post("/demands/", lines)

    assert answer.status_code == 201, answer.content
    mask, gown = answer.json()
    assert mask["reference"] == gown["reference"]
    assert (mask["state"], gown["state"], gown["quantity"]) == ("open", "draft", None)
    assert gown["needed_by"] == "2099-01-31T15:59:59Z"  # the end of the day in Shanghai


def test_a_need_goes_through_its_states(call: Call, buyer: User) -> None:
    ItemFactory.create()
    mine = call(buyer)
    pk = mine.post("/demands/", {"item": "mask.surgical", "quantity": 100}).json()["id"]

    states = [
        mine.post(f"/demands/{pk}/{verb}/", data).json().get("state")
        for verb, data in [
            ("open", {}),
            ("confirm", {}),
            ("pause", {"reason": "counting"}),
            ("resume", {}),
            ("cancel", {"reason": "found some"}),
        ]
    ]
    assert states == ["open", "open", "paused", "open", "cancelled"]
    again = mine.post(f"/demands/{pk}/open/")
    assert (again.status_code, again.json()["code"], again.json()["state"]) == (409, "illegal_move", "cancelled")


def test_an_unusual_quantity_is_asked_about_first(call: Call, buyer: User, hospital: Organisation) -> None:
    for _number in range(6):
        DemandFactory.create(organisation=hospital, quantity=500)
    mine = call(buyer)
    line = {"item": "mask.surgical", "quantity": 50_000, "open": True}

    asked = mine.post("/demands/", line)
    assert (asked.status_code, asked.json()["code"], asked.json()["usual"]) == (409, "quantity_unusual", 500)
    assert Demand.objects.count() == 6
    assert list(mine.post("/demands/", [line]).json()["errors"]) == ["0.quantity"]
    assert mine.post("/demands/", {**line, "confirm_quantity": True}).json()["state"] == "open"


def test_where_a_coordinator_reviews_first_an_opened_need_stays_a_draft(
    call: Call, buyer: User, hospital: Organisation, coordinator: User
) -> None:
    ItemFactory.create()
    make_policy({"phases": {"420000": {"phase": "emergency", "approval": True}}}, note="x", by=coordinator)
    mine = call(buyer)

    posted = mine.post("/demands/", {"item": "mask.surgical", "quantity": 100, "open": True}).json()
    again = mine.post(f"/demands/{posted['id']}/open/").json()

    assert (posted["state"], again["state"]) == ("draft", "draft")
    assert "a coordinator reviews every need" in again["state_reason"]
    assert call(coordinator).post(f"/demands/{posted['id']}/open/").json()["state"] == "open"


def test_amending_takes_back_what_was_not_answered(call: Call, buyer: User, hospital: Organisation) -> None:
    need = DemandFactory.create(organisation=hospital, quantity=1000)
    match = MatchFactory.create(demand=need)

    answer = call(buyer).patch(f"/demands/{need.pk}/", {"quantity": 200, "note": "fewer"})

    assert (answer.status_code, answer.json()["quantity"], answer.json()["quantity_held"]) == (200, 200, 0)
    match.refresh_from_db()
    assert match.state == "cancelled"


def test_an_unverified_organisation_may_draft_and_not_open(call: Call) -> None:
    ItemFactory.create()
    clinic = OrganisationFactory.create(unverified=True)
    mine = call(member(clinic))
    line = {"item": "mask.surgical", "quantity": 5}

    assert mine.post("/demands/", {**line, "open": True}).json()["code"] == "organisation_unverified"
    assert Demand.objects.count() == 0
    assert mine.post("/demands/", line).json()["state"] == "draft"


def test_who_was_asked_is_shown_to_the_requester(call: Call, buyer: User, hospital: Organisation) -> None:
    need = DemandFactory.create(organisation=hospital)
    held = MatchFactory.create(demand=need, quantity=100)
    declined = MatchFactory.create(
        demand=need, quantity=100, state="declined", decline_reason="gone", responded_at=timezone.now()
    )
    MatchFactory.create()
    mine = call(buyer)

    def ids(query: str = "") -> list[str]:
        return [match["id"] for match in mine.get(f"/demands/{need.pk}/matches/{query}").json()["results"]]

    assert ids() == [str(declined.pk), str(held.pk)]
    assert ids("?state=held") == [str(held.pk)]
    assert mine.get(f"/demands/{need.pk}/matches/?state=asleep").status_code == 400


def test_a_need_says_what_there_is_for_it_and_what_would_help(call: Call, buyer: User, hospital: Organisation) -> None:
    need = DemandFactory.create(organisation=hospital, quantity=1000)
    OfferFactory.create(item=need.item, minimum_order=3000)
    Shortfall.objects.create(
        demand=need, given=0, wanting=1000, because="shared", others=2, above=0, policy_version=1,
        decided_at=need.opened_at or need.created_at,
    )  # fmt: skip
    mine = call(buyer)

    answer = mine.get(f"/demands/{need.pk}/outlook/").json()

    assert (answer["suppliers"], answer["candidates"]) == (1, 0)
    assert answer["hindrances"] == [{"reason": "minimum", "suppliers": 1}]
    assert len(answer["text"]) == 2
    [way] = answer["ways"]
    assert (way["action"], way["suppliers"], way["units"]) == ("more", 1, None)
    assert (answer["shortfall"]["because"], answer["shortfall"]["others"]) == ("shared", 2)

    assert mine.patch(f"/demands/{need.pk}/", way["change"]).status_code == 200
    changed = mine.get(f"/demands/{need.pk}/outlook/").json()
    assert (changed["candidates"], changed["ways"]) == (1, [])


def test_whoever_only_registers_reads_nothing_of_what_suppliers_have(call: Call) -> None:
    anybody = OrganisationFactory.create(unverified=True, kind="enterprise")
    need = DemandFactory.create(draft=True, organisation=anybody, quantity=1)
    OfferFactory.create(item=need.item, quantity=43_210, minimum_order=2000)

    answer = call(member(anybody)).get(f"/demands/{need.pk}/outlook/").json()

    del answer["as_of"]
    assert answer == {
        "suppliers": None, "candidates": None, "hindrances": [], "ways": [], "shortfall": None,
        "text": ["This need is not open. Until it is, nobody is asked, and suppliers’ stock is not counted."],
    }  # fmt: skip


def test_a_quantity_that_would_help_can_be_sent_for_an_unknown_one(
    call: Call, buyer: User, hospital: Organisation
) -> None:
    need = DemandFactory.create(organisation=hospital, quantity=None, quantity_kind=QuantityKind.UNSPECIFIED)
    OfferFactory.create(item=need.item, minimum_order=1000)
    mine = call(buyer)
    [way] = mine.get(f"/demands/{need.pk}/outlook/").json()["ways"]

    assert way["change"] == {"quantity": 1000, "quantity_kind": "exact"}
    assert mine.patch(f"/demands/{need.pk}/", way["change"]).status_code == 200


def test_what_there_is_for_a_need_is_not_for_others(call: Call, rival: User, partner: User) -> None:
    need = DemandFactory.create()

    assert call(rival).get(f"/demands/{need.pk}/outlook/").status_code == 404
    assert call(partner).get(f"/demands/{need.pk}/outlook/").status_code == 200
