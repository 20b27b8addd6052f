"""Clients of the cast, logged in."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import User
from apps.accounts.permissions import OrganisationKind
from apps.catalogue.models import Item
from apps.portal import places
from tests.factories import PASSWORD, ItemFactory, OrganisationFactory, member, region

Login = Callable[[User], Client]

# Policies that differ from the default.
HUBEI_LOOKS = {"phases": {"420000": {"phase": "emergency", "approval": True}}}
FIRMS_FIRST = {"tiers": {"hospital": 1, "health_facility": 2, "enterprise": 3, "community": 4, "supplier": 5}}


@pytest.fixture(autouse=True)
def nothing_remembered(db: None) -> None:
    """The board and the names of places are remembered for a while: not from test to test."""
    cache.clear()
    places._names.clear()


@pytest.fixture
def log_in() -> Login:
    def log_in(user: User) -> Client:
        client = Client(headers={"accept-language": "en"})
        client.force_login(user)
        return client

    return log_in


@pytest.fixture
def desk(log_in: Login, coordinator: User) -> Client:
    return log_in(coordinator)


@pytest.fixture
def province(db: None) -> User:
    """Coordinates Hubei and nothing else."""
    office = OrganisationFactory.create(name="Hubei desk", kind=OrganisationKind.COORDINATOR, region=region("420000"))
    return member(office, email="province@example.org")


@pytest.fixture
def mask() -> Item:
    return ItemFactory.create()


@pytest.fixture
def thermometer() -> Item:
    return ItemFactory.create(key="thermometer.forehead", name_en="Forehead thermometer", name_zh="额温枪")


def give_password(client: Client, password: str = PASSWORD, then: str = "/") -> Any:
    """What a person does before a change of the account; afterwards `then` is carried out."""
    return client.post("/account/reauthenticate/", {"password": password, "next": then})


def log_in_after(sent: Any, user: User) -> None:
    """What a browser sends from the login page that came in the way of a form (`apps/portal/kept.py`)."""
    assert sent.status_code == 200
    carried = {name: sent.context["form"][name].value() for name in ("typed", "typed_at")}
    where = {"next": sent.wsgi_request.get_full_path(), "login": user.email, "password": PASSWORD}
    assert sent.client.post("/login/", {**carried, **where})["Location"] == where["next"]


def queries(client: Client, path: str) -> int:
    """How often a page asks the database, once the process remembers what it remembers."""
    client.get(path)
    with CaptureQueriesContext(connection) as captured:
        assert client.get(path).status_code == 200
    return len(captured)


def lines(*rows: Mapping[str, Any], **details: Any) -> dict[str, Any]:
    """What a browser sends for a post of these lines."""
    data: dict[str, Any] = {
        "lines-TOTAL_FORMS": len(rows),
        "lines-INITIAL_FORMS": 0,
        "urgency": "urgent",
        "region": "420106",
        "address": "1 Hospital Road",
        "needed_by": "",
        "contact_name": "",
        "contact_phone": "",
        **details,
    }
    for number, row in enumerate(rows):
        for name, value in {"quantity_kind": "exact", **row}.items():
            data[f"lines-{number}-{name}"] = value
    return data
