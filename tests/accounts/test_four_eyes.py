"""Nobody decides alone: each test is an attack by somebody who has one of the two pairs of eyes."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission as ModelPermission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts import invitations, services
from apps.accounts.models import Invitation, Membership, Organisation, OrganisationState, User
from apps.accounts.permissions import OrganisationKind, Permission, Role, can
from apps.accounts.services import issue_token
from apps.core.errors import RuleViolation
from apps.core.models import AuditEntry
from tests.documents import PDF
from tests.factories import CALL_BACK, OrganisationFactory, UserFactory, member, region

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk_below(db: None) -> Organisation:
    """A verified desk of Hubei, with a manager and a viewer."""
    desk = OrganisationFactory.create(kind=OrganisationKind.COORDINATOR, region=region("420000"), name="Hubei desk")
    member(desk)
    member(desk, Role.VIEWER, email="viewer@example.org")
    return desk


@pytest.fixture(params=["government", "desk"])
def office(request: pytest.FixtureRequest, partner: User, desk_below: Organisation) -> Organisation:
    return partner.memberships.get().organisation if request.param == "government" else desk_below


# Other desks and governments


def test_a_desk_manages_no_other_office_on_its_pages(client: Client, coordinator: User, office: Organisation) -> None:
    assert can(coordinator, Permission.VIEW, office)
    client.force_login(coordinator)
    own = f"/organisation/{office.pk}/"

    answers = [
        client.post(f"{own}members/", {"member-email": "mine@example.org", "member-role": "manager"}),
        client.post(f"{own}edit/", {"name": "Mine", "kind": office.kind, "region": office.region_id}),
        client.post(f"{own}webhooks/", {"webhook-url": "https://example.org/"}),
    ]

    assert [answer.status_code for answer in answers] == [403, 403, 403]
    assert not Invitation.objects.exists()


def test_a_desk_manages_no_other_office_by_the_api(client: Client, coordinator: User, office: Organisation) -> None:
    _token, text = issue_token(coordinator, name="desk", scopes=["read", "write"])

    answer = client.patch(
        f"/api/v1/organisations/{office.pk}/",
        {"contact_phone": "mine"},
        "application/json",
        headers={"authorization": f"Bearer {text}"},
    )

    assert answer.json()["code"] == "not_allowed"
    office.refresh_from_db()
    assert office.contact_phone != "mine"


def test_staff_manage_no_office_in_the_back_office(client: Client, office: Organisation) -> None:
    clerk = UserFactory.create(is_staff=True, email="clerk@example.org")
    clerk.user_permissions.set(ModelPermission.objects.filter(content_type__app_label="accounts"))
    client.force_login(clerk)
    membership = office.memberships.order_by("-pk")[0]

    invite = {"organisation": office.pk, "email": "mine@example.org", "role": "manager"}
    client.post(reverse("admin:accounts_invitation_add"), invite)
    client.post(reverse("admin:accounts_membership_change", args=[membership.pk]), {"role": "manager"})
    client.post(
        reverse("admin:accounts_membership_changelist"), {"action": "remove", "_selected_action": [membership.pk]}
    )
    inlines = {"memberships-TOTAL_FORMS": 0, "memberships-INITIAL_FORMS": 0}
    inlines |= {"evidence-TOTAL_FORMS": 0, "evidence-INITIAL_FORMS": 0}
    facts = {"name": "Mine", "kind": office.kind, "identifier_kind": "other", "region": office.region_id}
    said = client.post(reverse("admin:accounts_organisation_change", args=[office.pk]), facts | inlines, follow=True)

    assert "Only its own managers" in said.text
    assert not Invitation.objects.exists()
    assert Membership.objects.get(pk=membership.pk).role == membership.role
    assert Organisation.objects.get(pk=office.pk).name == office.name


def test_its_own_managers_and_superusers_manage_an_office(office: Organisation) -> None:
    manager = office.memberships.order_by("pk")[0].user
    root = UserFactory.create(is_superuser=True)
    for by in (manager, root):
        invitations.invite(office, f"new{by.pk}@example.org", role=Role.MEMBER, by=by)
    assert Invitation.objects.count() == 2


def test_nobody_accepts_an_invitation_of_their_own(office: Organisation) -> None:
    root = UserFactory.create(is_superuser=True)
    invitation = invitations.invite(office, root.email, role=Role.MANAGER, by=root)

    with pytest.raises(RuleViolation) as refused:
        invitations.accept_invitation(invitation, by=root)

    assert refused.value.code == "invitation_own"
    assert not root.memberships.exists()


# Verifying


@pytest.fixture
def second(coordinator: User) -> User:
    """Another coordinator of the same desk."""
    return member(coordinator.memberships.get().organisation, email="second@example.org")


@pytest.fixture
def clinic(db: None) -> Organisation:
    return OrganisationFactory.create(kind="health_facility", unverified=True, state=OrganisationState.PENDING)


def refusal(organisation: Organisation, by: User, **more: Any) -> str:
    organisation = Organisation.objects.get(pk=organisation.pk)
    with pytest.raises(RuleViolation) as refused:
        services.verify_organisation(organisation, by=by, **more)
    # By hand too: the database says no. A savepoint, so that the test goes on.
    by_hand = Organisation.objects.filter(pk=organisation.pk)
    with pytest.raises(IntegrityError), transaction.atomic():
        by_hand.update(state=OrganisationState.VERIFIED, verified_at=timezone.now(), verified_by=by)
    return refused.value.code


def test_who_registered_it_does_not_verify_it(coordinator: User, second: User) -> None:
    caller = services.register_organisation(
        by=coordinator, joins=False, name="Caller", kind="community", region=region("420106")
    )
    assert refusal(caller, coordinator) == "needs_other_eyes"
    services.verify_organisation(caller, by=second)


def test_who_belongs_or_has_belonged_does_not_verify_it(coordinator: User, second: User, clinic: Organisation) -> None:
    services.add_member(clinic, coordinator, role=Role.MEMBER, by=second)
    assert refusal(clinic, coordinator) == "needs_other_eyes"
    services.leave_organisation(coordinator.memberships.get(organisation=clinic))
    assert refusal(clinic, coordinator) == "needs_other_eyes"
    services.verify_organisation(clinic, by=second)


def test_who_changed_the_contact_does_not_verify_it(coordinator: User, second: User, clinic: Organisation) -> None:
    services.amend_organisation(clinic, by=coordinator, contact_phone="my own number")
    assert refusal(clinic, coordinator) == "needs_other_eyes"

    # Once somebody else has looked at all of it, the first may renew the verification.
    clinic.refresh_from_db()
    services.verify_organisation(clinic, by=second)
    services.clear_verification(clinic, by=None, reason="Run out")
    services.verify_organisation(clinic, by=coordinator)


def test_who_gave_the_document_does_not_verify_it(coordinator: User, clinic: Organisation) -> None:
    services.add_evidence(clinic, SimpleUploadedFile("licence.pdf", PDF), by=coordinator)
    assert refusal(clinic, coordinator) == "needs_other_eyes"


def test_the_desk_does_not_offer_what_its_coordinator_may_not_do(
    client: Client, coordinator: User, clinic: Organisation
) -> None:
    client.force_login(coordinator)
    page = f"/desk/organisations/{clinic.pk}/"
    assert "verify-call_back" in client.get(page).text
    services.amend_organisation(clinic, by=coordinator, contact_phone="my own number")
    shown = client.get(page).text
    assert "verify-call_back" not in shown
    assert "somebody else has to verify it" in shown


def test_a_hospital_needs_a_document_or_a_call_to_a_number_of_a_register(coordinator: User) -> None:
    hospital = OrganisationFactory.create(unverified=True, identifier="X1", identifier_kind="other")
    assert refusal(hospital, coordinator) == "evidence_missing"
    assert refusal(hospital, coordinator, call_back="called them") == "call_back_vague"

    services.verify_organisation(hospital, by=coordinator, call_back=CALL_BACK)
    hospital.refresh_from_db()
    assert hospital.call_back == CALL_BACK
    assert AuditEntry.objects.get(event="organisation.verified").data["call_back"] == CALL_BACK

    documented = OrganisationFactory.create(unverified=True)
    services.add_evidence(documented, SimpleUploadedFile("a.pdf", PDF), by=member(documented))
    services.verify_organisation(documented, by=coordinator)


@pytest.mark.parametrize("field", ["contact_name", "contact_phone", "contact_email"])
def test_a_changed_contact_asks_for_verification_anew(hospital: Organisation, buyer: User, field: str) -> None:
    changed = services.amend_organisation(hospital, by=buyer, **{field: "thief@example.org"})
    assert (changed.state, changed.verified_at) == (OrganisationState.UNVERIFIED, None)


# What was seen


def amended_unseen(clinic: Organisation) -> str:
    """The version that a coordinator saw; then a manager made the clinic another one."""
    seen = clinic.updated_at.isoformat()
    owner = member(clinic)
    services.amend_organisation(clinic, by=owner, name="Ministry")
    services.submit_for_verification(Organisation.objects.get(pk=clinic.pk), by=owner)
    return seen


@pytest.mark.parametrize("action", ["verify", "reject"])
def test_the_api_does_not_decide_on_what_was_not_seen(
    client: Client, coordinator: User, clinic: Organisation, action: str
) -> None:
    Organisation.objects.filter(pk=clinic.pk).update(identifier="X1", identifier_kind="other")
    _token, text = issue_token(coordinator, name="desk", scopes=["read", "write"])
    headers = {"authorization": f"Bearer {text}"}
    path = f"/api/v1/organisations/{clinic.pk}/"
    seen = client.get(path, headers=headers).json()["updated_at"]
    clinic.refresh_from_db()
    amended_unseen(clinic)
    reason = {"reason": "No"} if action == "reject" else {}

    answer = client.post(f"{path}{action}/", {"updated_at": seen, **reason}, "application/json", headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (409, "state_changed")
    seen = client.get(path, headers=headers).json()["updated_at"]
    answer = client.post(f"{path}{action}/", {"updated_at": seen, **reason}, "application/json", headers=headers)
    assert answer.status_code == 200, answer.content


def test_the_desk_does_not_reject_what_was_not_seen(client: Client, coordinator: User, clinic: Organisation) -> None:
    Organisation.objects.filter(pk=clinic.pk).update(identifier="X1", identifier_kind="other")
    clinic.refresh_from_db()
    seen = amended_unseen(clinic)
    client.force_login(coordinator)

    form = {"reject-reason": "No", "reject-seen": seen}
    answer = client.post(f"/desk/organisations/{clinic.pk}/reject/", form, follow=True)

    assert "has just changed" in answer.text
    assert Organisation.objects.get(pk=clinic.pk).state == OrganisationState.PENDING
