"""What somebody without an account may leave behind in the database: nothing."""

import pytest
from django.contrib.sessions.models import Session
from django.test import Client

from tests.test_walk import STEPS, world
from tests.walking import World

pytestmark = pytest.mark.django_db
__all__ = ["world"]  # a fixture

ENTRANCES = ["/login/", "/register/", "/account/password/reset/", "/account/reauthenticate/", "/language/"]


def test_no_address_stores_a_session_of_a_stranger(world: World, client: Client) -> None:
    Session.objects.all().delete()
    pages = [step for step in STEPS if step.is_page and step.method == "GET" and step.whose == "own"]
    paths = [step.path(world) for step in pages] + ENTRANCES
    stuffed = {"note": "x" * 19_000, "email": "somebody@example.org", "login": "somebody@example.org", "password": "x"}

    filling = []
    for path in paths:
        for visitor in (Client(), client):  # a new one, and one with the cookies of earlier answers
            visitor.get(path)
            visitor.post(path, stuffed)
        if Session.objects.exists():
            filling.append(path)
            Session.objects.all().delete()

    assert filling == []
    assert len(paths) > 100
