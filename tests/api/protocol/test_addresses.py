"""How addresses are written: their query parameters, and the slash at their end."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.demands.models import Demand
from tests.api.conftest import ROOT, Caller
from tests.factories import DemandFactory, ItemFactory

pytestmark = pytest.mark.django_db


def operations(client: Client) -> Iterator[tuple[str, str, list[str]]]:
    """Each operation that the API describes, as method, address with made-up ids, and names of query parameters."""
    described = client.get(f"{ROOT}/schema/", headers={"Accept": "application/json"}).json()
    for path, methods in described["paths"].items():
        address = path.removeprefix(ROOT).replace("{dataset}", "demands")
        for name in ("{id}", "{key}", "{code}"):
            address = address.replace(name, "1")
        for method, operation in methods.items():
            known = [one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"]
            yield method.upper(), address, sorted(known)


def test_an_unknown_parameter_is_refused_and_the_known_are_named(
    call: Callable[..., Caller], client: Client, buyer: User
) -> None:
    """Whatever can be asked for: the list of what is known is that of the description."""
    program = call(buyer)
    tried, wrong = 0, []
    for method, address, known in operations(client):
        answer = program(method, f"{address}?tpyo=1", None if method == "GET" else {})
        body: dict[str, Any] = answer.json() if answer["Content-Type"] == "application/problem+json" else {}
        expected = (400, "unknown_parameter", ["tpyo"], known)
        if (answer.status_code, body.get("code"), list(body.get("errors", ())), body.get("parameters")) != expected:
            wrong.append((method, address, answer.status_code, body))
        tried += 1
    assert wrong == []
    assert tried > 50


def test_a_typo_does_not_turn_a_delta_into_everything(call: Callable[..., Caller], buyer: User, partner: User) -> None:
    assert call(buyer).get("/demands/?update_since=2026-11-22T00:00:00Z").status_code == 400
    assert call(partner).get("/exports/demands?update_since=2026-11-22T00:00:00Z").status_code == 400


@pytest.mark.parametrize("path", ["/schema/?lnag=en", "/docs/?lnag=en", "/stats/?regoin=420000", "/items/?serch=x"])
def test_what_is_public_refuses_a_typo_too(call: Callable[..., Caller], path: str) -> None:
    assert (call().get(path).status_code, call().get(path).json()["code"]) == (400, "unknown_parameter")


def test_who_may_not_call_is_told_that_first(call: Callable[..., Caller]) -> None:
    assert call().get("/demands/?tpyo=1").status_code == 401


def test_a_post_without_the_last_slash_posts(call: Callable[..., Caller], buyer: User) -> None:
    ItemFactory.create()
    answer = call(buyer).post("/demands", {"item": "mask.surgical", "quantity": 100})

    assert (answer.status_code, Demand.objects.count()) == (201, 1)


def test_every_address_works_without_its_last_slash(call: Callable[..., Caller], client: Client, buyer: User) -> None:
    """The answer is the same, and never a redirect: a client would follow it with a GET and take its 200 for done."""
    program = call(buyer)
    wrong = []
    for method, address, _known in operations(client):
        with_slash, without = (
            _seen(program(method, path, None if method == "GET" else {"tpyo": 1}))
            for path in (address.rstrip("/") + "/", address.rstrip("/"))
        )
        if with_slash != without or with_slash[0] == 301:
            wrong.append((method, address, with_slash[0], without[0]))
    assert wrong == []


def _seen(answer: Any) -> tuple[int, bytes]:
    """Status and body. An export is read to its end before the next begins: one runs at a time for a token."""
    body = b"".join(answer) if answer.streaming else answer.content
    return answer.status_code, body


def test_a_need_is_changed_without_the_last_slash(call: Callable[..., Caller], buyer: User) -> None:
    demand = DemandFactory.create(organisation=buyer.grants[0].organisation)
    program = call(buyer)

    assert program.patch(f"/demands/{demand.pk}", {"note": "Gate 3"}).json()["note"] == "Gate 3"
    assert program.post(f"/demands/{demand.pk}/pause", {}).json()["state"] == "paused"
    assert program.get(f"/demands/{demand.pk}").status_code == 200
