"""Whoever finds the session of one of the staff open, or is one of them, takes no account. Each test is an attack."""

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import Invitation, User
from apps.notifications.models import Message
from apps.notifications.services import queue_pending_notices
from tests.factories import PASSWORD, UserFactory
from tests.portal.conftest import give_password
from tests.test_admin import clerk, page

pytestmark = pytest.mark.django_db


@pytest.fixture
def root(db: None) -> User:
    return UserFactory.create(email="root@example.org", is_staff=True, is_superuser=True)


@pytest.fixture
def found(client: Client, root: User) -> Client:
    """The browser of a superuser, left open for a while."""
    client.force_login(root)
    return client


def take(client: Client, owner: User) -> bool:
    """Set another password and address on the pages of a user. Whether either was set."""
    new = "another long sentence of words"
    path = reverse("admin:auth_user_password_change", args=[owner.pk])
    client.post(path, {"password1": new, "password2": new, "usable_password": "true"})
    client.post(
        page(User, "change", owner.pk),
        {
            "email": "evil@example.org", "name": "N", "language": "en", "time_zone": "UTC", "is_active": "on",
            "is_superuser": "on", "is_staff": "on", "memberships-TOTAL_FORMS": 0, "memberships-INITIAL_FORMS": 0,
        },
    )  # fmt: skip
    before, owner = owner.email, User.objects.get(pk=owner.pk)
    return owner.email != before or not owner.check_password(PASSWORD)


def test_staff_take_no_desk_by_setting_its_password(client: Client, coordinator: User, partner: User) -> None:
    client.force_login(clerk("view_user", "change_user"))
    client.post("/account/reauthenticate/", {"password": PASSWORD})
    assert [take(client, owner) for owner in (coordinator, partner)] == [False, False]


def test_an_open_session_of_staff_takes_no_account(found: Client, root: User, buyer: User) -> None:
    assert [take(found, owner) for owner in (root, buyer)] == [False, False]
    found.post(
        page(Invitation, "add"),
        {"organisation": buyer.grants[0].organisation_id, "email": "a@b.example", "role": "manager"},
    )
    assert not Invitation.objects.exists()

    new = "another long sentence of words"
    found.post(reverse("admin:password_change"), {"old_password": PASSWORD, "new_password1": new, "new_password2": new})
    root.refresh_from_db()
    assert root.check_password(PASSWORD), "the page of the account counts guesses and tells the owner"


def test_who_has_a_password_set_by_staff_is_told(found: Client, buyer: User) -> None:
    give_password(found)
    new = "another long sentence of words"
    path = reverse("admin:auth_user_password_change", args=[buyer.pk])
    found.post(path, {"password1": new, "password2": new, "usable_password": "true"})
    buyer.refresh_from_db()
    assert buyer.check_password(new)
    queue_pending_notices()
    [told] = Message.objects.filter(event="account.changed")
    assert (told.address, told.context["change"]) == (buyer.email, "password")
