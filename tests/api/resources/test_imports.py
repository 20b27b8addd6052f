"""Sheets that are read in the background, over the API."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client

from apps.accounts.models import Organisation, User
from apps.accounts.services import issue_token
from apps.supply.importing import request_import
from apps.supply.models import Offer
from apps.supply.tasks import import_sheets
from tests.api.conftest import Caller
from tests.factories import ItemFactory, region

pytestmark = pytest.mark.django_db

GOOD = b"item,quantity,colour\nmask.surgical,1000,blue\n"


def send(client: Client, user: User, data: bytes, path: str = "/imports/", **more: Any) -> Any:
    _token, text = issue_token(user, name="sheet", scopes=["write", "read"])
    return client.post(
        f"/api/v1{path}",
        {"file": SimpleUploadedFile("offers.csv", data), **more},
        headers={"Authorization": f"Bearer {text}"},
    )


def test_a_sheet_is_sent_watched_and_imported(client: Client, call: Callable[..., Caller], supplier: User) -> None:
    ItemFactory.create()
    mine = call(supplier)

    sent = send(client, supplier, GOOD, "/imports/?publish=true")
    body = sent.json()
    assert (sent.status_code, body["state"], body["progress"], body["rows"]) == (202, "waiting", 0, [])
    assert sent["Location"] == f"http://testserver/api/v1/imports/{body['id']}/"

    import_sheets()
    done = mine.get(f"/imports/{body['id']}/").json()
    assert {name: done[name] for name in ("state", "progress", "rows", "faulty", "unknown_columns", "offers")} == {
        "state": "done",
        "progress": 100,
        "rows": [
            {"row": 2, "item": "mask.surgical", "quantity": 1000, "errors": {}, "doubts": [], "duplicate_of": None}
        ],
        "faulty": 0,
        "unknown_columns": ["colour"],
        "offers": [str(Offer.objects.published().get().pk)],
    }
    (listed,) = mine.get("/imports/?state=done").json()["results"]
    assert listed == {name: value for name, value in done.items() if name != "rows"}


def test_a_preview_waits_to_be_confirmed(client: Client, call: Callable[..., Caller], supplier: User) -> None:
    ItemFactory.create()
    mine = call(supplier)
    path = f"/imports/{send(client, supplier, GOOD, '/imports/?preview=true&publish=true').json()['id']}/"
    import_sheets()
    assert (mine.get(path).json()["state"], Offer.objects.count()) == ("checked", 0)

    assert mine.post(f"{path}confirm/", {"publish": True}).status_code == 202
    import_sheets()
    assert (mine.get(path).json()["state"], Offer.objects.published().count()) == ("done", 1)
    assert mine.post(f"{path}cancel/").json()["code"] == "illegal_move"


def test_a_second_sheet_waits_until_the_first_is_cancelled(
    client: Client, call: Callable[..., Caller], supplier: User
) -> None:
    first = send(client, supplier, GOOD).json()
    second = send(client, supplier, GOOD)
    assert (second.status_code, second.json()["code"]) == (409, "import_running")

    assert call(supplier).post(f"/imports/{first['id']}/cancel/").json()["state"] == "cancelled"
    assert send(client, supplier, GOOD).status_code == 202


def test_what_is_no_file_is_refused(client: Client, call: Callable[..., Caller], supplier: User) -> None:
    answer = call(supplier).post("/imports/", {"file": "offers.csv"})

    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["file"])


def test_a_token_of_one_region_sees_no_import_elsewhere(
    call: Callable[..., Caller], maker: Organisation, supplier: User
) -> None:
    asked = request_import(maker, GOOD, by=supplier, language="en")

    here, elsewhere = (call(supplier, region=region(code)) for code in ("440300", "420000"))
    assert here.get(f"/imports/{asked.pk}/").status_code == 200
    assert elsewhere.get(f"/imports/{asked.pk}/").status_code == 404


@pytest.mark.django_db(transaction=True)
def test_an_organisation_has_one_sheet_read_at_a_time(client: Client, maker: Organisation, supplier: User) -> None:
    ItemFactory.create()
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('supply.import'), hashtext(%s))", [str(maker.pk)])
        busy = send(client, supplier, GOOD, "/offers/import/")
    finally:
        other.close()

    assert (busy.status_code, busy.json()["code"], busy["Retry-After"]) == (429, "throttled", "5")
    assert send(client, supplier, GOOD, "/offers/import/").status_code == 201
