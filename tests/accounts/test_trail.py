"""What changes in accounts is in the audit trail, whichever way it changed. Each test goes past the services."""

from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.db import connection
from django.test import Client
from knox.crypto import hash_token

from apps.accounts.models import ApiToken, Membership, Organisation, User
from apps.accounts.permissions import Role
from apps.accounts.services import change_role, issue_token, revoke_token
from apps.core.models import AuditEntry
from tests.factories import PASSWORD, UserFactory, member

pytestmark = pytest.mark.django_db


def told(about: User | Organisation, event: str) -> list[dict[str, Any]]:
    entries = AuditEntry.objects.filter(target_type=about._meta.label_lower, target_id=str(about.pk), event=event)
    return [entry.data for entry in entries.order_by("pk")]


def test_an_address_that_comes_is_confirmed_and_goes_is_noted(buyer: User) -> None:
    address = EmailAddress.objects.create(user=buyer, email="new@example.org")
    EmailAddress.objects.filter(pk=address.pk).update(verified=True)
    address.delete()

    assert told(buyer, "address.added") == [
        {"email": "new@example.org", "to": {"email": "new@example.org", "verified": False, "primary": False}}
    ]
    assert told(buyer, "address.changed") == [
        {"email": "new@example.org", "from": {"verified": False}, "to": {"verified": True}}
    ]
    assert len(told(buyer, "address.removed")) == 1


def test_a_factor_that_comes_and_goes_is_noted_without_its_secret(buyer: User) -> None:
    factor = Authenticator.objects.create(user=buyer, type=Authenticator.Type.TOTP, data={"secret": "S3CR3T"})
    factor.delete()

    assert told(buyer, "factor.added") == [{"type": "totp", "to": {}}]
    assert told(buyer, "factor.removed") == [{"type": "totp", "from": {}}]


def test_a_token_is_noted_when_made_widened_and_revoked_and_not_when_used(buyer: User) -> None:
    token, text = issue_token(buyer, name="pull", scopes=["read"])
    ApiToken.objects.filter(pk=token.pk).update(scopes=["read", "write"])
    ApiToken.objects.filter(pk=token.pk).update(last_used_at=token.created)
    revoke_token(token, by=buyer)

    [made], [widened], [_revoked] = (told(buyer, f"token.{what}") for what in ("added", "changed", "removed"))
    assert made["to"]["scopes"] == ["read"]
    assert (widened["from"], widened["to"]) == ({"scopes": ["read"]}, {"scopes": ["read", "write"]})
    assert text not in str(made)
    assert hash_token(text) not in str(made)


def test_a_role_given_in_the_database_itself_is_noted(hospital: Organisation) -> None:
    person = UserFactory.create()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO accounts_membership (user_id, organisation_id, role) VALUES (%s, %s, 'viewer')",
            [person.pk, hospital.pk],
        )
        cursor.execute("UPDATE accounts_membership SET role = 'manager' WHERE user_id = %s", [person.pk])
        cursor.execute("UPDATE accounts_membership SET role = 'manager' WHERE user_id = %s", [person.pk])
    Membership.objects.filter(user=person).delete()

    assert told(hospital, "member.added")[-1]["user_id"] == person.pk
    assert told(hospital, "member.changed") == [
        {"user_id": person.pk, "from": {"role": "viewer"}, "to": {"role": "manager"}}
    ]
    assert told(hospital, "member.removed")[-1]["from"]["role"] == "manager"


def test_services_say_who_acts_outside_a_request_too(hospital: Organisation, buyer: User) -> None:
    person = member(hospital, Role.VIEWER)
    change_role(Membership.objects.get(user=person), Role.MEMBER, by=buyer)

    assert AuditEntry.objects.get(event="member.changed").actor == buyer


def test_a_verification_without_the_desk_is_noted(hospital: Organisation) -> None:
    Organisation.objects.filter(pk=hospital.pk).update(state="unverified", state_reason="A test.")

    [noted] = told(hospital, "verification.changed")
    assert (noted["from"]["state"], noted["to"]["state"]) == ("verified", "unverified")


def test_new_rights_and_passwords_are_noted_without_the_password(buyer: User) -> None:
    before = buyer.password
    buyer.set_password("a wholly new one")
    buyer.is_staff = True
    buyer.save()

    [noted] = told(buyer, "user.changed")
    assert noted["to"] == {"is_staff": True, "password": None}
    assert before not in str(noted)
    assert buyer.password not in str(noted)


@pytest.mark.django_db(transaction=True)
def test_the_trail_names_who_acts_in_a_request_and_only_there(client: Client, buyer: User) -> None:
    client.force_login(buyer)
    client.post("/account/reauthenticate/", {"password": PASSWORD})
    client.post("/account/tokens/", {"name": "pull", "scopes": ["read"], "days": "30", "region": ""})

    made = AuditEntry.objects.get(event="token.added")
    assert (made.actor, made.target_id) == (buyer, str(buyer.pk))
    # On the same connection, and nobody's request.
    ApiToken.objects.update(scopes=["write"])
    assert AuditEntry.objects.get(event="token.changed").actor is None


def test_a_program_is_named_by_its_token(client: Client, buyer: User, hospital: Organisation) -> None:
    other = member(hospital, Role.MEMBER, email="other@example.org")
    _token, text = issue_token(other, name="pull", scopes=["tokens", "read", "write"])
    client.force_login(buyer)  # a cookie that the API does not look at beside a token
    response = client.post(
        "/api/v1/tokens/",
        {"name": "child", "scopes": ["read"], "lasts_days": 1},
        "application/json",
        headers={"Authorization": f"Bearer {text}"},
    )

    assert response.status_code == 201, response.text
    assert AuditEntry.objects.filter(event="token.added").latest("pk").actor == other
