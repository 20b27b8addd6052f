"""What holds for each request: what is too large is a 400, and each answer has its headers."""

import datetime as dt

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("content_type", "size", "status"),
    [
        ("application/json", 10_000_000, 400),
        ("text/plain", 2_600_000, 400),
        ("multipart/form-data; boundary=x", 10_100_000, 400),
        ("multipart/form-data; boundary=x", 2_600_000, 405),  # let through to a view that takes no POST
        ("application/json", 1000, 405),
    ],
)
def test_a_body_that_is_too_large_is_turned_away(client: Client, content_type: str, size: int, status: int) -> None:
    assert client.post("/healthz", b" " * size, content_type=content_type).status_code == status


def test_the_api_says_so_in_a_problem_document(client: Client) -> None:
    answer = client.post("/api/v1/demands/", b"[" * 10_000_000, content_type="application/json")
    assert answer.status_code == 400
    assert answer.headers["Content-Type"].startswith("application/problem+json")


@pytest.mark.parametrize("path", ["/", "/api/v1/", "/healthz", "/no/such/page", "/static/admin/css/base.css"])
def test_each_answer_tells_browsers_what_they_may_not_do(client: Client, path: str) -> None:
    headers = client.get(path).headers
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "camera=()" in headers["Permissions-Policy"]
    assert "publickey-credentials-get=(self)" in headers["Permissions-Policy"], "passkeys go on working"


def test_who_found_a_hole_reads_whom_to_tell(client: Client, settings: Settings) -> None:
    assert client.get("/.well-known/security.txt").status_code == 404

    settings.SECURITY_CONTACT = "mailto:security@relief.example"
    text = client.get("/.well-known/security.txt").text
    facts = dict(line.split(": ", 1) for line in text.splitlines())

    assert facts["Contact"] == "mailto:security@relief.example"
    expires = dt.datetime.fromisoformat(facts["Expires"])
    assert timezone.now() < expires < timezone.now() + dt.timedelta(days=365)
