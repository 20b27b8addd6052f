"""What one network may leave behind in a day: registrations, and drafts that nobody has looked at."""

from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from apps.accounts import limits
from apps.accounts.limits import network_of
from apps.accounts.models import Organisation, User
from apps.accounts.services import issue_token
from apps.catalogue.models import Item
from apps.demands.models import Demand
from apps.supply.models import Offer
from tests.factories import PASSWORD, OrganisationFactory, SupplierFactory, member
from tests.portal.conftest import Login, lines

pytestmark = pytest.mark.django_db


def post(client: Client, user: User, path: str, data: Any) -> Any:
    _token, text = issue_token(user, name="test", scopes=["write"])
    headers = {"Authorization": f"Bearer {text}"}
    return client.post(f"/api/v1{path}", data, content_type="application/json", headers=headers)


def test_a_network_registers_few_accounts_a_day(client: Client, settings: Any) -> None:
    settings.ACCOUNT_RATE_LIMITS = {**settings.ACCOUNT_RATE_LIMITS, "registered": "2/d/key"}
    for number in range(4):
        # Another address of the same network, each time.
        answer = Client(REMOTE_ADDR=f"203.0.113.{number}").post(
            "/register/",
            {"name": "X", "email": f"x{number}@example.org", "password1": PASSWORD, "language": "en"},
        )

    assert "Too many people registered" in answer.text
    assert User.objects.count() == 2


def test_drafts_of_the_unverified_are_few_on_pages_and_over_the_api(
    client: Client, log_in: Login, mask: Item, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MOST_DRAFTS", 3)
    owner = member(OrganisationFactory.create(unverified=True))
    other = member(SupplierFactory.create(unverified=True))

    two = [{"item": mask.key, "quantity": 5}] * 2
    assert post(client, owner, "/demands/", two).status_code == 201
    page = log_in(owner).post("/needs/new/", lines(*[{"item": mask.pk, "quantity": "600"}] * 2))
    assert "Too much was saved from your network" in page.text
    refused = post(client, other, "/offers/", {"item": mask.key, "quantity": 5})

    assert (refused.status_code, refused.json()["code"], refused["Retry-After"]) == (429, "too_many_drafts", "3600")
    assert (Demand.objects.count(), Offer.objects.count()) == (2, 0)


def test_the_verified_post_as_much_as_they_need(
    client: Client, buyer: User, mask: Item, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MOST_DRAFTS", 1)

    assert post(client, buyer, "/demands/", [{"item": mask.key, "quantity": 5}] * 5).status_code == 201


def test_a_network_registers_few_organisations_a_day(
    client: Client, stranger: User, buyer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MOST_ORGANISATIONS", 1)
    facts = {"name": "A", "kind": "supplier", "region": "420106", "contact_phone": "13800000000"}

    answers = [post(client, user, "/organisations/", {**facts, "name": user.name}) for user in (stranger, buyer)]

    assert [answer.status_code for answer in answers] == [201, 429], answers[0].content
    assert Organisation.objects.filter(state="unverified").count() == 1


def test_without_redis_nobody_is_limited(settings: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_DRAFTS", 0)
    owner = OrganisationFactory.create(unverified=True)
    location = f"unix://{tmp_path}/none.sock?db=0"
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": location}}

    limits.count_drafts(owner, "203.0.113.7")
    settings.CACHES = {"default": {**settings.CACHES["default"]}}
    cache.close()


def test_a_network_is_a_line_of_a_provider() -> None:
    assert network_of("203.0.113.7") == "203.0.113.0/24"
    assert network_of("2001:db8:1:2:3::4") == "2001:db8:1:2::/64"
