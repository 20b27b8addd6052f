"""The description of the API, and whether it behaves as described."""

import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.test import Client
from hypothesis import HealthCheck, given, settings
from schemathesis import openapi
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from apps.accounts.models import Organisation, User
from apps.accounts.services import issue_token
from apps.api.representation.answers import FilledByViewSet, ModelRowSerializer, RowSerializer
from apps.api.representation.requests import InputSerializer, ModelInputSerializer
from cosmomatch.wsgi import application
from tests.factories import DemandFactory, ItemFactory, MatchFactory, OfferFactory, standard_of


def test_the_schema_is_made_without_a_warning(tmp_path: Any) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yml"))


def test_the_schema_is_public_and_openapi_3_1(client: Client) -> None:
    answer = client.get("/api/v1/schema/?format=json", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["openapi"]) == (200, "3.1.0")
    paths = answer.json()["paths"]
    for path in ("/demands/", "/demands/{id}/open/", "/offers/import/", "/matches/{id}/accept/", "/exports/{dataset}"):
        assert f"/api/v1{path}" in paths


def test_the_documentation_has_no_code_in_the_page_nor_from_elsewhere(client: Client) -> None:
    page = client.get("/api/v1/docs/")
    html = page.content.decode()

    assert "unsafe" not in page["Content-Security-Policy"]
    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", html, re.DOTALL)
    assert len(scripts) == 3
    for attributes, code in scripts:
        source = re.search(r'src="([^"]+)"', attributes)
        assert source is not None
        assert not code.strip()
        assert source[1].startswith("/")
    assert not re.search(r'\son\w+="|<style|\sstyle="|(href|src)="(https?:)?//', html)
    assert client.get("/api/v1/docs/?script=")["Content-Type"].startswith("application/javascript")


def test_what_is_shown_and_taken_is_described_for_partners(client: Client) -> None:
    """A serializer without a docstring would inherit that of its base class, which is written for programmers."""
    schemas = client.get("/api/v1/schema/?format=json", headers={"Accept": "application/json"}).json()["components"]
    described = {name: schema.get("description") for name, schema in schemas["schemas"].items()}
    bases = [InputSerializer, ModelInputSerializer, RowSerializer, ModelRowSerializer, FilledByViewSet]
    inherited = {inspect.getdoc(base) for base in bases}

    assert [name for name, text in described.items() if text in inherited] == []


@pytest.fixture
def _world(buyer: User, hospital: Organisation, maker: Organisation) -> None:
    standard_of(ItemFactory.create())
    MatchFactory.create(
        demand=DemandFactory.create(organisation=hospital), offer=OfferFactory.create(organisation=maker)
    )


@pytest.fixture
def _kept_open() -> Iterator[None]:
    """Called by WSGI, every request would close the connection that holds the test's transaction."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.mark.django_db
@pytest.mark.usefixtures("_world", "_kept_open")
def test_it_behaves_as_described(buyer: User) -> None:
    """Schemathesis makes up requests for every operation, right and wrong: few, so that it stays under a minute."""
    _token, text = issue_token(buyer, name="fuzz", scopes=["read", "write", "exports", "contacts"])
    schema = openapi.from_wsgi("/api/v1/schema/?format=json", application)
    # The token is always sent: making up others, and cookies, takes a quarter of the time and tries nothing.
    schema.config.generation.update(with_security_parameters=False)
    checks = [
        not_a_server_error,
        status_code_conformance,
        content_type_conformance,
        response_schema_conformance,
    ]
    tried = 0
    operations: Any = schema.get_all_operations()
    for operation in operations:
        one = operation.ok()
        if one.path.endswith(("/schema/", "/docs/")):
            continue

        @given(case=one.as_strategy())
        @settings(
            max_examples=6, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
        )
        def check(case: Any) -> None:
            case.call_and_validate(headers={"Authorization": f"Bearer {text}"}, checks=checks)

        check()
        tried += 1
    assert tried > 50
