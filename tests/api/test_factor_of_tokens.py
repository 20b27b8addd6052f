"""A coordinator's token that somebody found in a file decides nothing by itself: attacks with it."""

import time
from typing import Any

import pytest
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value
from django.core.cache import cache
from django.test import Client
from pytest_django import Settings

from apps.accounts.models import Organisation, User
from apps.accounts.services import issue_token
from tests.factories import OrganisationFactory

pytestmark = pytest.mark.django_db

SECRET = "JBSWY3DPEHPK3PXP"


@pytest.fixture(autouse=True)
def required(settings: Settings) -> None:
    settings.REQUIRE_SECOND_FACTOR = True
    # A code may be made just before the half minute is over.
    settings.MFA_TOTP_TOLERANCE = 1
    cache.clear()


@pytest.fixture
def code(coordinator: User) -> str:
    """The present code of the coordinator's authenticator app."""
    TOTP.activate(coordinator, SECRET)
    return format_hotp_value(hotp_value(SECRET, int(time.time()) // 30))


@pytest.fixture
def clinic(db: None) -> Organisation:
    return OrganisationFactory.create(kind="health_facility", unverified=True)


def decide(coordinator: User, clinic: Organisation, **said: str) -> Any:
    _token, text = issue_token(coordinator, name="desk", scopes=["read", "write"])
    path, headers = f"/api/v1/organisations/{clinic.pk}/verify/", {"authorization": f"Bearer {text}"}
    return Client().post(path, said, "application/json", headers=headers)


def test_a_token_verifies_only_with_a_code_and_each_code_once(
    coordinator: User, clinic: Organisation, code: str
) -> None:
    assert decide(coordinator, clinic).json()["code"] == "factor_code_required"
    assert decide(coordinator, clinic, factor_code="000000").status_code == 403

    assert decide(coordinator, clinic, factor_code=code).json()["state"] == "verified"
    other = OrganisationFactory.create(kind="community", unverified=True)
    assert decide(coordinator, other, factor_code=code).json()["code"] == "factor_code_required"


def test_who_has_a_token_may_not_guess_codes_for_ever(coordinator: User, clinic: Organisation, code: str) -> None:
    for _ in range(5):
        decide(coordinator, clinic, factor_code="000000")
    refused = decide(coordinator, clinic, factor_code=code)
    assert (refused.status_code, refused["Retry-After"]) == (429, "300")
