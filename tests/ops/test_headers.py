"""What every answer tells the browser: chapters 3, 4 and 13 of OWASP ASVS 5.0."""

import pytest
from django.test import Client
from pytest_django import Settings

from apps.accounts.models import User
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db

EVERYWHERE = ["/", "/login/", "/api/v1/items/", "/api/v1/docs/", "/api/v1/nothing/", "/nothing/", "/healthz"]


@pytest.mark.parametrize("path", EVERYWHERE)
def test_every_answer_has_the_headers_that_browsers_hold(client: Client, settings: Settings, path: str) -> None:
    settings.SECURE_HSTS_SECONDS = 31_536_000
    settings.SECURE_HSTS_INCLUDE_SUBDOMAINS = True

    answer = client.get(path, secure=True)

    policy = {part.strip() for part in answer["Content-Security-Policy"].split(";")}
    assert policy >= {"default-src 'self'", "object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"}
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"
    assert "charset" in answer["Content-Type"] or answer["Content-Type"].endswith("json")
    assert not [name for name in answer.headers if name.lower().startswith("access-control-")]


def test_every_cookie_is_kept_from_scripts_and_other_sites(client: Client, stranger: User) -> None:
    client.get("/login/")
    client.post("/login/", {"login": stranger.email, "password": PASSWORD})
    client.post("/language/", {"language": "en"})

    assert len(client.cookies) >= 4, "session, CSRF, known browser, language"
    loose = {name for name, one in client.cookies.items() if not one["httponly"] or one["samesite"] != "Lax"}
    assert loose == set()


@pytest.mark.parametrize(
    "path", ["/", "/login/", "/account/", "/admin/", "/i18n/setlang/", "/api/v1/items/", "/healthz"]
)
def test_no_address_echoes_a_trace(client: Client, path: str) -> None:
    answer = client.trace(path, headers={"x-secret": "told"})

    assert answer.status_code in {302, 405}, "refused, or sent to the log-in as every request without one"
    assert "told" not in answer.text


def test_the_api_refuses_plain_http_and_redirects_nobody(client: Client, settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    program = Client(headers={"authorization": "Bearer cosmo_sent-in-the-clear"})

    answer = program.get("/api/v1/demands/")
    assert (answer.status_code, answer.json()["code"]) == (403, "https_required")
    assert program.post("/api/v1/demands/", {}, content_type="application/json").status_code == 403
    assert program.get("/api/v1/items/", secure=True).status_code != 403
    assert client.get("/").status_code == 301, "people are led on"


@pytest.mark.parametrize("path", ["/static/", "/static/portal/", "/media/", "/.git/config", "/static/../manage.py"])
def test_no_folder_lists_its_files(client: Client, path: str) -> None:
    assert client.get(path).status_code == 404
