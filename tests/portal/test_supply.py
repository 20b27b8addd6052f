import datetime as dt
import io
from typing import Any

import openpyxl
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from apps.accounts.models import Organisation, User
from apps.accounts.permissions import Role
from apps.catalogue.models import Item, Pack
from apps.fulfilment import services as fulfilment
from apps.matching.models import MatchState
from apps.supply.models import Offer, OfferState, SheetImport
from apps.supply.tasks import import_sheets
from tests.factories import DemandFactory, ItemFactory, MatchFactory, OfferFactory, SupplierFactory, member, standard_of
from tests.portal.conftest import Login, queries

pytestmark = pytest.mark.django_db


def facts(item: Item, **more: Any) -> dict[str, Any]:
    """What a browser sends for an offer."""
    return {"item": item.pk, "quantity": "5000", "origin_region": "440300", "currency": "CNY", **more}


def csv_file(text: str, name: str = "offers.csv") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, text.encode(), "text/csv")


# --- One by one -------------------------------------------------------------------------------------------------------


def test_an_offer_is_published_with_the_least_that_must_be_said(log_in: Login, supplier: User, mask: Item) -> None:
    response = log_in(supplier).post("/supply/new/", facts(mask))

    offer = Offer.objects.get()
    assert (response.status_code, response["Location"]) == (302, f"/supply/{offer.pk}/")
    assert (offer.item, offer.quantity, offer.state, offer.minimum_order) == (mask, 5000, "published", 1)
    assert (offer.origin_region_id, offer.ships_to) == ("440300", [])
    assert offer.match_requested_at is not None


def test_all_that_can_be_said_of_an_offer_is_kept(log_in: Login, supplier: User, mask: Item) -> None:
    standard = standard_of(mask)
    box = Pack.objects.create(item=mask, name_en="box", name_zh="盒", size=50)

    log_in(supplier).post(
        "/supply/new/",
        facts(
            mask,
            quantity="100",
            pack=box.pk,
            standard=standard.pk,
            daily_capacity="20",
            minimum_order="2",
            lead_time_days="3",
            unit_price="0.85",
            ships_to="湖北\nBeijing",
            certificate_number="粤械注准20202140000",
            certificate_valid_until=(timezone.now() + dt.timedelta(days=99)).date().isoformat(),
            note="cold store",
        ),
    )

    offer = Offer.objects.get()
    assert (offer.quantity, offer.daily_capacity, offer.minimum_order, offer.lead_time_days) == (5000, 1000, 100, 3)
    assert (offer.standard, str(offer.unit_price), offer.note) == (standard, "0.8500", "cold store")
    assert offer.ships_to == ["420000", "110000"]


@pytest.fixture(autouse=True)
def places(hospital: Organisation) -> None:
    """Hubei, by the hospital, and Beijing."""
    from tests.factories import region

    region("110102")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"item": ""}, "Choose what you offer."),
        ({"item": "1\0"}, "Null characters are not allowed."),
        ({"quantity": ""}, "This field is required."),
        ({"quantity": "0"}, "Write at least 1."),
        ({"quantity": str(10**18)}, "Write at most 1,000,000,000,000."),
        ({"unit_price": "-1"}, "greater than or equal to 0"),
        ({"unit_price": "NaN"}, "Enter a number."),
        ({"unit_price": "1e400"}, "Ensure that there are no more than"),
        ({"unit_price": "1", "is_donation": "on"}, "A donation has no price."),
        ({"lead_time_days": "99999"}, "Write at most 3,650."),
        ({"ships_to": "Atlantis"}, "No place called “Atlantis” was found."),
        ({"ships_to": "a\0"}, "Null characters are not allowed."),
        ({"origin_region": ""}, "This field is required."),
        ({"certificate_valid_until": "10000-01-01"}, "Write a date such as 2026-02-15."),
        ({"currency": "XXX"}, "Select a valid choice"),
        ({"note": "\0"}, "Null characters are not allowed."),
    ],
)
def test_bad_input_is_said_in_words_and_loses_nothing(
    log_in: Login, supplier: User, mask: Item, change: dict[str, Any], says: str
) -> None:
    response = log_in(supplier).post("/supply/new/", facts(mask, certificate_number="4711-A") | change)

    assert response.status_code == 400
    assert says in response.text
    assert 'value="4711-A"' in response.text
    assert not Offer.objects.exists()


def test_a_search_keeps_everything_that_was_typed(log_in: Login, supplier: User, mask: Item) -> None:
    page = (
        log_in(supplier)
        .post(
            "/supply/new/", {"find": "外科", "quantity": "lots", "ships_to": "湖北", "is_donation": "on", "search": "1"}
        )
        .text
    )

    assert f'value="{mask.pk}" selected' in page
    for typed in ('value="lots"', "湖北", "checked"):
        assert typed in page


def test_likely_the_same_goods_are_published_only_when_said_so(
    log_in: Login, supplier: User, maker: Organisation, mask: Item
) -> None:
    old = OfferFactory.create(organisation=maker, item=mask)
    client = log_in(supplier)

    asked = client.post("/supply/new/", facts(mask))
    assert asked.status_code == 200
    assert f'href="/supply/{old.pk}/amend/"' in asked.text
    assert Offer.objects.count() == 1

    client.post("/supply/new/", facts(mask, post_anyway="1"))
    assert Offer.objects.count() == 2


def test_the_same_page_sent_twice_publishes_once(log_in: Login, supplier: User, mask: Item) -> None:
    data = facts(mask, token="7b0c9a2e-6f2f-4a57-9a7c-0f2a3c1f4d11")
    client = log_in(supplier)

    assert client.post("/supply/new/", data)["Location"] == client.post("/supply/new/", data)["Location"]
    assert Offer.objects.count() == 1


def test_an_unverified_supplier_saves_a_draft_and_learns_why(log_in: Login, mask: Item) -> None:
    shop = SupplierFactory.create(name="New Shop", unverified=True)

    page = log_in(member(shop)).post("/supply/new/", facts(mask), follow=True).text

    assert Offer.objects.get().state == OfferState.DRAFT
    assert "is not verified" in page


def test_an_expired_certificate_keeps_the_offer_a_draft(log_in: Login, supplier: User, mask: Item) -> None:
    page = log_in(supplier).post("/supply/new/", facts(mask, certificate_valid_until="2020-01-01"), follow=True).text

    assert Offer.objects.get().state == OfferState.DRAFT
    assert "The certificate has expired." in page


# --- Following --------------------------------------------------------------------------------------------------------


def test_the_buttons_of_an_offer_lead_through_its_life(
    log_in: Login, supplier: User, maker: Organisation, mask: Item
) -> None:
    offer = OfferFactory.create(organisation=maker, item=mask, draft=True)
    client = log_in(supplier)

    for verb, state in [
        ("publish", "published"),
        ("confirm", "published"),
        ("pause", "paused"),
        ("publish", "published"),
        ("withdraw", "withdrawn"),
    ]:
        response = client.post(f"/supply/{offer.pk}/{verb}/", {"reason": ""})
        offer.refresh_from_db()
        assert (response.status_code, offer.state) == (302, state)

    assert "not possible any more" in client.post(f"/supply/{offer.pk}/publish/", follow=True).text


def test_an_offer_shows_free_promised_and_total_and_who_was_sent_to_it(
    log_in: Login, supplier: User, maker: Organisation, hospital: Organisation, mask: Item
) -> None:
    offer = OfferFactory.create(organisation=maker, item=mask, quantity=5000)
    MatchFactory.create(demand=DemandFactory.create(organisation=hospital, item=mask), offer=offer)
    hidden = MatchFactory.create(
        demand=DemandFactory.create(item=mask), offer=offer, state=MatchState.STANDBY, respond_by=None
    )

    page = log_in(supplier).get(f"/supply/{offer.pk}/").text

    for text in ("<strong>4,600</strong>", "<strong>400</strong>", "<strong>5,000</strong>", hospital.name):
        assert text in page
    assert hidden.demand.organisation.name not in page
    assert hospital.contact_phone not in page


def test_amending_keeps_to_what_is_promised(log_in: Login, supplier: User, maker: Organisation, mask: Item) -> None:
    offer = OfferFactory.create(organisation=maker, item=mask, quantity=5000, ships_to=["420000"])
    fulfilment.accept_match(MatchFactory.create(offer=offer, demand=DemandFactory.create(item=mask)), by=supplier)
    client = log_in(supplier)

    refused = client.post(f"/supply/{offer.pk}/amend/", facts(mask, quantity="399"))
    assert refused.status_code == 400
    assert "400 of it are reserved already." in refused.text

    page = client.get(f"/supply/{offer.pk}/amend/").text
    assert "Hubei" in page
    assert client.post(f"/supply/{offer.pk}/amend/", facts(mask, quantity="400", ships_to="Hubei")).status_code == 302
    offer.refresh_from_db()
    assert (offer.quantity, offer.ships_to) == (400, ["420000"])


@pytest.mark.parametrize("state", OfferState.values)
def test_every_state_has_a_page_in_both_languages(
    log_in: Login, supplier: User, maker: Organisation, mask: Item, state: str
) -> None:
    offer = OfferFactory.create(organisation=maker, item=mask, state=state)
    client = log_in(supplier)

    for language, name in (("en", "Surgical mask"), ("zh-hans", "医用外科口罩")):
        User.objects.filter(pk=supplier.pk).update(language=language)
        response = client.get(f"/supply/{offer.pk}/")
        assert response.status_code == 200
        assert name in response.text


BUTTONS = ["publish/", "pause/", "confirm/", "withdraw/", "amend/"]


@pytest.mark.parametrize("who", ["stranger", "rival", "buyer", "partner", "far_partner"])
def test_an_offer_that_is_not_theirs_is_not_there(
    request: pytest.FixtureRequest, log_in: Login, maker: Organisation, mask: Item, who: str
) -> None:
    offer = OfferFactory.create(organisation=maker, item=mask)
    client = log_in(request.getfixturevalue(who))

    assert [client.get(f"/supply/{offer.pk}/{page}").status_code for page in ("", "amend/", "withdraw/")] == [404] * 3
    assert [client.post(f"/supply/{offer.pk}/{page}").status_code for page in BUTTONS] == [404] * len(BUTTONS)
    assert f"/supply/{offer.pk}/" not in client.get("/supply/").text
    named = f"?organisation={maker.pk}"
    for path in ("/supply/", "/supply/new/", "/supply/import/", "/inbox/", "/orders/"):
        assert client.get(path + named).status_code == 404


def test_nobody_sees_an_offer_without_logging_in(client: Client, maker: Organisation, mask: Item) -> None:
    offer = OfferFactory.create(organisation=maker, item=mask)

    for path in ["/supply/", "/supply/new/", "/supply/import/", "/supply/import/template.csv", f"/supply/{offer.pk}/"]:
        response = client.get(path)
        assert (response.status_code, response["Location"]) == (302, f"/login/?next={path}")


def test_the_list_filters_and_shows_what_waits(log_in: Login, supplier: User, maker: Organisation, mask: Item) -> None:
    one = OfferFactory.create(organisation=maker, item=mask)
    two = OfferFactory.create(organisation=maker, item=ItemFactory.create(key="gown", name_zh="隔离衣"), state="stale")
    OfferFactory.create(item=mask)
    client = log_in(supplier)

    assert list(client.get("/supply/").context["page"].rows) == [two, one]
    assert client.get("/supply/").context["waiting"] == [two]
    assert list(client.get("/supply/?q=隔离").context["page"].rows) == [two]
    assert list(client.get("/supply/?state=published").context["page"].rows) == [one]
    assert "Nothing fits this search." in client.get("/supply/?state=paused").text


def test_the_pages_ask_the_database_as_often_for_much_as_for_little(
    log_in: Login, supplier: User, maker: Organisation
) -> None:
    client = log_in(supplier)
    offer, _other = OfferFactory.create_batch(2, organisation=maker, asked_at=timezone.now())
    MatchFactory.create_batch(2, offer=offer, demand__item=offer.item)
    paths = ["/supply/", f"/supply/{offer.pk}/"]
    few = [queries(client, path) for path in paths]
    for number in range(12):
        item = ItemFactory.create(key=f"item.{number}")
        OfferFactory.create(organisation=maker, item=item, asked_at=timezone.now())
    MatchFactory.create_batch(10, offer=offer, demand__item=offer.item, quantity=10)

    assert [queries(client, path) for path in paths] == few


# --- From a sheet -----------------------------------------------------------------------------------------------------


GOOD = "item,quantity,note\nSurgical mask,1000,first\n医用外科口罩,2000,second\n"


def send(client: Client, file: SimpleUploadedFile, publish: str = "on") -> str:
    """Choose a sheet, and let the worker read it: the address of its page."""
    sent = client.post("/supply/import/", {"file": file, "publish": publish} if publish else {"file": file})
    assert sent.status_code == 302, sent.text
    import_sheets()
    address: str = sent["Location"]
    return address


def confirm(client: Client, page: str) -> str:
    """Save a sheet that was checked: the page that says so."""
    client.post(f"{page}confirm/", {"publish": "on"})
    import_sheets()
    return client.get(page).text


def test_a_sheet_is_shown_before_it_is_saved_and_saved_once(log_in: Login, supplier: User, mask: Item) -> None:
    client = log_in(supplier)

    page = send(client, csv_file(GOOD))
    assert "2 offers will be saved." in client.get(page).text
    assert not Offer.objects.exists()

    assert "2 offers imported." in confirm(client, page)
    confirm(client, page)
    offers = Offer.objects.order_by("pk").values_list("item", "quantity", "state", "note")
    assert list(offers) == [(mask.pk, 1000, "published", "first"), (mask.pk, 2000, "published", "second")]


def test_the_page_of_a_sheet_shows_how_far_it_is_and_can_stop_it(log_in: Login, supplier: User, mask: Item) -> None:
    client = log_in(supplier)
    page = client.post("/supply/import/", {"file": csv_file(GOOD)})["Location"]
    SheetImport.objects.update(state="running", progress=40)

    shown = client.get(page).text
    for text in ('<meta http-equiv="refresh"', 'value="40"', "40 % is done."):
        assert text in shown
    SheetImport.objects.update(progress=77, saved=1_200, to_save=2_000)
    saving = client.get(page).text
    for text in ('value="77"', "Saving 1,200 of 2,000 rows."):
        assert text in saving
    assert "See how far it is" in client.get("/supply/import/").text
    assert "being read" in client.post("/supply/import/", {"file": csv_file(GOOD)}).text

    stopped = client.post(f"{page}cancel/", follow=True).text
    assert "The import was cancelled" in stopped
    assert '<meta http-equiv="refresh"' not in stopped
    assert "This is not possible any more" in client.post(f"{page}cancel/", follow=True).text


def test_a_viewer_sees_a_sheet_and_neither_confirms_nor_cancels_it(
    log_in: Login, maker: Organisation, supplier: User, mask: Item
) -> None:
    page = send(log_in(supplier), csv_file(GOOD))
    viewer = log_in(member(maker, Role.VIEWER))

    assert "Save them" not in viewer.get(page).text
    assert [viewer.post(f"{page}{step}/").status_code for step in ("confirm", "cancel")] == [404, 404]


def test_every_fault_is_named_by_the_number_of_its_row(log_in: Login, supplier: User, mask: Item) -> None:
    sheet = "item,quantity\nSurgical mask,1000\nUnicorn horn,5\nSurgical mask,many\n"
    client = log_in(supplier)

    page = send(client, csv_file(sheet))
    for text in (
        "Row 3",
        "There is no item “Unicorn horn”",
        "Row 4",
        "“many” is not a whole number.",
        "Nothing was saved.",
    ):
        assert text in client.get(page).text

    assert "some rows have faults" in client.post(f"{page}confirm/", follow=True).text
    assert not Offer.objects.exists()


def test_an_unpublishable_row_is_named_before_anything_is_saved(log_in: Login, supplier: User, mask: Item) -> None:
    sheet = "item,quantity,certificate valid until\nSurgical mask,1000,2999-01-01\nSurgical mask,5,2020-01-01\n"
    client = log_in(supplier)

    refused = client.get(send(client, csv_file(sheet))).text
    for text in ("Row 3", "The certificate has expired.", "Nothing was saved."):
        assert text in refused

    assert "2 offers will be saved." in client.get(send(client, csv_file(sheet), publish="")).text


def test_a_workbook_is_read_as_well(log_in: Login, supplier: User, mask: Item) -> None:
    book: Any = openpyxl.Workbook()
    sheet = book.worksheets[0]
    for row in (["物资名称", "数量", "单价"], ["医用外科口罩", 3000, 0.85]):
        sheet.append(row)
    data = io.BytesIO()
    book.save(data)
    client = log_in(supplier)

    assert "3,000 pieces" in client.get(send(client, SimpleUploadedFile("a.xlsx", data.getvalue()))).text


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({}, "Choose a file."),
        ({"file": csv_file("item,quantity\n" + "x" * 1_600_000)}, "The file is too large"),
    ],
)
def test_a_file_that_cannot_be_taken_is_refused_at_once(
    log_in: Login, supplier: User, mask: Item, data: dict[str, Any], says: str
) -> None:
    response = log_in(supplier).post("/supply/import/", data)

    assert response.status_code == 400
    assert says in response.text


@pytest.mark.parametrize(
    ("file", "says"),
    [
        (csv_file(""), "There is no row with an offer in this file."),
        (csv_file("a\0b,c\n1,2"), "This file cannot be read as CSV or XLSX."),
        (SimpleUploadedFile("x.xlsx", b"PK\x03\x04 broken"), "This file cannot be read as CSV or XLSX."),
        (csv_file("name,number\na,b\n"), "These columns are missing"),
    ],
)
def test_a_file_that_cannot_be_used_is_said_in_words(
    log_in: Login, supplier: User, mask: Item, file: SimpleUploadedFile, says: str
) -> None:
    client = log_in(supplier)
    page = client.get(send(client, file)).text

    assert "This sheet was not imported" in page
    assert says in page


def test_a_supplier_that_is_not_verified_imports_drafts(log_in: Login, mask: Item) -> None:
    client = log_in(member(SupplierFactory.create(unverified=True)))

    page = confirm(client, send(client, csv_file(GOOD)))

    assert set(Offer.objects.values_list("state", flat=True)) == {"draft"}
    assert "They are saved as drafts" in page


def test_the_page_of_a_sheet_asks_as_often_for_many_rows_as_for_few(log_in: Login, supplier: User, mask: Item) -> None:
    client = log_in(supplier)
    few = queries(client, send(client, csv_file("item,quantity\n" + "Surgical mask,5\n" * 2)))
    many = queries(client, send(client, csv_file("item,quantity\n" + "Surgical mask,5\n" * 40)))

    assert many == few


@pytest.mark.parametrize(("language", "heading"), [("en", "item,standard,quantity"), ("zh-hans", "物资,标准,数量")])
def test_the_sheet_to_fill_in_can_be_sent_back_as_it_is(
    log_in: Login, supplier: User, mask: Item, language: str, heading: str
) -> None:
    User.objects.filter(pk=supplier.pk).update(language=language)
    client = log_in(supplier)

    sheet = client.get("/supply/import/template.csv")
    response = client.get(send(client, SimpleUploadedFile("again.csv", sheet.content)))

    assert sheet.content.decode("utf-8-sig").startswith(heading)
    assert [row["item"] for row in response.context["rows"]] == [mask]
