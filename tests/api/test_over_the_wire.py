"""What only a real connection shows."""

import http.client
import json
from urllib.parse import urlsplit

import pytest
from pytest_django.live_server_helper import LiveServer

from apps.accounts.models import User
from apps.accounts.services import issue_token

pytestmark = pytest.mark.django_db


def test_a_body_of_unknown_length_is_not_taken_for_an_empty_one(live_server: LiveServer, buyer: User) -> None:
    _token, text = issue_token(buyer, name="x", scopes=["write"])
    address = urlsplit(live_server.url)
    client = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
    client.request(
        "POST",
        "/api/v1/demands/",
        iter([b'{"item": ', b'"mask"}']),
        headers={"Authorization": f"Bearer {text}", "Content-Type": "application/json"},
        encode_chunked=True,
    )
    answer = client.getresponse()
    assert (answer.status, json.loads(answer.read())["code"]) == (411, "length_required")
    client.close()
