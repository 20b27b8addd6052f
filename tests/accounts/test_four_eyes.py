"""Nobody decides alone: each test is an attack by somebody who has one of the two pairs of eyes."""

import pytest
from django.contrib.auth.models import Permission as ModelPermission
from django.test import Client
from django.urls import reverse

from apps.accounts import invitations
from apps.accounts.models import Invitation, Membership, Organisation, User
from apps.accounts.permissions import OrganisationKind, Permission, Role, can
from apps.accounts.services import issue_token
from apps.core.errors import RuleViolation
from tests.factories import OrganisationFactory, UserFactory, member, region

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
