"""Every address of the portal, as everybody who must not get anywhere with it."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.invitations import invite
from apps.accounts.models import Evidence, Organisation, User
from apps.accounts.services import issue_token
from apps.core import audit
from apps.duplicates.models import DuplicateProposal, OrganisationMerge
from apps.fulfilment import services as fulfilment
from apps.notifications.models import Message, Notification
from apps.notifications.services import add_webhook
from apps.policy.services import draft_policy
from apps.portal import urls
from apps.reports.services import file_report
from apps.reports.subjects import subject_for
from apps.supply.importing import request_import
from tests.factories import DemandFactory, MatchFactory, OfferFactory

pytestmark = pytest.mark.django_db

SECRETS = ("Wuchang Hospital", "Shenzhen Maker", "13812345678", "13887654321", "N-SECRET00", "secret-name")
# Signed links are their own key, and are tested with the answers and the invitations.
BY_SIGNATURE = {"answer", "invitation"}


def patterns(urlpatterns: list[Any]) -> Iterator[tuple[str, list[str]]]:
    """The name of every address of the portal's own, and the arguments it takes."""
    for url in urlpatterns:
        if hasattr(url, "url_patterns"):
            yield from patterns(url.url_patterns)
        elif url.callback.__module__.startswith("apps.portal") and url.name not in BY_SIGNATURE:
            yield url.name, list(url.pattern.converters)


ADDRESSES = list(patterns(urls.urlpatterns))


@pytest.fixture
def world(
    hospital: Organisation, maker: Organisation, buyer: User, supplier: User, coordinator: User
) -> dict[str, int | str]:
    """Something of others behind every argument that an address takes."""
    Organisation.objects.filter(pk=hospital.pk).update(contact_phone="13812345678")
    Organisation.objects.filter(pk=maker.pk).update(contact_phone="13887654321")
    demand = DemandFactory.create(organisation=hospital, reference="N-SECRET00", contact_name="secret-name")
    match = MatchFactory.create(demand=demand, offer=OfferFactory.create(organisation=maker))
    order = fulfilment.accept_match(match, by=supplier)
    token, _text = issue_token(buyer, name="ERP", scopes=["read"])
    evidence = Evidence.objects.create(organisation=hospital, document="evidence/1/x.pdf", uploaded_by=buyer)
    endpoint = add_webhook(hospital, url="https://hospital.example.org/hook", by=buyer)
    subject = subject_for(supplier, "order", order.pk)
    assert subject is not None
    report = file_report(subject, by=supplier, reason="not_reachable", note="Nobody answers 13812345678.")
    audit.acting(None)  # who acted last would be named for all that follows in the transaction of the test
    first, second = sorted((hospital, maker), key=lambda one: one.pk)
    merged = OrganisationMerge.objects.create(
        survivor=hospital, merged=maker, with_people=False, merged_by=coordinator, undone_at=timezone.now()
    )
    return {
        "needs": demand.pk,
        "supply": match.offer_id,
        "inbox": match.pk,
        "orders": order.pk,
        "organisation": hospital.pk,
        "desk/organisations": hospital.pk,
        "desk/needs": demand.pk,
        "desk/offers": match.offer_id,
        "desk/reports": report.pk,
        "reports": report.pk,
        "reports/new/organisation": hospital.pk,
        "kind": "organisation",
        "desk/messages": Message.objects.earliest("pk").pk,
        "desk/policy/drafts": draft_policy({}, based_on=1, by=coordinator).pk,
        "desk/duplicates": DuplicateProposal.objects.create(first=first, second=second, score=9, findings={}).pk,
        "desk/merges": merged.pk,
        "notifications": Notification.objects.earliest("pk").pk,
        "supply/import": request_import(maker, b"", by=supplier, language="en").pk,
        "evidence_pk": evidence.pk,
        "member_pk": buyer.memberships.get().pk,
        "invitation_pk": invite(hospital, "nurse@example.org", role="member", by=buyer).pk,
        "endpoint_pk": endpoint.pk,
        "key": token.token_key,
        "step": "cancel",
        "name": "verify",
        "number": 1,
    }


def address(name: str, arguments: list[str], world: dict[str, int | str]) -> str:
    values = {argument: world[argument] for argument in arguments if argument != "pk"}
    if "pk" not in arguments:
        return reverse(name, kwargs=values)
    prefix = reverse(name, kwargs={**values, "pk": 0}).strip("/").split("/0")[0]
    return reverse(name, kwargs={**values, "pk": world[prefix]})


def is_turned_away(client: Client, method: str, path: str, arguments: list[str]) -> bool:
    """Not there for this person; or a page of their own that shows nothing of others."""
    response = getattr(client, method)(path)
    if response.status_code in {404, 405}:
        return True
    if response.status_code == 302 and "/login/" in response["Location"]:
        return True
    # The page to log in itself, which keeps what was typed.
    if any(template.name == "account/login.html" for template in response.templates):
        return True
    if arguments:
        return False
    body = b"".join(response) if response.streaming else response.content
    return not any(secret.encode() in body for secret in SECRETS)


@pytest.mark.parametrize("who", ["nobody", "stranger", "rival", "far_partner"])
def test_no_address_gives_anything_of_others_away(
    who: str, world: dict[str, int | str], client: Client, request: pytest.FixtureRequest
) -> None:
    if who != "nobody":
        client.force_login(request.getfixturevalue(who))

    got_somewhere = [
        f"{method} {name}"
        for name, arguments in ADDRESSES
        for method in ("get", "post")
        if not is_turned_away(client, method, address(name, arguments, world), arguments)
    ]

    assert got_somewhere == []
    assert len(ADDRESSES) > 50


def test_the_owners_do_get_there(
    world: dict[str, int | str], client: Client, buyer: User, supplier: User, coordinator: User
) -> None:
    """Otherwise the walk above would prove nothing."""
    client.force_login(buyer)
    for name, key in (("need", "needs"), ("order", "orders"), ("organisation", "organisation")):
        assert client.get(reverse(name, args=[world[key]])).status_code == 200
    client.force_login(supplier)
    for name, key in (("offer", "supply"), ("match", "inbox"), ("order", "orders")):
        assert client.get(reverse(name, args=[world[key]])).status_code == 200
    client.force_login(coordinator)
    for name, key in (
        ("policy-draft", "desk/policy/drafts"),
        ("policy-edit", "desk/policy/drafts"),
        ("policy-version", "number"),
    ):
        assert client.get(reverse(name, args=[world[key]])).status_code == 200
