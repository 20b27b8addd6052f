"""Whatever comes in: a 4xx that says what is wrong, never a 500."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoDbBlocker

from apps.accounts.models import Organisation, TokenScope, User
from apps.accounts.services import issue_token
from apps.demands.models import Demand
from tests.api.conftest import Caller, rows_for_a_module
from tests.factories import ItemFactory, OfferFactory, OrganisationFactory, member, standard_of

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def hospital(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Organisation]:
    """A hospital, and an item to ask for: the same for all tests, as none of them leaves anything."""
    with rows_for_a_module(django_db_blocker):
        standard_of(ItemFactory.create())
        yield OrganisationFactory.create(name="Wuchang Hospital")


@pytest.fixture(scope="module")
def buyer(hospital: Organisation) -> User:
    return member(hospital, email="buyer@example.org")


@pytest.fixture(scope="module")
def hospital_calls(buyer: User) -> Caller:
    return Caller(issue_token(buyer, name="test", scopes=list(TokenScope.values))[1])


GOOD: dict[str, Any] = {"item": "mask.surgical", "quantity": 100}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"quantity": 10**18}, "quantity"),
        ({"quantity": 10**400}, "quantity"),
        ({"quantity": 0}, "quantity"),
        ({"quantity": -5}, "quantity"),
        ({"quantity": True}, "quantity"),
        ({"quantity": 10.0}, "quantity"),
        ({"quantity": "100"}, "quantity"),
        ({"quantity": None}, "quantity"),
        ({"quantity": [1]}, "quantity"),
        ({"quantity_kind": "unspecified"}, "quantity"),
        ({"quantity_kind": "lots"}, "quantity_kind"),
        ({"quantity_kind": {}}, "quantity_kind"),
        ({"item": "mask.unknown"}, "item"),
        ({"item": "mask\0surgical"}, "item"),
        ({"item": "\ud800"}, "item"),
        ({"item": 5}, "item"),
        ({"item": None}, "item"),
        ({"standard": "GB 1-1900"}, "standard"),
        ({"region": "999999"}, "region"),
        ({"region": 420106}, "region"),
        ({"needed_by": "10000-01-01"}, "needed_by"),
        ({"needed_by": "10000-01-01T00:00:00Z"}, "needed_by"),
        ({"needed_by": "9999-12-31"}, "needed_by"),
        ({"needed_by": "0001-01-01"}, "needed_by"),
        ({"needed_by": "2001-01-01"}, "needed_by"),
        ({"needed_by": "2030-02-30"}, "needed_by"),
        ({"needed_by": "2030-01-01T00:00:00"}, "needed_by"),
        ({"needed_by": "tomorrow"}, "needed_by"),
        ({"needed_by": 1700000000}, "needed_by"),
        ({"urgency": "now!"}, "urgency"),
        ({"urgency": "\udfff"}, "urgency"),
        ({"days_of_supply": 10**9}, "days_of_supply"),
        ({"days_of_supply": -1}, "days_of_supply"),
        ({"accepts_substitutes": "yes"}, "accepts_substitutes"),
        ({"accepts_substitutes": 1}, "accepts_substitutes"),
        ({"note": "a\0b"}, "note"),
        ({"note": "half \ud83d a pair"}, "note"),
        ({"note": "x" * 2001}, "note"),
        ({"note": 7}, "note"),
        ({"address": None}, "address"),
        ({"organisation": "999999999"}, "organisation"),
        ({"organisation": "99999999999999999999999"}, "organisation"),
        ({"organisation": 1}, "organisation"),
        ({"quantitty": 5}, "quantitty"),
        ({"\ud800": 5}, "?"),
    ],
)
def test_the_fault_of_a_field_is_named_and_nothing_is_kept(
    hospital_calls: Caller, change: dict[str, Any], field: str
) -> None:
    answer = hospital_calls.post("/demands/", {**GOOD, **change})

    assert answer.status_code == 400, answer.content
    body = answer.json()
    assert answer["Content-Type"] == "application/problem+json"
    assert (body["status"], set(body) >= {"type", "title", "detail", "code"}) == (400, True)
    assert list(body["errors"]) == [field]
    assert all(text for texts in body["errors"].values() for text in texts)
    assert not Demand.objects.exists()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"null", 400),
        (b"5", 400),
        (b'"text"', 400),
        (b"[]", 400),
        (b"[5]", 400),
        (b"[[]]", 400),
        (b'{"item": NaN}', 400),
        (b'{"quantity": 1e999}', 400),
        (b'{"item": "\xff"}', 400),
        (b'{"quantity": ' + b"9" * 5000 + b"}", 400),
        (b"[" * 100_000, 400),
        (b'{"a":' * 50_000, 400),
        (b'{"note": "' + b"x" * 10_000_000 + b'"}', 400),
    ],
)
def test_a_body_that_is_no_need_is_refused(hospital_calls: Caller, body: bytes, status: int) -> None:
    answer = hospital_calls("POST", "/demands/", body)

    assert answer.status_code == status, answer.content[:200]
    assert answer["Content-Type"] == "application/problem+json"


def test_another_content_type_is_not_understood(client: Client, buyer: User) -> None:
    _token, text = issue_token(buyer, name="x", scopes=["write"])
    answer = client.post("/api/v1/demands/", {"item": "mask.surgical"}, headers={"Authorization": f"Bearer {text}"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


def test_an_unknown_method_is_said_to_be_so(hospital_calls: Caller) -> None:
    answer = hospital_calls("PUT", "/demands/", {})
    assert (answer.status_code, answer.json()["code"], answer["Allow"]) == (
        405,
        "method_not_allowed",
        "GET, POST, HEAD, OPTIONS",
    )


@pytest.mark.parametrize(
    "token",
    ["", "x", "cosmo_" + "0" * 64, "a b", "\0", "cosmo_\0", "é", "%00", "=" * 5000],
)
def test_a_malformed_token_is_401(client: Client, token: str) -> None:
    answer = client.get("/api/v1/demands/", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("page_size=0", "page_size"),
        ("page_size=501", "page_size"),
        ("page_size=99999999999999999999", "page_size"),
        ("page_size=ten", "page_size"),
        ("cursor=x", "cursor"),
        ("cursor=%00", "cursor"),
        ("cursor=WyJuIiwgIngiXQ==", "cursor"),
        ("cursor=WyJuIiwgOTk5OTk5OTk5OTk5OTk5OTk5OTk5OTldCg==", "cursor"),
        ("cursor=WyJuIiwgdHJ1ZV0=", "cursor"),
        ("state=asleep", "state"),
        ("item=unknown", "item"),
        ("item=%00", "item"),
        ("region=unknown", "region"),
        ("region=%00", "region"),
        ("reference=%00", "reference"),
        ("updated_since=2026", "updated_since"),
        ("updated_since=%00", "updated_since"),
    ],
)
def test_a_wrong_parameter_is_named(hospital_calls: Caller, query: str, field: str) -> None:
    answer = hospital_calls.get(f"/demands/?{query}")
    assert answer.status_code == 400, answer.content
    assert list(answer.json()["errors"]) == [field]


@pytest.mark.parametrize("pk", ["0", "x", "-1", "1.0", "99999999999999999999999", "%00", "%ff", "１", "a" * 3000])
def test_an_id_that_is_none_is_not_found(hospital_calls: Caller, pk: str) -> None:
    answer = hospital_calls.get(f"/demands/{pk}/")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("path", ["/nothing/", "/demands/1/nothing/", "/items/%00/", "/regions/x%00/", "/tokens/%00/"])
def test_what_is_not_there_is_a_problem_document(hospital_calls: Caller, path: str) -> None:
    answer = hospital_calls.get(path)
    assert (answer.status_code, answer["Content-Type"]) in {
        (404, "application/problem+json"),
        (405, "application/problem+json"),
    }


@pytest.mark.parametrize("path", ["/items/", "/standards/", "/regions/", "/units/"])
@pytest.mark.parametrize("text", ["%00", "口罩", "'", "%25", "x" * 5000, "%ff%fe", "%ED%A0%80"])
def test_any_text_can_be_searched_for(call: Callable[..., Caller], path: str, text: str) -> None:
    assert call().get(f"{path}?search={text}").status_code == 200


def test_errors_speak_the_language_of_the_request(hospital_calls: Caller) -> None:
    english = hospital_calls.post("/demands/", {"item": "nothing", "quantity": 1}, Accept_Language="en").json()
    assert english["errors"]["item"] == ["There is no “nothing”."]


def test_a_program_that_names_no_language_gets_its_users(call: Callable[..., Caller], buyer: User) -> None:
    User.objects.filter(pk=buyer.pk).update(language="zh-hans")
    answer = call(buyer).post("/demands/", {"item": "nothing", "quantity": 1})
    assert answer.json()["errors"]["item"] == ["没有“nothing”。"]


def test_all_faults_of_all_lines_are_named_at_once(hospital_calls: Caller) -> None:
    answer = hospital_calls.post("/demands/", [GOOD, {"item": "mask.surgical", "quantity": -1, "region": "x"}, 5])

    assert answer.status_code == 400
    assert set(answer.json()["errors"]) == {"1.quantity", "1.region", "2"}
    assert not Demand.objects.exists()


def test_a_fault_that_the_rules_find_is_named_by_its_line_too(hospital_calls: Caller) -> None:
    several = hospital_calls.post("/demands/", [GOOD, {"item": "mask.surgical"}])
    single = hospital_calls.post("/demands/", [{"item": "mask.surgical"}])

    assert (list(several.json()["errors"]), list(single.json()["errors"])) == (["1.quantity"], ["0.quantity"])
    assert not Demand.objects.exists()


def test_prices_and_dates_of_offers_are_checked(call: Callable[..., Caller], supplier: User) -> None:
    ItemFactory.create()
    good = {"item": "mask.surgical", "quantity": 5}
    cases: list[tuple[dict[str, Any], str]] = [
        ({"unit_price": "1e400"}, "unit_price"),
        ({"unit_price": "NaN"}, "unit_price"),
        ({"unit_price": "1.23456"}, "unit_price"),
        ({"unit_price": -1}, "unit_price"),
        ({"unit_price": True}, "unit_price"),
        ({"currency": "yuan"}, "currency"),
        ({"currency": "CN\n"}, "currency"),
        ({"ships_to": ["999999"]}, "ships_to.0"),
        ({"ships_to": "420000"}, "ships_to"),
        ({"certificate_valid_until": "10000-01-01"}, "certificate_valid_until"),
        ({"certificate_valid_until": 5}, "certificate_valid_until"),
        ({"lead_time_days": 40_000}, "lead_time_days"),
        ({"minimum_order": 0}, "minimum_order"),
        ({"is_donation": True, "unit_price": "5"}, "unit_price"),
    ]
    for change, field in cases:
        answer = call(supplier).post("/offers/", {**good, **change})
        assert (answer.status_code, list(answer.json().get("errors", {}))) == (400, [field]), (change, answer.content)


def test_what_only_the_server_sets_is_passed_over(call: Callable[..., Caller], supplier: User, maker: Any) -> None:
    offer = OfferFactory.create(organisation=maker)
    caller = call(supplier)
    shown = caller.get(f"/offers/{offer.pk}/").json()

    answer = caller.patch(f"/offers/{offer.pk}/", {**shown, "note": "new", "state": "withdrawn"})

    assert answer.status_code == 200, answer.content
    assert (answer.json()["note"], answer.json()["state"]) == ("new", "published")


def test_who_acts_for_several_says_for_which(call: Callable[..., Caller], buyer: User, hospital: Any) -> None:
    ItemFactory.create()
    from apps.accounts.services import add_member
    from tests.factories import OrganisationFactory

    second = OrganisationFactory.create()
    add_member(second, buyer, role="manager", by=member(second))
    caller = call(buyer)

    assert list(caller.post("/demands/", GOOD).json()["errors"]) == ["organisation"]
    named = caller.post("/demands/", {**GOOD, "organisation": str(second.pk)})
    assert (named.status_code, named.json()["organisation"]) == (201, str(second.pk))
    assert json.loads(named.content)["state"] == "draft"
