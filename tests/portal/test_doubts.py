"""A doubtful offer on its way: the question on its page, the list of the desk, approval and return, on every edge."""

import datetime as dt

import pytest
from django.test import Client

from apps.accounts.models import Organisation, User
from apps.catalogue.models import Item
from apps.matching.escalation import escalate_due
from apps.supply.models import Offer, OfferState
from apps.supply.services import create_offer, publish_offer
from tests.factories import OfferFactory, OrganisationFactory
from tests.portal.conftest import Login, queries

pytestmark = pytest.mark.django_db

QUESTION = "Is 900,000,000,000 right?"


def held(maker: Organisation, item: Item, by: User) -> Offer:
    offer = create_offer(maker, item=item, by=by, quantity=900_000_000_000)
    return publish_offer(offer, by=by, confirmed=True)


def test_the_writer_is_asked_and_a_coordinator_looks(
    log_in: Login, supplier: User, maker: Organisation, desk: Client, mask: Item
) -> None:
    mine = log_in(supplier)
    page = mine.post(
        "/supply/new/",
        {"item": mask.pk, "quantity": "900000000000", "origin_region": maker.region_id, "publish": "1"},
        follow=True,
    ).text
    offer = Offer.objects.get()
    assert QUESTION in page
    assert "Yes, it is right: publish it" in page
    assert offer.state == OfferState.DRAFT

    # The plain button of an older page confirms nothing, and neither does an answer to another quantity.
    for answer in ({}, {"confirmed": "900|None|CNY||None"}):
        assert QUESTION in mine.post(f"/supply/{offer.pk}/publish/", answer, follow=True).text
        assert Offer.objects.awaiting_review().count() == 0
    page = mine.post(f"/supply/{offer.pk}/publish/", {"confirmed": "900000000000|None|CNY||None"}, follow=True).text
    assert "A coordinator looks at it first" in page
    assert QUESTION not in page

    assert f"/desk/offers/{offer.pk}/" in desk.get("/desk/").text
    assert QUESTION in desk.get(f"/desk/offers/{offer.pk}/").text
    desk.post(f"/desk/offers/{offer.pk}/return/", {"reason": "Count again."})
    assert "A coordinator returned it: Count again." in mine.get(f"/supply/{offer.pk}/").text

    mine.post(f"/supply/{offer.pk}/publish/", {"confirmed": "900000000000|None|CNY||None"})
    assert desk.get(f"/desk/offers/{offer.pk}/publish/").status_code == 200
    desk.post(f"/desk/offers/{offer.pk}/publish/")
    offer.refresh_from_db()
    assert offer.state == OfferState.PUBLISHED


def test_the_desk_reads_to_whom_an_offer_was_escalated(
    supplier: User, maker: Organisation, desk: Client, mask: Item
) -> None:
    office = OrganisationFactory.create(kind="coordinator", region=maker.region, name="Office of the city")
    offer = held(maker, mask, supplier)
    assert "Not escalated." in desk.get(f"/desk/offers/{offer.pk}/").text
    assert offer.escalates_at
    escalate_due(now=offer.escalates_at + dt.timedelta(hours=1))
    [escalation] = offer.escalations.all()
    assert escalation.organisation != office
    page = desk.get(f"/desk/offers/{offer.pk}/").text
    assert f"Escalated to {escalation.organisation.name}" in page
    assert "Will be escalated" in page


def test_an_amendment_is_asked_about_on_its_page(
    log_in: Login, supplier: User, maker: Organisation, mask: Item
) -> None:
    for _number in range(5):
        OfferFactory.create(item=mask, quantity=1_000)
    offer = OfferFactory.create(item=mask, organisation=maker, quantity=1_000, currency="CNY")
    mine = log_in(supplier)
    facts = {"item": mask.pk, "quantity": "20000", "origin_region": maker.region_id, "currency": "CNY", "save": "1"}

    asked = mine.post(f"/supply/{offer.pk}/amend/", facts)
    assert (asked.status_code, "Is 20,000 right? Usual is about 1,000." in asked.text) == (400, True)

    mine.post(f"/supply/{offer.pk}/amend/", facts | {"confirmed": "20000|None|CNY||None"})
    offer.refresh_from_db()
    assert offer.quantity == 20_000


@pytest.mark.parametrize("step", ["publish", "return"])
def test_only_a_coordinator_of_the_place_decides(
    log_in: Login, supplier: User, province: User, rival: User, maker: Organisation, mask: Item, step: str
) -> None:
    offer = held(maker, mask, supplier)
    for somebody in (supplier, rival, province):
        response = log_in(somebody).post(f"/desk/offers/{offer.pk}/{step}/", {"reason": "x"})
        assert response.status_code == 404
    assert Offer.objects.awaiting_review().count() == 1


def test_a_decision_twice_or_of_an_unknown_kind_is_no_page(
    desk: Client, supplier: User, maker: Organisation, mask: Item
) -> None:
    offer = held(maker, mask, supplier)
    assert desk.get(f"/desk/offers/{offer.pk}/burn/").status_code == 404
    desk.post(f"/desk/offers/{offer.pk}/publish/")
    assert desk.post(f"/desk/offers/{offer.pk}/publish/").status_code == 404


def test_a_long_list_of_doubtful_offers_asks_no_more_than_a_short_one(
    desk: Client, supplier: User, maker: Organisation, mask: Item
) -> None:
    held(maker, mask, supplier)
    few = queries(desk, "/desk/waiting/doubted/")
    for _number in range(4):
        held(maker, mask, supplier)
    assert queries(desk, "/desk/waiting/doubted/") == few
