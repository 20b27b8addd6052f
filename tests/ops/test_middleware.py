"""What is too large is a 400, whoever would have read it."""

import pytest
from django.test import Client

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
