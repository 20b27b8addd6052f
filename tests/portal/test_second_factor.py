"""Whoever sees or decides beyond one organisation needs more than a password. Each test is an attack with one."""

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value, yield_hotp_counters_from_time
from allauth.mfa.utils import decrypt
from django.test import Client
from pytest_django import Settings

from apps.accounts.models import User
from apps.accounts.services import issue_token

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

    assert client.get(page)["Location"] == "/account/2fa/"
    assert client.get("/api/v1/demands/").json()["code"] == "second_factor_required"
    assert client.get("/account/2fa/", follow=True).status_code == 200
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


def test_the_secrets_of_factors_are_sealed_in_the_database(stranger: User, settings: Settings) -> None:
    factor = TOTP.activate(stranger, "JBSWY3DPEHPK3PXP").instance
    codes = RecoveryCodes.activate(stranger).instance

    kept = str([factor.data, codes.data])
    assert "JBSWY3DPEHPK3PXP" not in kept
    assert decrypt(factor.data["secret"]) == "JBSWY3DPEHPK3PXP"
    assert len(RecoveryCodes(codes).get_unused_codes()) == 10

    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another", [settings.SECRET_KEY]
    assert decrypt(factor.data["secret"]) == "JBSWY3DPEHPK3PXP", "while the key is changed, the old one still opens"


def test_a_secret_from_before_the_seal_is_still_read() -> None:
    assert decrypt("JBSWY3DPEHPK3PXP") == "JBSWY3DPEHPK3PXP"


def test_a_code_works_once_and_half_a_minute(stranger: User) -> None:
    factor = TOTP.activate(stranger, "JBSWY3DPEHPK3PXP")
    counter = next(yield_hotp_counters_from_time())
    of_now = format_hotp_value(hotp_value("JBSWY3DPEHPK3PXP", counter))
    of_before = format_hotp_value(hotp_value("JBSWY3DPEHPK3PXP", counter - 1))

    assert [factor.validate_code(code) for code in (of_before, of_now, of_now)] == [False, True, False]


def test_the_page_of_passkeys_opens(client: Client, settings: Settings, buyer: User) -> None:
    settings.REQUIRE_SECOND_FACTOR = False
    client.force_login(buyer)

    assert client.get("/account/2fa/webauthn/").status_code == 200
