"""A token opens what it was made for, and nothing by a side door."""

from collections.abc import Callable
from typing import Any

import pytest

from apps.accounts.models import Organisation, User
from apps.accounts.permissions import Role
from apps.notifications.models import WebhookEndpoint
from apps.notifications.services import add_webhook
from tests.factories import MatchFactory, MembershipFactory, OfferFactory, region

pytestmark = pytest.mark.django_db

Call = Callable[..., Any]


def test_a_token_for_one_region_reaches_no_webhook_of_another(
    call: Call, hospital: Organisation, maker: Organisation, buyer: User
) -> None:
    MembershipFactory.create(user=buyer, organisation=maker, role=Role.MANAGER)
    here = add_webhook(hospital, url="https://here.example.org/", events=[], by=buyer)
    there = add_webhook(maker, url="https://there.example.org/", events=[], by=buyer)
    in_hubei = call(buyer, region=region("420000"))

    listed = in_hubei.get("/webhooks/").json()["results"]

    assert [row["id"] for row in listed] == [str(here.pk)]
    assert in_hubei.delete(f"/webhooks/{there.pk}/").status_code == 404
    assert WebhookEndpoint.objects.filter(pk=there.pk).exists()


def test_a_kept_answer_with_contacts_is_not_shown_without_the_scope(
    call: Call, hospital: Organisation, maker: Organisation, supplier: User
) -> None:
    match = MatchFactory.create(offer=OfferFactory.create(organisation=maker))
    path, key = f"/matches/{match.pk}/accept/", {"Idempotency_Key": "one"}
    whole, narrow = call(supplier), call(supplier, scopes=["read", "write"])
    assert whole.post(path, {}, **key).json()["contact"]

    again = narrow.post(path, {}, **key)

    assert (again.status_code, again.json()["code"]) == (409, "idempotency_key_reused")
    assert whole.post(path, {}, **key)["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize("depth", [100, 500, 800, 900, 950, 980, 990, 2000])
def test_json_of_any_depth_is_answered(call: Call, buyer: User, depth: int) -> None:
    body = b"[" * depth + b"]" * depth

    assert call(buyer)("POST", "/demands/", body, Idempotency_Key=f"deep {depth}").status_code == 400


@pytest.mark.parametrize("query", ["", "?lang=zh-hans", "?lang=..%00"])
def test_the_description_of_the_api_is_made_once_whatever_is_asked(call: Call, query: str) -> None:
    answer = call().get(f"/schema/{query}")

    assert answer.status_code == 200
    assert answer["Content-Disposition"] == 'inline; filename="CosmoMatch.yaml"'
    assert answer.content == call().get(f"/schema/{query}").content


def test_a_version_of_the_description_cannot_be_asked_for(call: Call) -> None:
    answer = call().get("/schema/?version=a%0d%0aX:%201")

    assert (answer.status_code, answer.json()["code"], "X" in answer) == (400, "unknown_parameter", False)
