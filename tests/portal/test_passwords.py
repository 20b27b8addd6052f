"""What may be a password, and what a password alone does not do: chapter 6 of OWASP ASVS 5.0."""

import re

import pytest
from allauth.mfa.models import Authenticator
from django.conf import settings as configured
from django.contrib.auth.password_validation import CommonPasswordValidator
from django.core import mail
from django.test import Client

from apps.accounts.models import User
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db

LONG = "Ein langer Satz, 一句很长的话 " * 4 + "! "
"""134 characters of several scripts, with spaces at both ends of words."""


def is_taken(password: str) -> bool:
    Client().post("/register/", {"name": "New", "email": "new@example.org", "password1": password, "language": "en"})
    return User.objects.filter(email="new@example.org").exists()


def logs_in(password: str) -> bool:
    return Client().post("/login/", {"login": "new@example.org", "password": password}).status_code == 302


def test_any_characters_and_length_make_a_password_and_none_is_cut() -> None:
    assert is_taken(LONG)

    assert logs_in(LONG)
    assert not logs_in(LONG[:-1]), "its last character counts"
    assert not logs_in(LONG.strip())
    assert not logs_in(LONG.lower())


@pytest.mark.parametrize(
    "password", ["short one", "CosmoMatch2026", "hospital-2026!", "wuhan-Masks-1", "relief.supply"]
)
def test_words_of_this_place_do_not_make_a_password(password: str) -> None:
    assert not is_taken(password)


@pytest.mark.parametrize("password", ["sunshine2026", "!!password1!!", "Qwerty-20201231"])
def test_a_common_word_with_digits_around_it_is_common(password: str) -> None:
    assert not is_taken(password)


@pytest.mark.parametrize(
    "password", ["letmeinplease", "WoAiZhongGuo", "zhangwei1985", "trustno1trustno1", "ilovechina2026!!", "wodemima123"]
)
def test_a_password_that_became_known_is_refused(password: str) -> None:
    """None of them is among the 20,000 of Django."""
    CommonPasswordValidator().validate(password)

    assert not is_taken(password)


@pytest.mark.parametrize(
    "password", ["masks for every ward", "seven-blue-horses", "12 hospitals sing", "住院部三楼的窗户很大"]
)
def test_a_sentence_is_taken_though_it_holds_such_words(password: str) -> None:
    assert is_taken(password)


def test_passwords_are_masked_and_password_managers_can_fill_them(client: Client) -> None:
    for path, completion in (("/login/", "current-password"), ("/register/", "new-password")):
        fields = re.findall(r"<input[^>]*password[^>]*>", client.get(path).text)
        assert [('type="password"' in field, completion in field) for field in fields] == [(True, True)], path


def test_the_current_password_is_asked_for_before_a_new_one(client: Client, stranger: User) -> None:
    client.force_login(stranger)
    new = {"password1": LONG, "password2": LONG}

    client.post("/account/password/change/", new)
    client.post("/account/password/change/", {"oldpassword": "not this one", **new})
    stranger.refresh_from_db()
    assert stranger.check_password(PASSWORD)

    client.post("/account/password/change/", {"oldpassword": PASSWORD, **new})
    stranger.refresh_from_db()
    assert stranger.check_password(LONG)


def test_a_reset_lasts_an_hour_and_does_not_pass_the_second_factor(client: Client, stranger: User) -> None:
    Authenticator.objects.create(user=stranger, type="totp", data={"secret": "JBSWY3DPEHPK3PXP"})
    client.post("/account/password/reset/", {"email": stranger.email})
    link = re.search(r"/account/password/reset/key/\S+", str(mail.outbox[-1].body))
    assert link is not None

    form = client.get(link[0], follow=True)
    client.post(form.request["PATH_INFO"], {"password1": LONG, "password2": LONG})
    client.post("/login/", {"login": stranger.email, "password": LONG})

    assert client.get("/account/").status_code == 302, "the code of the second factor is still to come"
    assert configured.PASSWORD_RESET_TIMEOUT == 3600
