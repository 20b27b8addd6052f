"""The main job over REST: post, match, accept, ship, receive, order again."""

from collections.abc import Callable

import pytest

from apps.accounts.models import Organisation, User
from apps.matching.services import sweep
from tests.api.conftest import Caller
from tests.factories import ItemFactory, OfferFactory, region

pytestmark = pytest.mark.django_db


def test_from_a_need_to_received_goods_and_a_repeat(
    call: Callable[..., Caller], buyer: User, supplier: User, maker: Organisation
) -> None:
    ItemFactory.create(key="thermometer.forehead", name_en="Forehead thermometer", name_zh="额温枪")
    region("110102")
    OfferFactory.create(organisation=maker, item=ItemFactory.create(key="thermometer.forehead"), quantity=50_000)
    hospital, shenzhen = call(buyer), call(supplier)

    posted = hospital.post(
        "/demands/",
        {"item": "thermometer.forehead", "quantity": 1000, "region": "110102", "urgency": "urgent", "open": True},
    )
    assert posted.status_code == 201, posted.content
    need = posted.json()
    assert (need["state"], need["quantity"], need["unit"], need["region"]) == ("open", 1000, "piece", "110102")
    sweep()

    asked = shenzhen.get("/matches/?state=held").json()["results"]
    assert [(match["demand"], match["quantity"], match["contact"]) for match in asked] == [(need["id"], 1000, None)]
    assert {reason["term"] for reason in asked[0]["explanation"]} == {
        "coverage",
        "distance",
        "lead_time",
        "standard",
        "freshness",
        "record",
        "price",
    }

    accepted = shenzhen.post(f"/matches/{asked[0]['id']}/accept/", {"quantity": 1000, "lead_time_days": 1})
    assert accepted.status_code == 200, accepted.content
    assert accepted.json()["contact"]["requester"]["name"].startswith("Contact")
    assert hospital.get(f"/matches/{asked[0]['id']}/").json()["contact"]["supplier"]["phone"].startswith("138")
    assert hospital.get(f"/demands/{need['id']}/").json()["state"] == "matched"

    order = hospital.get("/orders/").json()["results"][0]
    again = hospital.post(f"/orders/{order['id']}/repeat/", {"quantity": 20_000})
    assert again.status_code == 201, again.content
    shipped = shenzhen.post(f"/orders/{again.json()['id']}/ship/", {"carrier": "SF", "tracking_number": "SF1"})
    assert [shipment["quantity"] for shipment in shipped.json()["shipments"]] == [20_000]

    received = hospital.post(
        f"/orders/{again.json()['id']}/deliver/",
        {"quantity_accepted": 19_990, "quantity_rejected": 10, "reason": "broken displays"},
    )
    assert received.status_code == 200, received.content
    assert (received.json()["state"], received.json()["quantity_rejected"]) == ("delivered", 10)
