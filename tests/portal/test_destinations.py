"""Goods that were promised to one place and are led to another: their supplier hears of it."""

import json
from collections.abc import Callable

import pytest
from django.test import Client

from apps.accounts.models import Organisation, User
from apps.accounts.services import issue_token
from apps.core.models import AuditEntry
from apps.fulfilment.models import Order
from apps.fulfilment.services import accept_match
from apps.notifications.models import Message
from apps.notifications.rendering import render_mail
from tests.factories import DemandFactory, MatchFactory, OfferFactory, UserFactory
from tests.portal.conftest import Login, give_password
from tests.test_admin import decide

pytestmark = pytest.mark.django_db


@pytest.fixture
def order(hospital: Organisation, maker: Organisation) -> Order:
    need = DemandFactory.create(organisation=hospital, quantity=400, address="1 Hospital Road")
    offer = OfferFactory.create(organisation=maker, item=need.item)
    return accept_match(MatchFactory.create(demand=need, offer=offer, quantity=400), by=None)


@pytest.fixture
def change(buyer: User) -> Callable[..., int]:
    """What a program with a token of the requester does."""
    _token, text = issue_token(buyer, name="stolen", scopes=["read", "write"])

    def patch(path: str, **facts: str) -> int:
        headers = {"Authorization": f"Bearer {text}"}
        body = json.dumps(facts)
        return Client().patch(f"/api/v1/{path}", body, content_type="application/json", headers=headers).status_code

    return patch


def told() -> list[Message]:
    return list(Message.objects.filter(event="order.redirected", channel="email").order_by("pk"))


def test_a_supplier_is_told_once_that_its_goods_go_elsewhere(
    change: Callable[..., int], order: Order, supplier: User, log_in: Login
) -> None:
    page = log_in(supplier).get(f"/orders/{order.pk}/")
    seen = page.context["seen"]
    assert "place of delivery" not in page.text

    path = f"demands/{order.match.demand_id}/"
    assert (change(path, address="7 Thief Road"), change(path, address="7 Thief Road")) == (200, 200)

    [message] = told()
    mail = render_mail(message)
    assert message.address == supplier.email
    assert "changed its address or contact for 400" in mail.subject
    # Mails are read by many: the address stands on the page alone.
    assert "7 Thief Road" not in mail.text
    page = log_in(supplier).get(f"/orders/{order.pk}/")
    assert "The requester changed the place of delivery or the contact" in page.text
    assert AuditEntry.objects.filter(event="order.redirected", target_id=str(order.pk)).count() == 1

    # A page of before ships nothing to the old place, or to one that its reader has not seen.
    log_in(supplier).post(f"/orders/{order.pk}/ship/", {"ship-quantity": "400", "seen": seen})
    assert not order.shipments.exists()


def test_a_new_telephone_of_the_requester_is_told_too(
    change: Callable[..., int], order: Order, hospital: Organisation, supplier: User
) -> None:
    assert change(f"organisations/{hospital.pk}/", contact_phone="13800000000") == 200
    assert [message.address for message in told()] == [supplier.email]
    message = told()[0]
    message.language = "zh-hans"
    assert "收货地址或联系方式" in render_mail(message).text


def test_suppliers_call_nobody_else_without_the_password(client: Client, buyer: User, hospital: Organisation) -> None:
    client.force_login(buyer)
    page, thief = f"/organisation/{hospital.pk}/edit/", {"contact_phone": "13800000000"}
    form = client.get(page).context["form"]
    typed = {name: form[name].value() or "" for name in form.fields} | thief

    client.post(page, typed)
    through_api = client.patch(
        f"/api/v1/organisations/{hospital.pk}/", json.dumps(thief), content_type="application/json"
    )

    assert (through_api.status_code, through_api.json()["code"]) == (403, "reauthentication_required")
    hospital.refresh_from_db()
    assert hospital.contact_phone != "13800000000"
    give_password(client)
    client.post(page, typed)
    hospital.refresh_from_db()
    assert hospital.contact_phone == "13800000000"


def test_staff_lead_goods_elsewhere_by_the_password_and_it_is_told(
    order: Order, hospital: Organisation, supplier: User, client: Client
) -> None:
    client.force_login(UserFactory.create(is_staff=True, is_superuser=True))
    decide(client, hospital, "", contact_phone="13800000000")
    hospital.refresh_from_db()
    assert hospital.contact_phone != "13800000000"

    give_password(client)
    decide(client, hospital, "", contact_phone="13800000000")
    hospital.refresh_from_db()
    assert hospital.contact_phone == "13800000000"
    assert [message.address for message in told()] == [supplier.email]


def test_nobody_is_told_of_what_leads_nowhere_else(change: Callable[..., int], order: Order) -> None:
    change(f"demands/{order.match.demand_id}/", note="Ring twice", urgency="emergency")
    Order.objects.filter(pk=order.pk).update(state="cancelled")
    change(f"demands/{order.match.demand_id}/", address="2 Hospital Road")
    assert told() == []
