"""Whoever sees or decides beyond one organisation needs more than a password. Each test is an attack with one."""

import time
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.core.cache import cache
from django.test import Client
from pytest_django import Settings

from apps.accounts.models import Organisation, User
from apps.accounts.services import issue_token
from tests.factories import OrganisationFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def required(settings: Settings) -> None:
    settings.REQUIRE_SECOND_FACTOR = True


def token_of(user: User) -> Client:
    _token, text = issue_token(user, name="pull", scopes=["read", "exports"])
    return Client(headers={"authorization": f"Bearer {text}"})


@pytest.mark.parametrize(
    ("who", "page"), [("coordinator", "/desk/"), ("partner", "/partner/"), ("stranger", "/admin/")]
)
def test_a_password_alone_opens_no_desk(
    client: Client, request: pytest.FixtureRequest, who: str, page: str, stranger: User
) -> None:
    User.objects.filter(pk=stranger.pk).update(is_staff=True, is_superuser=True)
    user = request.getfixturevalue(who)
    client.force_login(user)

    assert client.get(page)["Location"] == "/account/2fa/totp/activate/"
    assert client.get("/api/v1/demands/").json()["code"] == "second_factor_required"
    assert client.get("/account/2fa/totp/activate/", follow=True).status_code == 200
    Authenticator.objects.create(user=user, type="totp", data={"secret": "JBSWY3DPEHPK3PXP"})
    assert client.get(page).status_code == 200


def test_a_token_of_a_desk_needs_the_factor_of_its_owner(partner: User) -> None:
    program = token_of(partner)

    assert program.get("/api/v1/demands/").json()["code"] == "second_factor_required"
    Authenticator.objects.create(user=partner, type="totp", data={"secret": "JBSWY3DPEHPK3PXP"})
    assert program.get("/api/v1/demands/").status_code == 200


def test_recovery_codes_alone_are_no_second_factor(client: Client, coordinator: User) -> None:
    Authenticator.objects.create(user=coordinator, type="recovery_codes", data={"seed": "x", "used_mask": 0})
    client.force_login(coordinator)

    assert client.get("/desk/").status_code == 302


def test_a_hospital_works_with_a_password(client: Client, buyer: User) -> None:
    client.force_login(buyer)

    assert client.get("/needs/").status_code == 200
    assert token_of(buyer).get("/api/v1/demands/").status_code == 200


def test_without_the_setting_a_password_is_enough(client: Client, coordinator: User, settings: Settings) -> None:
    settings.REQUIRE_SECOND_FACTOR = False
    client.force_login(coordinator)

    assert client.get("/desk/").status_code == 200


SECRET = "JBSWY3DPEHPK3PXP"


def code_of(user: User) -> str:
    Authenticator.objects.get_or_create(user=user, type="totp", defaults={"data": {"secret": SECRET}})
    return format_hotp_value(hotp_value(SECRET, int(time.time()) // 30))


def decide(coordinator: User, clinic: Organisation, **said: str) -> Any:
    _token, text = issue_token(coordinator, name="desk", scopes=["read", "write"])
    path, headers = f"/api/v1/organisations/{clinic.pk}/verify/", {"authorization": f"Bearer {text}"}
    return Client().post(path, said, "application/json", headers=headers)


@pytest.fixture
def clinic(db: None, settings: Settings) -> Organisation:
    # A code may be made just before the half minute is over.
    settings.MFA_TOTP_TOLERANCE = 1
    cache.clear()
    return OrganisationFactory.create(kind="health_facility", unverified=True)


def test_a_token_verifies_only_with_a_code_and_each_code_once(coordinator: User, clinic: Organisation) -> None:
    code = code_of(coordinator)
    assert decide(coordinator, clinic).json()["code"] == "factor_code_required"
    assert decide(coordinator, clinic, factor_code="000000").status_code == 403

    assert decide(coordinator, clinic, factor_code=code).json()["state"] == "verified"
    other = OrganisationFactory.create(kind="community", unverified=True)
    assert decide(coordinator, other, factor_code=code).json()["code"] == "factor_code_required"


def test_who_has_a_token_may_not_guess_codes_for_ever(coordinator: User, clinic: Organisation) -> None:
    code = code_of(coordinator)
    for _ in range(5):
        decide(coordinator, clinic, factor_code="000000")
    refused = decide(coordinator, clinic, factor_code=code)
    assert (refused.status_code, refused["Retry-After"]) == (429, "300")
