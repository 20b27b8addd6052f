"""What each resource does beyond the story: states, sides, contacts, pages and what a list costs."""

import io
from collections.abc import Callable
from typing import Any

import openpyxl
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import ApiToken, Organisation, User
from apps.accounts.services import issue_token
from apps.api.demands import DemandRow
from apps.api.matches import MatchRow
from apps.api.offers import OfferRow
from apps.api.orders import OrderRow
from apps.api.organisations import OrganisationRow
from apps.demands.models import Demand, QuantityKind
from apps.exports.datasets import DATASETS
from apps.fulfilment.models import ContactReveal, Order, Shipment
from apps.matching.models import Match, Shortfall
from apps.matching.services import sweep
from apps.notifications.models import Message, WebhookEndpoint
from apps.policy.services import make_policy
from apps.supply.models import Offer
from tests.api.conftest import Caller
from tests.factories import (
    DemandFactory,
    ItemFactory,
    MatchFactory,
    OfferFactory,
    OrganisationFactory,
    SupplierFactory,
    member,
    region,
    standard_of,
)

pytestmark = pytest.mark.django_db

Call = Callable[..., Caller]

# Contract: these may be added to, never taken from.
PROMISED = {
    DemandRow: """
        id reference organisation item quantity quantity_kind quantity_matched quantity_received unit standard
        accepts_substitutes region address needed_by urgency days_of_supply note state state_reason confirmed_at
        opened_at created_at updated_at
    """,
    OfferRow: """
        id organisation item standard quantity quantity_reserved daily_capacity minimum_order lead_time_days unit_price
        currency is_donation origin_region ships_to certificate_number certificate_valid_until state confirmed_at
        created_at updated_at
    """,
    MatchRow: """
        id demand offer quantity rank score explanation policy_version is_substitute state respond_by responded_at
        decline_reason contact created_at updated_at
    """,
    OrderRow: "id match quantity state shipments quantity_received quantity_rejected created_at updated_at",
}


@pytest.mark.parametrize("kind", PROMISED)
def test_what_was_promised_is_there(kind: Any) -> None:
    assert set(PROMISED[kind].split()) - set(kind().fields) == set()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("demands", DemandRow),
        ("offers", OfferRow),
        ("matches", MatchRow),
        ("orders", OrderRow),
        ("organisations", OrganisationRow),
    ],
)
def test_exports_name_their_columns_as_the_api_does(name: str, kind: Any) -> None:
    assert {column.name for column in DATASETS[name].columns} - set(kind().fields) == set()


# Demands


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


def test_where_a_coordinator_looks_first_what_is_opened_stays_a_draft_that_says_why(
    call: Call, buyer: User, hospital: Organisation, coordinator: User
) -> None:
    ItemFactory.create()
    make_policy({"phases": {"420000": {"phase": "emergency", "approval": True}}}, note="x", by=coordinator)
    mine = call(buyer)

    posted = mine.post("/demands/", {"item": "mask.surgical", "quantity": 100, "open": True}).json()
    again = mine.post(f"/demands/{posted['id']}/open/").json()

    assert (posted["state"], again["state"]) == ("draft", "draft")
    assert "a coordinator looks at every need" in again["state_reason"]
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
        "text": ["This need is not open: nobody is asked for it, and it is not counted what suppliers have."],
    }  # fmt: skip


def test_a_quantity_that_would_help_can_be_sent_for_a_need_of_which_none_is_known(
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


# Offers


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
            "rows": [{"row": 2, "item": "mask.surgical", "quantity": 1000, "errors": {}}],
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


# Matches and contacts


@pytest.fixture
def accepted(hospital: Organisation, maker: Organisation) -> Match:
    return MatchFactory.create(
        demand=DemandFactory.create(organisation=hospital),
        offer=OfferFactory.create(organisation=maker),
        state="accepted",
        responded_at=timezone.now(),
    )


def test_contacts_are_revealed_one_at_a_time_and_noted(call: Call, accepted: Match, buyer: User) -> None:
    mine = call(buyer)
    assert [match["contact"] for match in mine.get("/matches/").json()["results"]] == [None]
    assert not ContactReveal.objects.exists()

    contact = mine.get(f"/matches/{accepted.pk}/").json()["contact"]
    mine.get(f"/matches/{accepted.pk}/")

    assert contact["supplier"] == accepted.offer.organisation.contact
    assert ContactReveal.objects.filter(match=accepted, user=buyer).count() == 1


def test_contacts_stay_hidden(call: Call, accepted: Match, buyer: User, partner: User, hospital: Organisation) -> None:
    held = MatchFactory.create(demand=DemandFactory.create(organisation=hospital))
    path = f"/matches/{accepted.pk}/"

    assert call(buyer).get(f"/matches/{held.pk}/").json()["contact"] is None
    assert call(buyer, scopes=["read", "write"]).get(path).json()["contact"] is None
    assert call(partner).get(path).json()["contact"] is None
    assert not ContactReveal.objects.exists()


def test_a_supplier_answers_once(call: Call, supplier: User, maker: Organisation) -> None:
    match = MatchFactory.create(offer=OfferFactory.create(organisation=maker), quantity=400)
    mine = call(supplier)

    too_much = mine.post(f"/matches/{match.pk}/accept/", {"quantity": 401})
    assert (too_much.status_code, too_much.json()["held"]) == (400, 400)
    assert mine.post(f"/matches/{match.pk}/decline/", {"reason": "moon"}).status_code == 400
    declined = mine.post(f"/matches/{match.pk}/decline/", {"reason": "price", "note": "too low"})
    assert (declined.json()["state"], declined.json()["decline_reason"]) == ("declined", "price")
    late = mine.post(f"/matches/{match.pk}/accept/")
    assert (late.status_code, late.json()["code"], late.json()["state"]) == (409, "match_not_held", "declined")


def test_a_reason_is_given_in_the_language_of_the_request(call: Call, accepted: Match, buyer: User) -> None:
    (reason,) = call(buyer).get(f"/matches/{accepted.pk}/", Accept_Language="en").json()["explanation"]
    assert reason == {
        "term": "coverage",
        "value": 400,
        "score": 0.4,
        "weight": 0.25,
        "text": "It has enough for 40 % of what is still needed: 400.",
    }


# Orders


def test_an_order_is_called_off_by_either_side_but_shipped_by_one(
    call: Call, accepted: Match, buyer: User, supplier: User
) -> None:
    order = Order.objects.create(match=accepted, quantity=400)
    path = f"/orders/{order.pk}"

    assert call(buyer).post(f"{path}/ship/").json()["code"] == "not_allowed"
    assert call(supplier).post(f"{path}/deliver/", {"quantity_accepted": 1}).json()["code"] == "not_allowed"
    assert call(supplier).post(f"{path}/repeat/", {"quantity": 5}).json()["code"] == "not_allowed"
    assert call(supplier).post(f"{path}/cancel/", {"reason": "burnt"}).json()["state"] == "cancelled"


def test_parts_are_shipped_and_the_rest_is_closed(call: Call, accepted: Match, buyer: User, supplier: User) -> None:
    order = Order.objects.create(match=accepted, quantity=400)
    path = f"/orders/{order.pk}"

    call(supplier).post(f"{path}/ship/", {"quantity": 100, "expected_on": "2030-01-01"})
    too_much = call(supplier).post(f"{path}/ship/", {"quantity": 301})
    assert (too_much.status_code, too_much.json()["left"]) == (400, 300)
    call(buyer).post(f"{path}/deliver/", {"quantity_accepted": 100})
    closed = call(buyer).post(f"{path}/close/", {"reason": "enough"}).json()

    assert (closed["state"], closed["quantity_received"], closed["shipments"][0]["expected_on"]) == (
        "closed",
        100,
        "2030-01-01",
    )


def test_more_than_is_there_cannot_be_ordered_again(call: Call, accepted: Match, buyer: User) -> None:
    order = Order.objects.create(match=accepted, quantity=400)

    answer = call(buyer).post(f"/orders/{order.pk}/repeat/", {"quantity": 5000})

    assert (answer.status_code, answer.json()["code"], answer.json()["free"]) == (409, "insufficient_stock", 4600)


# Organisations


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
    narrow = call(partner, scopes=["write"], region=region("420100"))
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


# Stats


def test_sums_show_no_single_organisation(call: Call) -> None:
    for _number in range(3):
        DemandFactory.create(quantity=100)
    for few in ("440300", "440300", "110102"):  # three in all: no less would hide enough of them
        DemandFactory.create(organisation=OrganisationFactory.create(region=region(few)), quantity=7)
    OfferFactory.create()

    body = call().get("/stats/").json()

    assert [cell for cell in body["cells"] if cell["item"] == "mask.surgical"] == [
        {
            "item": "mask.surgical",
            "region": "420000",
            "unit": "piece",
            "needs": 3,
            "quantity_needed": 300,
            "quantity_matched": 0,
            "quantity_received": 0,
            "offers": None,
            "quantity_offered": None,
        }
    ]
    assert [(cell["region"], cell["needs"], cell["offers"]) for cell in body["totals"]] == [("", 6, None)]
    assert body["as_of"].endswith("Z")


@pytest.fixture(autouse=True)
def _nothing_cached() -> None:
    from django.core.cache import cache

    cache.clear()


# What lists cost


@pytest.mark.parametrize(
    "path",
    [
        "/demands/",
        "/offers/",
        "/matches/",
        "/orders/",
        "/organisations/",
        "/tokens/",
        "/webhooks/",
        "/demands/{need}/matches/",
    ],
)
def test_a_list_costs_the_same_queries_at_every_size(call: Call, coordinator: User, path: str) -> None:
    mine = call(coordinator)
    need = DemandFactory.create(quantity=100_000)
    path = path.format(need=need.pk)

    def fill(count: int) -> None:
        for _number in range(count):
            WebhookEndpoint.objects.create(
                organisation=coordinator.grants[0].organisation, url="https://example.org/", secret="whsec_x"
            )
            match = MatchFactory.create(
                demand=need,
                offer=OfferFactory.create(organisation=SupplierFactory.create()),
                state="accepted",
                responded_at=timezone.now(),
            )
            order = Order.objects.create(match=match, quantity=400)
            Shipment.objects.create(order=order, quantity=400, shipped_at=timezone.now())
            issue_token(coordinator, name="more", scopes=["read"])

    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert mine.get(path).status_code == 200
        return len(queries)

    fill(2)
    mine.get(path)
    few = cost()
    fill(7)
    assert cost() == few
    assert few <= 4  # the token, the memberships, the rows; of orders their shipments, of a need itself


def test_an_action_wakes_the_matching(call: Call, buyer: User, maker: Organisation) -> None:
    OfferFactory.create(organisation=maker)
    call(buyer).post("/demands/", {"item": "mask.surgical", "quantity": 100, "open": True})
    assert sweep().held == 1
