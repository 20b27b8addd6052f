"""Who came in, who was refused, who looked at what: each is in the audit trail."""

from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from apps.accounts.models import Membership, Organisation, User
from apps.accounts.permissions import Role
from apps.accounts.services import add_evidence, change_role
from apps.core.models import AuditEntry
from apps.duplicates.merging import merge_organisations
from apps.duplicates.models import DuplicateProposal
from apps.duplicates.services import dismiss_proposal
from apps.fulfilment.models import Order
from tests.documents import PDF
from tests.factories import PASSWORD, DemandFactory, MatchFactory, OfferFactory, OrganisationFactory, region
from tests.portal.conftest import Login, queries

pytestmark = pytest.mark.django_db


def told(event: str) -> list[tuple[User | None, str, dict[str, Any]]]:
    entries = AuditEntry.objects.filter(event=event).select_related("actor").order_by("pk")
    return [(entry.actor, entry.target_id, entry.data) for entry in entries]


@pytest.fixture
def visitor() -> Client:
    return Client(REMOTE_ADDR="203.0.113.7", headers={"user-agent": "Mozilla/5.0 (Windows NT) Firefox/140.0"})


HERE = {"network": "203.0.113.7", "browser": "Firefox, Windows"}


def test_log_in_and_log_out_are_noted(visitor: Client, buyer: User) -> None:
    visitor.post("/login/", {"login": buyer.email, "password": PASSWORD})
    visitor.post("/logout/")

    assert told("session.begun") == [(buyer, str(buyer.pk), HERE)]
    assert told("session.ended") == [(buyer, str(buyer.pk), HERE)]


def test_a_wrong_password_is_noted_with_the_account_alone(visitor: Client, buyer: User) -> None:
    visitor.post("/login/", {"login": buyer.email.upper(), "password": "a wrong guess of mine"})
    visitor.post("/login/", {"login": "nobody@example.org", "password": "a wrong guess of mine"})

    assert told("password.refused") == [(None, str(buyer.pk), HERE)]


def test_a_wrong_password_at_a_change_is_noted(visitor: Client, buyer: User) -> None:
    EmailAddress.objects.create(user=buyer, email=buyer.email, primary=True, verified=True)
    visitor.force_login(buyer)
    visitor.post("/account/reauthenticate/", {"password": "a wrong guess of mine"})

    assert told("password.refused") == [(None, str(buyer.pk), HERE)]


def test_a_wrong_password_at_its_change_is_noted_and_counted(visitor: Client, buyer: User, settings: Settings) -> None:
    # allauth's own limit of this page lets 300 guesses an hour pass.
    settings.ACCOUNT_RATE_LIMITS = settings.ACCOUNT_RATE_LIMITS | {"change_password": "50/m/user"}
    visitor.force_login(buyer)
    new = "another long sentence of words"
    for guess in ("a wrong guess of mine", *["another wrong guess"] * 7, PASSWORD):
        visitor.post("/account/password/change/", {"oldpassword": guess, "password1": new, "password2": new})

    assert told("password.refused")[0] == (None, str(buyer.pk), HERE)
    buyer.refresh_from_db()
    assert buyer.check_password(PASSWORD), "who guesses is stopped even with the right one"


def test_a_wrong_code_is_noted_and_nobody_came_in(visitor: Client, buyer: User) -> None:
    Authenticator.objects.create(user=buyer, type="totp", data={"secret": "JBSWY3DPEHPK3PXP"})
    visitor.post("/login/", {"login": buyer.email, "password": PASSWORD})
    visitor.post(reverse("mfa_authenticate"), {"code": "000000"})

    assert told("factor.refused") == [(None, str(buyer.pk), {"type": "totp", **HERE})]
    assert told("session.begun") == []


@pytest.mark.parametrize("answer", ['{"id": "x"}', '"x"', "[1]", '{"id": "x", "rawId": "eA", "type": "public-key"}'])
def test_a_passkey_that_is_refused_is_noted(visitor: Client, buyer: User, answer: str) -> None:
    Authenticator.objects.create(user=buyer, type="totp", data={"secret": "JBSWY3DPEHPK3PXP"})
    visitor.post("/login/", {"login": buyer.email, "password": PASSWORD})
    assert visitor.post(reverse("mfa_authenticate"), {"credential": answer}).status_code == 200
    assert told("factor.refused") == [(None, str(buyer.pk), {"type": "webauthn", **HERE})]
    assert told("session.begun") == []

    # No device is added by it either.
    visitor.force_login(buyer)
    visitor.post("/account/reauthenticate/", {"password": PASSWORD})
    assert visitor.post(reverse("mfa_add_webauthn"), {"credential": answer}).status_code == 200


def test_evidence_that_is_opened_is_noted(
    log_in: Login, coordinator: User, hospital: Organisation, buyer: User
) -> None:
    found = add_evidence(hospital, SimpleUploadedFile("licence.pdf", PDF), by=buyer, note="Licence")
    log_in(coordinator).get(f"/organisation/{hospital.pk}/evidence/{found.pk}/")

    assert told("evidence.opened") == [(coordinator, str(hospital.pk), {"evidence": found.pk, "note": "Licence"})]


@pytest.fixture
def order(hospital: Organisation, maker: Organisation) -> Order:
    match = MatchFactory.create(
        demand=DemandFactory.create(organisation=hospital),
        offer=OfferFactory.create(organisation=maker),
        state="accepted",
        responded_at=timezone.now(),
    )
    return Order.objects.create(match=match, quantity=match.quantity)


def test_every_look_at_a_contact_is_noted_with_the_organisation(
    log_in: Login, order: Order, supplier: User, coordinator: User, maker: Organisation
) -> None:
    log_in(supplier).get(f"/orders/{order.pk}/")
    log_in(supplier).get(f"/orders/{order.pk}/")
    log_in(coordinator).get(f"/orders/{order.pk}/")

    assert [(actor, data["name"]) for actor, _match, data in told("contact.seen")] == [
        (supplier, "Shenzhen Maker"),
        (supplier, "Shenzhen Maker"),
        (coordinator, "National desk"),
    ]


@pytest.mark.parametrize("page", ["admin:accounts_organisation_change", "admin:demands_demand_change"])
def test_a_contact_opened_in_the_back_office_is_noted(client: Client, stranger: User, order: Order, page: str) -> None:
    User.objects.filter(pk=stranger.pk).update(is_staff=True, is_superuser=True)
    client.force_login(stranger)
    subject = order.match.demand if "demand" in page else order.match.demand.organisation
    client.get(reverse(page, args=[subject.pk]))

    assert [(actor, target) for actor, target, _data in told("contact.seen")] == [(stranger, str(subject.pk))]


# --- In words ---------------------------------------------------------------------------------------------------------


def lines(client: Client, path: str) -> list[tuple[str, str, str]]:
    response = client.get(path)
    assert response.status_code == 200, response.status_code
    return [(line.who, line.what, line.details) for line in response.context["lines"]]


def test_a_supplier_reads_which_organisation_saw_its_contact(
    log_in: Login, order: Order, buyer: User, supplier: User
) -> None:
    log_in(buyer).get(f"/orders/{order.pk}/")
    log_in(supplier).get(f"/orders/{order.pk}/")

    assert lines(log_in(supplier), f"/orders/{order.pk}/trail/") == [
        ("Supplier", "Saw the contact", ""),
        ("Wuchang Hospital", "Saw the contact", ""),
    ]
    assert ("Shenzhen Maker", "Saw the contact", "") in lines(log_in(buyer), f"/needs/{order.match.demand_id}/trail/")
    assert ("Wuchang Hospital", "Saw the contact", "") in lines(
        log_in(supplier), f"/supply/{order.match.offer_id}/trail/"
    )


def test_an_organisation_reads_who_changed_a_role_and_opened_a_document(
    log_in: Login, hospital: Organisation, buyer: User, colleague: User, coordinator: User
) -> None:
    found = add_evidence(hospital, SimpleUploadedFile("licence.pdf", PDF), by=buyer, note="Licence")
    log_in(coordinator).get(f"/organisation/{hospital.pk}/evidence/{found.pk}/")
    change_role(Membership.objects.get(user=colleague), Role.MEMBER, by=buyer)

    assert lines(log_in(buyer), f"/organisation/{hospital.pk}/trail/")[:2] == [
        ("Buyer", "Role changed", "Colleague · Viewer → Member"),
        ("National desk", "Document opened", "Licence"),
    ]


def test_a_note_for_coordinators_is_read_by_coordinators_alone(
    log_in: Login, hospital: Organisation, buyer: User, coordinator: User
) -> None:
    twin, other = OrganisationFactory.create(unverified=True), OrganisationFactory.create()
    merge_organisations(twin, hospital, by=coordinator, with_people=False, note="Their clerk told me.")
    proposal = DuplicateProposal.objects.create(first=hospital, second=other, score=9)
    dismiss_proposal(proposal, by=coordinator, note="Their rival told me.")
    page = f"/organisation/{hospital.pk}/trail/"

    told = {what: details for _who, what, details in lines(log_in(buyer), page)}
    assert (told["Organisations merged"], told["Found not to be a duplicate"]) == ("", "")
    told = {what: details for _who, what, details in lines(log_in(coordinator), page)}
    assert told["Organisations merged"] == "Their clerk told me."
    assert told["Found not to be a duplicate"] == "Their rival told me."


def test_a_person_reads_who_was_refused_at_their_account(visitor: Client, log_in: Login, buyer: User) -> None:
    visitor.post("/login/", {"login": buyer.email, "password": "a wrong guess of mine"})

    assert lines(log_in(buyer), "/account/trail/")[0] == (
        "Unknown",
        "Wrong password",
        "203.0.113.7 · Firefox, Windows",
    )


def test_a_coordinator_searches_and_takes_out_the_trail_of_its_region_only(
    log_in: Login, order: Order, buyer: User, coordinator: User, far_partner: User
) -> None:
    log_in(buyer).get(f"/orders/{order.pk}/")
    desk = log_in(coordinator)

    assert ("Buyer (Wuchang Hospital)", "Saw the contact", "") in lines(
        desk, "/desk/trail/?q=Wuchang&event=contact.seen"
    )
    assert lines(desk, f"/desk/trail/?q={order.match.demand.reference}&who=supplier@example.org") == []
    file = desk.get("/desk/trail/?q=Wuchang&event=contact.seen&format=csv").text.splitlines()
    assert file[0] == "at,actor,event,target_type,target_id,data"
    assert "buyer@example.org,contact.seen,matching.match" in file[1]
    assert told("trail.searched") == [(coordinator, str(coordinator.pk), {"note": "Wuchang", "rows": 1})]
    Organisation.objects.filter(kind="coordinator").update(region=region("440300"))
    assert lines(desk, "/desk/trail/?q=Wuchang") == []


def test_the_trail_costs_the_same_queries_at_every_length(log_in: Login, order: Order, supplier: User) -> None:
    reader = log_in(supplier)
    reader.get(f"/orders/{order.pk}/")
    few = queries(reader, f"/orders/{order.pk}/trail/")
    for _look in range(10):
        reader.get(f"/orders/{order.pk}/")

    assert queries(reader, f"/orders/{order.pk}/trail/") == few
