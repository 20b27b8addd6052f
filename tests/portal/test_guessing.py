"""Guessing passwords and accounts. Each test is an attack, or what an attack must not do to others."""

import re

import pytest
from django.core import mail
from django.test import Client
from pytest_django import Settings

from apps.accounts.models import User
from tests.factories import PASSWORD, UserFactory

pytestmark = pytest.mark.django_db

WRONG = "not this one, not today"
HOME, ELSEWHERE = "203.0.113.7", "198.51.100.9"
NEWCOMER = {"name": "New", "email": "new@example.org", "password1": "a long sentence of words", "language": "en"}


def at(network: str) -> Client:
    return Client(REMOTE_ADDR=network, headers={"accept-language": "en"})


def log_in(client: Client, user: User, password: str = PASSWORD, **more: str) -> bool:
    response = client.post("/login/", {"login": user.email, "password": password, **more})
    return response.status_code == 302


def test_wrong_passwords_from_elsewhere_lock_nobody_out(stranger: User) -> None:
    for _attempt in range(8):
        log_in(at(ELSEWHERE), stranger, WRONG)

    assert log_in(at(HOME), stranger)
    assert not log_in(at(ELSEWHERE), stranger), "who guesses is stopped even with the right one"


def test_wrong_passwords_from_many_networks_are_counted_together(stranger: User, settings: Settings) -> None:
    settings.ACCOUNT_RATE_LIMITS = {"login_failed_anywhere": "6/h/key"}
    known = at(HOME)
    log_in(known, stranger)
    known.post("/logout/")

    for number in range(10):
        log_in(at(f"198.51.{number}.9"), stranger, WRONG)

    assert not log_in(at("192.0.2.1"), stranger)
    assert log_in(known, stranger), "the owner's own browser still gets in"


def test_neighbours_of_one_network_count_as_one(stranger: User) -> None:
    for number in range(8):
        log_in(at(f"198.51.100.{number}"), stranger, WRONG)

    assert not log_in(at("198.51.100.200"), stranger)
    assert log_in(at(HOME), stranger)


def test_a_known_browser_passes_where_others_guess(stranger: User) -> None:
    known = at(HOME)
    log_in(known, stranger)
    known.post("/logout/")

    for _attempt in range(8):
        log_in(at(HOME), stranger, WRONG)

    assert log_in(known, stranger)


def test_a_known_browser_may_not_guess_for_ever(stranger: User) -> None:
    known = at(HOME)
    log_in(known, stranger)
    known.post("/logout/")

    for _attempt in range(8):
        log_in(known, stranger, WRONG)

    assert not log_in(known, stranger)


def test_the_mark_of_a_browser_opens_no_other_account(stranger: User, rival: User) -> None:
    known = at(HOME)
    log_in(known, rival)
    known.post("/logout/")

    for _attempt in range(8):
        log_in(at(HOME), stranger, WRONG)

    assert not log_in(known, stranger)


@pytest.mark.parametrize("forged", ["", "x", "1:2:3", "a" * 5000])
def test_a_forged_mark_of_a_browser_is_no_mark(stranger: User, forged: str) -> None:
    client = at(HOME)
    client.cookies["device"] = forged

    for _attempt in range(8):
        log_in(client, stranger, WRONG)

    assert not log_in(client, stranger)


def test_a_shared_computer_is_not_remembered(stranger: User) -> None:
    client = at(HOME)

    log_in(client, stranger, shared="on")

    assert "device" not in client.cookies


def test_registering_does_not_tell_who_has_an_account(settings: Settings) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    taken = UserFactory.create(email="taken@example.org")
    answers = []
    for address in ("free@example.org", taken.email):
        client = at(HOME)
        response = client.post("/register/", NEWCOMER | {"email": address}, follow=True)
        page = re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", response.text).replace(address, "ADDRESS")
        answers.append((response.redirect_chain, response.status_code, sorted(client.cookies), page))

    assert answers[0] == answers[1]
    assert [one.to for one in mail.outbox] == [["free@example.org"], ["taken@example.org"]]
    assert taken.check_password(PASSWORD)
