"""What holds for each request: what is too large is a 400, and each answer has its headers."""

import datetime as dt
import io
from urllib.parse import quote
from wsgiref.util import setup_testing_defaults

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from apps.ops.serving.charsets import understands_charset
from cosmomatch.wsgi import application
from tests.factories import ItemFactory

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


def served(method: str, path: str, content_type: str, body: bytes = b"") -> tuple[int, str]:
    """The status and the content type of the answer, asked as a web server asks: Django's client comes in behind."""
    found: list[tuple[int, str]] = []

    def start_response(status: str, headers: list[tuple[str, str]]) -> None:
        found.append((int(status[:3]), dict(headers)["Content-Type"]))

    path, _mark, query = path.partition("?")
    environ: dict[str, object] = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "CONTENT_TYPE": content_type,
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_HOST": "testserver",
        "wsgi.input": io.BytesIO(body),
    }
    setup_testing_defaults(environ)
    b"".join(application(environ, start_response))
    return found[0]


@pytest.mark.parametrize(
    "parameter",
    ["charset=hex", "charset=rot13", "charset=undefined", "charset=punycode", "charset*=undefined''%61"],
)
def test_a_charset_that_is_none_is_turned_away(parameter: str) -> None:
    json, form = (f"application/{kind}; {parameter}" for kind in ("json", "x-www-form-urlencoded"))

    assert served("POST", "/login/", form, b"login=x") == (400, "text/html; charset=utf-8")
    assert served("GET", "/?item=x", form) == (400, "text/html; charset=utf-8")
    for path in ("/api/v1/demands/", "/api/v1/demands/?x=y"):
        assert served("POST", path, json, b"{}") == (400, "application/problem+json")


def test_a_search_in_the_charset_of_another_system_is_read(client: Client) -> None:
    ItemFactory.create(key="goggles", name_zh="护目镜")
    search, gbk = quote("护目镜", encoding="gbk"), "application/json; charset=GBK"
    answer = client.get(f"/api/v1/items/?search={search}", CONTENT_TYPE=gbk)
    assert [item["key"] for item in answer.json()["results"]] == ["goggles"]


@pytest.mark.parametrize("charset", ["GBK", "utf8", "Latin-1", '"utf-8"', "no-such"])
def test_other_charsets_pass_as_they_are(charset: str) -> None:
    seen: dict[str, str] = {"CONTENT_TYPE": f"text/plain; charset={charset}"}
    understands_charset(lambda environ, _start: [environ["CONTENT_TYPE"].encode()])(seen, None)
    assert seen["CONTENT_TYPE"] == f"text/plain; charset={charset}"


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
