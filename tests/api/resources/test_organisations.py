"""Organisations, webhooks and tokens over the API."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import ApiToken, Organisation, User
from apps.duplicates.merging import merge_organisations
from apps.notifications.models import Message, WebhookEndpoint
from tests.api.conftest import Caller
from tests.factories import (
    DemandFactory,
    ItemFactory,
    OrganisationFactory,
    member,
    region,
)

pytestmark = pytest.mark.django_db

Call = Callable[..., Caller]


def test_an_organisation_is_registered_submitted_and_verified(call: Call, stranger: User, coordinator: User) -> None:
    region("420106")
    mine, desk = call(stranger), call(coordinator)
    made = mine.post(
        "/organisations/",
        {
            "name": "New clinic",
            "kind": "health_facility",
            "region": "420106",
            "identifier_kind": "other",
            "identifier": "123",
            "contact_name": "Li",
            "contact_phone": "1",
        },
    )
    assert made.status_code == 201, made.content
    path = f"/organisations/{made.json()['id']}"
    assert made.json()["contact"] == {"name": "Li", "phone": "1", "email": ""}

    assert mine.post(f"{path}/verify/").json()["code"] == "not_allowed"
    assert mine.post(f"{path}/submit/").json()["state"] == "pending"
    assert desk.get(f"{path}/").json()["contact"] is None
    assert desk.post(f"{path}/reject/", {"reason": "wrong number"}).json()["state_reason"] == "wrong number"
    assert mine.post(f"{path}/submit/").json()["state"] == "pending"
    assert desk.post(f"{path}/verify/").json()["state"] == "verified"
    changed = mine.patch(f"{path}/", {"name": "Newer clinic", "contact_phone": "2"}).json()
    assert (changed["state"], changed["contact"]["phone"]) == ("unverified", "2")


def test_a_wrong_code_is_the_fault_of_its_field(call: Call, stranger: User) -> None:
    region("420106")
    facts = {"name": "X", "kind": "hospital", "region": "420106", "identifier": "91350100M000100Y44"}
    answer = call(stranger).post("/organisations/", facts)
    assert (answer.status_code, answer.json()["code"], list(answer.json()["errors"])) == (
        400,
        "identifier_invalid",
        ["identifier"],
    )


# Webhooks and tokens


def test_a_webhook_shows_its_secret_once(call: Call, buyer: User) -> None:
    mine = call(buyer)
    made = mine.post("/webhooks/", {"url": "https://example.org/hook", "events": []})
    assert made.status_code == 201, made.content
    assert made.json()["secret"].startswith("whsec_")

    path = f"/webhooks/{made.json()['id']}/"
    assert "secret" not in mine.get(path).json()
    assert mine.post(f"{path}test/").status_code == 202
    assert Message.objects.filter(event="webhook.test").count() == 1
    assert mine.delete(path).status_code == 204
    assert not WebhookEndpoint.objects.exists()
    assert mine.get(path).status_code == 404


@pytest.mark.parametrize("url", ["", "ftp://example.org", "https://user:pw@example.org/", "https://", "x" * 600, "\0"])
def test_a_webhook_needs_an_address_that_can_be_used(call: Call, buyer: User, url: str) -> None:
    answer = call(buyer).post("/webhooks/", {"url": url})
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["url"])


def test_a_token_is_shown_once_and_can_be_revoked(call: Call, buyer: User) -> None:
    mine = call(buyer)
    made = mine.post("/tokens/", {"name": "dashboard", "scopes": ["read"], "lasts_days": 30})
    assert made.status_code == 201, made.content
    text, name = made.json()["token"], made.json()["id"]
    fresh = Caller(text)

    assert fresh.get("/demands/").status_code == 200
    assert "token" not in mine.get(f"/tokens/{name}/").json()
    assert mine.delete(f"/tokens/{name}/").status_code == 204
    assert fresh.get("/demands/").status_code == 401


def test_a_token_makes_none_that_does_more(call: Call, partner: User) -> None:
    narrow = call(partner, scopes=["write", "tokens"], region=region("420100"))
    answer = narrow.post("/tokens/", {"name": "more", "scopes": ["write", "contacts"], "lasts_days": 1})
    assert set(answer.json()["errors"]) == {"scopes", "region"}
    region("420106")
    inside = narrow.post("/tokens/", {"name": "less", "scopes": ["write"], "region": "420106", "lasts_days": 1})
    assert inside.status_code == 201, inside.content


def test_a_region_of_a_token_narrows_everything(call: Call, partner: User) -> None:
    here, there = DemandFactory.create(), DemandFactory.create(region=region("429004"))
    narrow = call(partner, region=region("420100"))

    assert [row["id"] for row in narrow.get("/demands/").json()["results"]] == [str(here.pk)]
    assert narrow.get(f"/demands/{there.pk}/").status_code == 404


def test_a_token_for_a_region_places_nothing_outside_of_it(
    call: Call, buyer: User, hospital: Organisation, supplier: User
) -> None:
    need = DemandFactory.create(organisation=hospital)
    region("429004")
    mine = call(buyer, region=region("420100"))
    line = {"item": "mask.surgical", "quantity": 5}

    for answer in (
        mine.post("/demands/", {**line, "region": "429004"}),
        mine.patch(f"/demands/{need.pk}/", {"region": "429004"}),
        mine.post("/organisations/", {"name": "X", "kind": "hospital", "region": "429004"}),
    ):
        assert (answer.status_code, list(answer.json()["errors"])) == (400, ["region"])
    assert mine.post("/demands/", line).status_code == 201
    assert call(supplier, region=region("420100")).post("/offers/", line).status_code == 403


def test_options_tell_of_every_address(call: Call, buyer: User) -> None:
    mine = call(buyer)
    for name in ("demands", "offers", "matches", "orders", "organisations", "webhooks", "tokens", "items", "stats"):
        assert mine("OPTIONS", f"/{name}/").status_code == 200


def test_the_use_of_a_token_is_noted(call: Call, buyer: User, django_capture_on_commit_callbacks: Any) -> None:
    mine = call(buyer)
    with django_capture_on_commit_callbacks(execute=True):
        mine.get("/demands/")
    first = ApiToken.objects.get().last_used_at
    with django_capture_on_commit_callbacks(execute=True) as noted:
        mine.get("/demands/")

    assert first is not None
    assert noted == []


def test_a_session_works_with_csrf_and_not_without(buyer: User) -> None:
    ItemFactory.create()
    client = Client(enforce_csrf_checks=True)
    client.force_login(buyer)
    line = {"item": "mask.surgical", "quantity": 1}

    assert client.get("/api/v1/demands/").status_code == 200
    refused = client.post("/api/v1/demands/", line, content_type="application/json")
    assert (refused.status_code, refused.json()["code"]) == (403, "csrf_failed")


def test_a_merged_organisation_says_where_it_went(
    hospital: Organisation, buyer: User, coordinator: User, call: Call
) -> None:
    twin = OrganisationFactory.create(name="Wuchang Hospital (2)")
    member(twin, email="twin@example.org")
    merge_organisations(twin, hospital, by=coordinator, with_people=False)
    ItemFactory.create()
    program = call(User.objects.get(pk=buyer.pk))
    assert program.get(f"/organisations/{twin.pk}/").json()["merged_into"] == str(hospital.pk)
    assert program.get(f"/organisations/{hospital.pk}/").json()["merged_into"] is None
    refused = program.post("/demands/", {"organisation": str(twin.pk), "item": "mask.surgical", "quantity": 1})
    assert (refused.status_code, refused.json()["code"]) == (409, "organisation_merged")
    assert refused.json()["merged_into"] == str(hospital.pk)
