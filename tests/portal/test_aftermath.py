"""Somebody had an account for a while: what they did for its organisation is undone, or told to those who judge it."""

import pytest
from django.db import connection
from django.test import Client

from apps.accounts.invitations import accept_invitation, invite
from apps.accounts.models import Invitation, Organisation, User
from apps.accounts.services import change_role, remove_member
from apps.demands.services import cancel_demand
from apps.notifications.models import Message
from apps.notifications.rendering import render_mail
from apps.notifications.services import add_webhook
from tests.factories import DemandFactory, UserFactory, member
from tests.portal.test_takeover import found, freeze_link, notices, owner, take_over  # noqa: F401  fixtures are found by name

pytestmark = pytest.mark.django_db


def freeze() -> None:
    Client().post(freeze_link(notices("address")[0]))


def happened_yesterday() -> None:
    """All that the trail has so far."""
    with connection.cursor() as cursor:
        # Past the trigger that lets nobody change it.
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE core_auditentry SET at = at - interval '1 day'")
        cursor.execute("SET LOCAL session_replication_role = origin")


@pytest.fixture
def chief(hospital: Organisation) -> User:
    return member(hospital, "manager", email="chief@example.org")


def roles(hospital: Organisation) -> dict[str, str]:
    return dict(hospital.memberships.values_list("user__email", "role"))


def test_a_freeze_gives_roles_back_and_invites_who_was_taken_out(
    found: Client,  # noqa: F811  the fixture
    hospital: Organisation,
    owner: User,  # noqa: F811  the fixture
    colleague: User,
    chief: User,
) -> None:
    before = roles(hospital)
    happened_yesterday()
    take_over(found)
    change_role(colleague.memberships.get(), "member", by=owner)
    change_role(colleague.memberships.get(), "manager", by=owner)
    remove_member(chief.memberships.get(), by=owner)
    # Whom the thief has let in and taken out again is not invited.
    accomplice = UserFactory.create(email="accomplice@example.org")
    joined = accept_invitation(invite(hospital, accomplice.email, role="manager", by=owner), by=accomplice)
    remove_member(joined, by=owner)

    freeze()

    assert roles(hospital) == {email: role for email, role in before.items() if email != chief.email}
    [invitation] = Invitation.objects.filter(state="open")
    assert (invitation.email, invitation.role) == (chief.email, "manager")
    accept_invitation(invitation, by=chief)
    assert roles(hospital) == before


def test_who_manages_no_longer_gives_nobody_a_role_by_a_freeze(
    found: Client,  # noqa: F811  the fixture
    hospital: Organisation,
    owner: User,  # noqa: F811  the fixture
    colleague: User,
    chief: User,
) -> None:
    happened_yesterday()
    take_over(found)
    change_role(colleague.memberships.get(), "member", by=owner)
    change_role(owner.memberships.get(), "member", by=chief)

    freeze()

    assert roles(hospital)[colleague.email] == "member"


def test_managers_and_desk_hear_what_the_thief_did(
    found: Client,  # noqa: F811  the fixture
    hospital: Organisation,
    owner: User,  # noqa: F811  the fixture
    chief: User,
    coordinator: User,
) -> None:
    earlier, need = [DemandFactory.create(organisation=hospital) for _ in range(2)]
    cancel_demand(earlier, by=owner)
    happened_yesterday()
    take_over(found)
    cancel_demand(need, by=owner)
    endpoint = add_webhook(hospital, url="https://evil.example.org/", by=owner)

    freeze()

    told = Message.objects.filter(event="account.frozen", channel="email")
    assert {message.address for message in told} == {chief.email, coordinator.email}
    for message in told:
        text = render_mail(message).text
        assert [word in text for word in ("Need cancelled", f"/needs/{need.pk}/", "Webhook added")] == [True] * 3
        assert f"/needs/{earlier.pk}/" not in text
    message.language = "zh-hans"
    assert "需求" in render_mail(message).text
    need.refresh_from_db()
    endpoint.refresh_from_db()
    assert (need.state, endpoint.is_active) == ("cancelled", False)


def test_nobody_is_bothered_where_the_thief_did_nothing(found: Client, chief: User, coordinator: User) -> None:  # noqa: F811  the fixture
    take_over(found)

    freeze()

    assert not Message.objects.filter(event="account.frozen").exists()
