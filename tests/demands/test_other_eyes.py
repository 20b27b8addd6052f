"""A draft that waits for a coordinator waits for another than who posted or changed it, or belongs to it: attacks."""

import pytest
from django.test import Client

from apps.accounts.models import Organisation, User
from apps.accounts.permissions import Role
from apps.accounts.services import add_member, issue_token
from apps.core.errors import RuleViolation
from apps.demands import services
from apps.demands.amending import amend_demand
from apps.demands.decisions import approve_demand
from apps.demands.lines import DemandLine
from apps.demands.models import Demand, DemandState
from apps.supply import review as offers
from apps.supply.amending import amend_offer
from tests.factories import ItemFactory, OfferFactory, member

pytestmark = pytest.mark.django_db

ABSURD = 10**11


@pytest.fixture
def second(coordinator: User) -> User:
    """Another coordinator of the same desk."""
    return member(coordinator.memberships.get().organisation, email="second@example.org")


def draft(hospital: Organisation, by: User, quantity: int = ABSURD) -> Demand:
    [posted] = services.post_demands(hospital, [DemandLine(item=ItemFactory.create(), quantity=quantity)], by=by)
    return posted


def test_who_posted_a_need_does_not_approve_it(hospital: Organisation, coordinator: User, second: User) -> None:
    held = services.open_demand(draft(hospital, coordinator), by=coordinator, quantity_confirmed=True)
    assert (held.state, held.awaits_review) == (DemandState.DRAFT, True)

    with pytest.raises(RuleViolation) as refused:
        approve_demand(held, by=coordinator)
    assert refused.value.code == "needs_other_eyes"
    assert approve_demand(held, by=second).state == DemandState.OPEN


def test_who_belongs_to_the_requester_does_not_approve(hospital: Organisation, buyer: User, coordinator: User) -> None:
    add_member(hospital, coordinator, role=Role.MEMBER, by=buyer)
    held = services.open_demand(draft(hospital, buyer), by=buyer, quantity_confirmed=True)

    with pytest.raises(RuleViolation) as refused:
        approve_demand(held, by=User.objects.get(pk=coordinator.pk))
    assert refused.value.code == "needs_other_eyes"


def test_who_changed_a_draft_does_not_approve_it(
    hospital: Organisation, buyer: User, coordinator: User, second: User
) -> None:
    plain = draft(hospital, buyer, quantity=100)
    changed = amend_demand(plain, by=coordinator, quantity=ABSURD)

    assert services.open_demand(changed, by=coordinator, quantity_confirmed=True).awaits_review
    assert approve_demand(Demand.objects.get(), by=second).state == DemandState.OPEN


def test_who_changed_an_offer_does_not_approve_it(coordinator: User, second: User) -> None:
    offer = OfferFactory.create(draft=True)
    assert offers.reviews(offer, coordinator)
    amend_offer(offer, by=coordinator, quantity=9000)

    assert (offers.reviews(offer, coordinator), offers.reviews(offer, second)) == (False, True)


def test_the_desk_says_that_somebody_else_has_to_look(
    client: Client, hospital: Organisation, coordinator: User
) -> None:
    held = services.open_demand(draft(hospital, coordinator), by=coordinator, quantity_confirmed=True)
    client.force_login(coordinator)

    shown = client.post(f"/desk/needs/{held.pk}/open/", {"seen": held.updated_at.isoformat()}, follow=True)

    assert "another coordinator has to look at it" in shown.text


def test_the_api_opens_what_was_seen(client: Client, hospital: Organisation, buyer: User, coordinator: User) -> None:
    held = services.open_demand(draft(hospital, buyer), by=buyer, quantity_confirmed=True)
    _token, text = issue_token(coordinator, name="desk", scopes=["read", "write"])
    headers = {"authorization": f"Bearer {text}"}
    seen = client.get(f"/api/v1/demands/{held.pk}/", headers=headers).json()["updated_at"]
    amend_demand(held, by=buyer, quantity=ABSURD * 2)

    path, said = f"/api/v1/demands/{held.pk}/open/", {"updated_at": seen}
    answer = client.post(path, said, "application/json", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (409, "state_changed")

    said = {"updated_at": client.get(f"/api/v1/demands/{held.pk}/", headers=headers).json()["updated_at"]}
    assert client.post(path, said, "application/json", headers=headers).json()["state"] == "open"
