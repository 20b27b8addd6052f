"""A call about a stuck need, in the pages of the desk."""

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.core.models import AuditEntry
from apps.desk.models import DeskNote
from apps.matching.models import Match
from tests.factories import DemandFactory, EscalationFactory, OfferFactory
from tests.portal.conftest import Login

pytestmark = pytest.mark.django_db


def test_a_call_is_looked_up_noted_and_leads_to_an_order(
    desk: Client, coordinator: User, log_in: Login, supplier: User
) -> None:
    offer = OfferFactory.create(organisation=supplier.grants[0].organisation, quantity=900)
    offer.organisation.contact_phone = "0755-1234567"
    offer.organisation.save()
    demand = DemandFactory.create(quantity=800)
    EscalationFactory.create(demand=demand, organisation=coordinator.grants[0].organisation)
    page = f"/desk/needs/{demand.pk}/"

    text = desk.get(page).text
    assert "Who could help" in text
    assert "Shenzhen Maker" in text
    assert "0755-1234567" not in text

    assert "0755-1234567" in desk.post(f"{page}offers/{offer.pk}/call/").text
    seen = AuditEntry.objects.get(event="contact.seen")
    assert (seen.actor_id, seen.target_id) == (coordinator.pk, str(offer.organisation_id))
    assert seen.data == {"demand": demand.pk}

    answer = desk.post(f"{page}offers/{offer.pk}/answer/", {"answer": "yes"})
    assert answer.status_code == 400
    assert "Say how much they promise." in answer.text
    assert AuditEntry.objects.filter(event="contact.seen").count() == 2, "each look is written down"

    done = desk.post(
        f"{page}offers/{offer.pk}/answer/", {"answer": "yes", "quantity": 500, "text": "Sends today"}, follow=True
    )
    match = Match.objects.get()
    assert "Called: yes" in done.text
    assert f"/inbox/{match.pk}/" in done.text
    for who in (desk, log_in(supplier)):
        assert "By phone, taken by Coordinator" in who.get(f"/inbox/{match.pk}/").text
    assert "By phone, taken by Coordinator" in desk.get(f"/orders/{match.orders.get().pk}/").text


def test_an_offer_is_asked_from_the_page_and_a_no_is_noted(desk: Client) -> None:
    demand, offer = DemandFactory.create(quantity=800), OfferFactory.create(quantity=900)
    page = f"/desk/needs/{demand.pk}/"
    assert "Both sides are told." in desk.post(f"{page}offers/{offer.pk}/ask/", follow=True).text
    text = desk.post(f"{page}offers/{offer.pk}/answer/", {"answer": "no", "reason": "price"}, follow=True).text
    assert "The price does not fit" in text
    assert Match.objects.get().state == "declined"
    assert DeskNote.objects.count() == 2
