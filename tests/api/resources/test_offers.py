"""Offers over the API: states, and sheets that are previewed and imported."""

import io
from collections.abc import Callable
from typing import Any

import openpyxl
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from apps.accounts.models import User
from apps.accounts.services import issue_token
from apps.supply.models import Offer
from tests.api.conftest import Caller
from tests.factories import (
    ItemFactory,
    region,
    standard_of,
)

pytestmark = pytest.mark.django_db

Call = Callable[..., Caller]


def test_an_offer_goes_through_its_states(call: Call, supplier: User) -> None:
    item = ItemFactory.create()
    standard_of(item)
    region("420000")
    mine = call(supplier)
    made = mine.post(
        "/offers/",
        {
            "item": "mask.surgical",
            "standard": "yy0469-2011",
            "quantity": 5000,
            "unit_price": "2.50",
            "ships_to": ["420000", "420000"],
            "certificate_valid_until": "2099-12-31",
        },
    )
    assert made.status_code == 201, made.content
    offer = made.json()
    assert (offer["standard"], offer["unit_price"], offer["ships_to"], offer["origin_region"]) == (
        "YY 0469-2011",
        "2.5000",
        ["420000"],
        "440300",
    )
    states = [
        mine.post(f"/offers/{offer['id']}/{verb}/").json()["state"]
        for verb in ("publish", "confirm", "pause", "publish", "withdraw")
    ]
    assert states == ["published", "published", "paused", "published", "withdrawn"]


def test_a_region_by_name_is_refused_with_the_codes_of_that_name(call: Call, supplier: User) -> None:
    ItemFactory.create()
    region("420100")
    facts = {"item": "mask.surgical", "quantity": 5, "origin_region": "Wuhann", "ships_to": ["武汉", "999999"]}

    answer = call(supplier).post("/offers/", facts)

    assert answer.status_code == 400
    assert answer.json()["errors"] == {
        "origin_region": ["There is no region “Wuhann”. Did you mean 420100 (Wuhan, Hubei)?"],
        "ships_to.0": ["There is no region “武汉”. Did you mean 420100 (Wuhan, Hubei)?"],
        "ships_to.1": ["There is no “999999”."],
    }


def sheet(client: Client, user: User, data: bytes, query: str = "", **more: Any) -> Any:
    _token, text = issue_token(user, name="sheet", scopes=["write", "read"])
    return client.post(
        f"/api/v1/offers/import/{query}",
        {"file": SimpleUploadedFile("offers.csv", data), **more},
        headers={"Authorization": f"Bearer {text}"},
    )


def test_a_sheet_is_previewed_then_imported(client: Client, supplier: User) -> None:
    ItemFactory.create()
    good = "物资,数量,颜色\n医用外科口罩,1000,蓝\n".encode()

    preview = sheet(client, supplier, good, "?preview=true")
    assert (preview.status_code, preview.json()) == (
        200,
        {
            "rows": [
                {
                    "row": 2,
                    "item": "mask.surgical",
                    "quantity": 1000,
                    "errors": {},
                    "doubts": [],
                    "duplicate_of": None,
                }
            ],
            "faulty": 0,
            "unknown_columns": ["颜色"],
            "offers": [],
        },
    )
    assert not Offer.objects.exists()

    imported = sheet(client, supplier, good, "?publish=true")
    assert imported.status_code == 201, imported.content
    assert [str(offer.pk) for offer in Offer.objects.published()] == imported.json()["offers"]


def test_the_faults_of_a_sheet_are_named_by_row(client: Client, supplier: User) -> None:
    ItemFactory.create()
    bad = b"item,quantity\nmask.surgical,5\nnothing,many\n"

    preview = sheet(client, supplier, bad, "?preview=true").json()
    assert (preview["faulty"], set(preview["rows"][1]["errors"])) == (1, {"item", "quantity"})
    refused = sheet(client, supplier, bad)
    assert (refused.status_code, refused.json()["code"], set(refused.json()["errors"])) == (
        400,
        "rows_invalid",
        {"3.item", "3.quantity"},
    )
    assert not Offer.objects.exists()


def test_a_preview_says_what_could_not_be_published(client: Client, supplier: User) -> None:
    ItemFactory.create()
    bad = b"item,quantity,certificate_valid_until\nmask.surgical,5,2020-01-01\n"

    rows = sheet(client, supplier, bad, "?preview=true&publish=true").json()["rows"]
    assert rows[0]["errors"] == {"certificate_valid_until": ["The certificate has expired."]}
    refused = sheet(client, supplier, bad, "?publish=true")
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["2.certificate_valid_until"])
    assert sheet(client, supplier, bad, "?preview=true").json()["faulty"] == 0


def test_an_xlsx_can_be_imported_too(client: Client, supplier: User) -> None:
    ItemFactory.create()
    book = openpyxl.Workbook()
    page: Any = book.active
    page.append(["item", "quantity"])
    page.append(["mask.surgical", 77])
    file = io.BytesIO()
    book.save(file)

    assert sheet(client, supplier, file.getvalue()).status_code == 201
    assert Offer.objects.get().quantity == 77


def test_a_sheet_that_is_sent_twice_is_imported_once(client: Client, supplier: User) -> None:
    ItemFactory.create()
    _token, text = issue_token(supplier, name="sheet", scopes=["write"])

    def send(data: bytes) -> Any:
        return client.post(
            "/api/v1/offers/import/",
            {"file": SimpleUploadedFile("offers.csv", data)},
            headers={"Authorization": f"Bearer {text}", "Idempotency-Key": "monday"},
        )

    first, again = send(b"item,quantity\nmask.surgical,5\n"), send(b"item,quantity\nmask.surgical,5\n")
    assert (first.status_code, again.content, Offer.objects.count()) == (201, first.content, 1)
    assert send(b"item,quantity\nmask.surgical,6\n").status_code == 409


@pytest.mark.parametrize("data", [b"", b"\0", b"PK\x03\x04", b"item\n5\n", b"\xff" * 100])
def test_a_file_that_is_no_sheet_is_refused(client: Client, supplier: User, data: bytes) -> None:
    assert sheet(client, supplier, data).status_code == 400


def test_only_a_supplier_imports(client: Client, buyer: User) -> None:
    assert sheet(client, buyer, b"item,quantity\nx,1\n").status_code == 403


def test_a_doubtful_offer_is_asked_about_then_waits(call: Call, supplier: User) -> None:
    ItemFactory.create()
    mine = call(supplier)
    facts = {"item": "mask.surgical", "quantity": 900_000_000_000, "publish": True}

    asked = mine.post("/offers/", facts)
    assert (asked.status_code, asked.json()["code"]) == (409, "quantity_unusual")
    assert "900,000,000,000" in asked.json()["errors"]["quantity"][0]
    assert not Offer.objects.exists()

    waits = mine.post("/offers/", facts | {"confirm": True})
    assert (waits.status_code, waits.json()["state"]) == (201, "draft")
    assert waits.json()["state_reason"] == "This quantity is unusual. A coordinator will look at it."

    draft = mine.post("/offers/", {"item": "mask.surgical", "quantity": 3_000_000}).json()["id"]
    assert mine.post(f"/offers/{draft}/publish/").status_code == 409
    assert mine.post(f"/offers/{draft}/publish/", {"confirm": True}).json()["state"] == "published"
    more = mine.patch(f"/offers/{draft}/", {"quantity": 900_000_000_000, "confirm": True})
    assert more.json()["code"] == "look_needed"


def test_a_preview_says_which_rows_are_doubtful(client: Client, supplier: User) -> None:
    ItemFactory.create()
    rows = b"item,quantity\nmask.surgical,5\nmask.surgical,900000000000\n"
    seen = sheet(client, supplier, rows, "?preview=true&publish=true").json()
    assert [len(row["doubts"]) for row in seen["rows"]] == [0, 1]
    assert seen["faulty"] == 0
