"""The keys of sessions: chapter 7 of OWASP ASVS 5.0."""

import pytest
from django.conf import settings
from django.test import Client

from apps.accounts.models import ApiToken, User
from apps.accounts.services import issue_token
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db


def key_of(client: Client) -> str:
    return client.cookies[settings.SESSION_COOKIE_NAME].value


def test_a_log_in_and_a_password_given_again_make_a_new_key(client: Client, stranger: User) -> None:
    client.get("/login/")
    client.post("/login/", {"login": stranger.email, "password": PASSWORD})
    at_log_in = key_of(client)
    client.post("/account/reauthenticate/", {"password": PASSWORD})

    assert key_of(client) != at_log_in
    assert client.get("/account/").status_code == 200
    client.cookies[settings.SESSION_COOKIE_NAME] = at_log_in
    assert client.get("/account/").status_code == 302, "the key that was known before opens nothing"


def test_a_new_key_is_the_same_line_in_the_list_of_sessions(client: Client, stranger: User) -> None:
    client.post("/login/", {"login": stranger.email, "password": PASSWORD})
    client.post("/account/reauthenticate/", {"password": PASSWORD})

    assert len(client.get("/account/sessions/").context["sessions"]) == 1


def test_a_log_out_ends_the_key_and_clears_the_browser(client: Client, stranger: User) -> None:
    client.post("/login/", {"login": stranger.email, "password": PASSWORD})
    key = key_of(client)
    assert 'action="/logout/"' in client.get("/account/").text
    response = client.post("/logout/")

    assert response["Clear-Site-Data"] == '"cache", "storage"'
    client.cookies[settings.SESSION_COOKIE_NAME] = key
    assert client.get("/account/").status_code == 302


def test_staff_log_somebody_out_everywhere(client: Client, admin_client: Client, stranger: User) -> None:
    client.post("/login/", {"login": stranger.email, "password": PASSWORD})
    issue_token(stranger, name="x", scopes=["read"])

    admin_client.post("/admin/accounts/user/", {"action": "log_out_everywhere", "_selected_action": [str(stranger.pk)]})

    assert client.get("/account/").status_code == 302
    assert not ApiToken.objects.filter(user=stranger).exists()
