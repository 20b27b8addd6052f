"""Text that Python takes and PostgreSQL does not: a fault of the caller, never of the server."""

import base64

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("resource", ["items", "regions", "standards"])
def test_a_lone_surrogate_in_a_cursor_is_refused(client: Client, resource: str) -> None:
    cursor = base64.urlsafe_b64encode(rb'["n", "\ud800"]').decode()
    assert client.get(f"/api/v1/{resource}/?cursor={cursor}").status_code == 400
