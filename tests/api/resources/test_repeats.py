"""A post that says the same as another of the last days is asked about, from every route."""

import datetime as dt
from collections.abc import Callable

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.demands.models import Demand
from apps.supply.importing import import_due
from apps.supply.models import Offer
from tests.api.conftest import Caller
from tests.factories import ItemFactory

pytestmark = pytest.mark.django_db

Call = Callable[..., Caller]
NEED = {"item": "mask.surgical", "quantity": 1000, "open": True}
OFFER = {"item": "mask.surgical", "quantity": 5000, "publish": True}


@pytest.fixture(autouse=True)
def mask(db: None) -> None:
    ItemFactory.create()


def test_a_need_that_repeats_one_of_the_last_days_is_asked_about(call: Call, buyer: User) -> None:
    program = call(buyer)
    first = program.post("/demands/", NEED)
    assert first.status_code == 201, first.content
    asked = program.post("/demands/", NEED)
    assert (asked.status_code, asked.json()["code"]) == (409, "duplicate_likely")
    assert asked.json()["duplicate_of"] == first.json()["id"]
    assert Demand.objects.count() == 1
    assert program.post("/demands/", {**NEED, "quantity": 1001}).status_code == 201
    assert program.post("/demands/", {**NEED, "needed_by": "2099-12-31"}).status_code == 201
    assert program.post("/demands/", {**NEED, "confirm_duplicate": True}).status_code == 201

    draft = program.post("/demands/", {**NEED, "open": False})
    assert draft.status_code == 201
    path = f"/demands/{draft.json()['id']}/open/"
    assert program.post(path).json()["code"] == "duplicate_likely"
    assert program.post(path, {"confirm_duplicate": True}).status_code == 200


def test_a_line_of_a_list_that_repeats_one_is_asked_about(call: Call, buyer: User) -> None:
    program = call(buyer)
    program.post("/demands/", NEED)
    assert program.post("/demands/", [{**NEED, "quantity": 900}, NEED]).json()["code"] == "duplicate_likely"
    assert Demand.objects.count() == 1


def test_an_old_one_or_one_of_another_organisation_is_no_repeat(call: Call, buyer: User, supplier: User) -> None:
    call(buyer).post("/demands/", NEED)
    assert call(supplier).post("/demands/", NEED).status_code == 201
    Demand.objects.update(created_at=timezone.now() - dt.timedelta(days=8))
    assert call(buyer).post("/demands/", NEED).status_code == 201


def test_an_offer_that_repeats_one_is_asked_about(call: Call, supplier: User) -> None:
    program = call(supplier)
    first = program.post("/offers/", OFFER)
    assert first.status_code == 201, first.content
    asked = program.post("/offers/", OFFER)
    assert (asked.status_code, asked.json()["code"]) == (409, "duplicate_likely")
    assert asked.json()["duplicate_of"] == first.json()["id"]
    assert Offer.objects.count() == 1
    draft = program.post("/offers/", {**OFFER, "publish": False}).json()["id"]
    assert program.post(f"/offers/{draft}/publish/").json()["code"] == "duplicate_likely"
    assert program.post(f"/offers/{draft}/publish/", {"confirm": True}).status_code == 200


def test_a_row_of_a_sheet_that_repeats_an_offer_is_flagged(call: Call, supplier: User, client: Client) -> None:
    program = call(supplier)
    first = program.post("/offers/", OFFER).json()["id"]
    sheet = "item,quantity\nmask.surgical,5000\nmask.surgical,6000\n"

    shown = program.client.post(
        "/api/v1/offers/import/?preview=true&publish=true",
        {"file": SimpleUploadedFile("offers.csv", sheet.encode())},
        headers=program.headers,
    )
    assert [row["duplicate_of"] for row in shown.json()["rows"]] == [first, None]
    client.force_login(supplier)
    sent = client.post("/supply/import/", {"file": SimpleUploadedFile("offers.csv", sheet.encode()), "publish": "on"})
    import_due()
    assert f"Is this the same as your offer {first}?" in client.get(sent["Location"]).text
