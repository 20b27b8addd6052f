"""What webhooks tell: the rows of the API, and nothing that the API would not show."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema
import pytest
from django.test import Client
from standardwebhooks import Webhook

from apps.accounts.models import Organisation, User
from apps.api import events
from apps.fulfilment import services as fulfilment
from apps.notifications import rendering, sending, services
from apps.notifications.models import Message, WebhookEndpoint
from tests.api.conftest import Caller
from tests.factories import DemandFactory, MatchFactory, OfferFactory
from tests.notifications.receivers import Receiver, receiver

pytestmark = pytest.mark.django_db


@pytest.fixture
def partner_system() -> Iterator[Receiver]:
    with receiver() as server:
        yield server


@pytest.fixture
def described() -> dict[str, Any]:
    answer = Client().get("/api/v1/schema/?format=json", headers={"Accept": "application/json"})
    found: dict[str, Any] = answer.json()
    return found


def told(receiver: Receiver, endpoint: WebhookEndpoint) -> list[Any]:
    Message.objects.exclude(channel="webhook").delete()
    sending.send_due()
    return [Webhook(endpoint.secret).verify(request.body, request.headers) for request in receiver.requests]


def test_an_event_tells_the_row_as_the_api_lists_it(
    partner_system: Receiver,
    hospital: Organisation,
    maker: Organisation,
    buyer: User,
    supplier: User,
    call: Callable[..., Caller],
    described: dict[str, Any],
) -> None:
    endpoint = services.add_webhook(hospital, url=partner_system.url, by=buyer)
    match = MatchFactory.create(
        demand=DemandFactory.create(organisation=hospital), offer=OfferFactory.create(organisation=maker)
    )
    order = fulfilment.accept_match(match, by=supplier)
    fulfilment.ship_order(order, by=supplier)

    mine = call(buyer)
    listed = {
        "match.accepted": mine.get("/matches/").json()["results"],
        "order.shipped": mine.get("/orders/").json()["results"],
    }
    said = told(partner_system, endpoint)
    assert {one["type"]: [one["data"]] for one in said} == listed
    for one in said:
        schema = described["webhooks"][one["type"]]["post"]["requestBody"]["content"]["application/json"]["schema"]
        validator = jsonschema.Draft202012Validator({**schema, "components": described["components"]})
        assert [error.message for error in validator.iter_errors(one)] == []


def test_an_event_tells_no_contact(hospital: Organisation, maker: Organisation, supplier: User) -> None:
    match = MatchFactory.create(offer=OfferFactory.create(organisation=maker))
    fulfilment.accept_match(match, by=supplier)

    facts = {"match_id": match.pk, "organisation_id": hospital.pk}
    assert events.data_of("match.accepted", facts)["contact"] is None
    assert events.data_of("organisation.submitted", facts)["contact"] is None
    text = json.dumps([events.data_of(f"{name}.x", facts) for name in ("match", "organisation")])
    assert not any(value in text for value in (*maker.contact.values(), *hospital.contact.values()) if value)


def test_an_event_without_a_row_has_its_facts_with_ids_as_text() -> None:
    assert events.data_of("webhook.paused", {"endpoint_id": 7, "host": "a.example"}) == {
        "endpoint_id": "7",
        "host": "a.example",
    }
    assert events.data_of("order.shipped", {"order_id": 2**40}) == {"order_id": str(2**40)}


def test_an_event_that_cannot_be_told_holds_up_no_other(
    partner_system: Receiver, hospital: Organisation, buyer: User
) -> None:
    endpoint = services.add_webhook(hospital, url=partner_system.url, by=buyer)
    services.queue("order.shipped", hospital, {"order_id": "no id"}, key="broken")
    services.queue("webhook.paused", hospital, {"endpoint_id": "1"}, key="sound")

    assert [one["type"] for one in told(partner_system, endpoint)] == ["webhook.paused"]


def test_every_event_that_an_organisation_is_told_is_described(described: dict[str, Any]) -> None:
    to_persons = {"account.changed", "invitation.sent", "invitation.withdrawn", "member.joined", "member.removed"}

    assert set(described["webhooks"]) == set(rendering.events()) - to_persons | {"webhook.test"}
    components = described["components"]["schemas"]
    assert {subject.schema for subject in events.SUBJECTS.values()} <= set(components)
