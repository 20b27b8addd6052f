"""The description of the API, and whether it behaves as described."""

import inspect
import re
from typing import Any

import jsonschema
import pytest
from django.core.management import call_command
from django.test import Client

from apps.accounts.models import User
from apps.api.representation.answers import FilledByViewSet, ModelRowSerializer, RowSerializer
from apps.api.representation.requests import InputSerializer, ModelInputSerializer


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


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    answer = Client().get("/api/v1/schema/?format=json", headers={"Accept": "application/json"})
    found: dict[str, Any] = answer.json()
    return found


def operations_of(described: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method} {path}": operation
        for path, operations in described["paths"].items()
        for method, operation in operations.items()
    }


def faults(described: dict[str, Any], schema: dict[str, Any], value: Any) -> list[str]:
    """What of the value does not meet a schema of the description."""
    whole = {**schema, "components": described["components"]}
    return [error.message for error in jsonschema.Draft202012Validator(whole).iter_errors(value)]


def test_the_schema_says_where_the_site_is(described: dict[str, Any], settings: Any) -> None:
    assert [server["url"] for server in described["servers"]] == [settings.SITE_URL]


def test_every_operation_and_parameter_is_put_in_words(described: dict[str, Any]) -> None:
    operations = operations_of(described)
    parameters = {
        f"{name} {parameter['name']}": parameter
        for name, operation in operations.items()
        for parameter in operation.get("parameters", [])
    }

    assert [name for name, one in operations.items() if not (one.get("summary") and one.get("description"))] == []
    assert [name for name, one in parameters.items() if not one.get("description")] == []
    assert len({one["summary"] for one in operations.values()}) == len(operations)


def test_every_body_of_a_request_has_an_example_that_is_right(described: dict[str, Any]) -> None:
    checked = 0
    for name, operation in operations_of(described).items():
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if body is None:
            continue
        (example,) = body["examples"].values()
        assert (name, faults(described, body["schema"], example["value"])) == (name, [])
        checked += 1
    assert checked > 15


def test_ids_in_the_address_and_in_filters_are_text(described: dict[str, Any]) -> None:
    ids = {"id", "organisation", "demand", "offer", "match"}
    types = {
        parameter["schema"]["type"]
        for operation in operations_of(described).values()
        for parameter in operation.get("parameters", [])
        if parameter["name"] in ids
    }
    assert types == {"string"}


def test_a_match_without_a_price_meets_its_schema(described: dict[str, Any]) -> None:
    term = {"term": "price", "value": None, "score": 0.5, "weight": 1.0, "text": "Its price is not known."}
    schema = {"$ref": "#/components/schemas/ExplanationTerm"}

    assert [faults(described, schema, {**term, "value": value}) for value in (None, 1.25, "donation")] == [[], [], []]
    assert faults(described, schema, {**term, "value": []}) != []


@pytest.mark.django_db
def test_every_format_that_is_listed_can_be_pulled(described: dict[str, Any], client: Client, partner: User) -> None:
    (listed,) = (
        parameter["schema"]["enum"]
        for parameter in described["paths"]["/api/v1/exports/{dataset}"]["get"]["parameters"]
        if parameter["name"] == "format"
    )
    client.force_login(partner)

    for form in listed:
        answer = client.get(f"/api/v1/exports/demands?format={form}")
        assert (form, answer.status_code) == (form, 200)
        b"".join(answer)
