"""What everybody may see is shown from a copy: for how long, to whom, and that nobody gets another's page."""

import datetime as dt
import gzip
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIRequest
from django.db import OperationalError, connection
from django.http import HttpResponse
from django.test.client import Client as DjangoClient
from django.test.client import ClientHandler
from django.utils import timezone
from prometheus_client import REGISTRY
from pytest_django import DjangoAssertNumQueries, Settings

from apps.accounts.models import User
from apps.exports.models import Publication
from apps.exports.publishing import publish
from apps.ops.serving.copies import AnswersFromCopies
from tests.factories import PASSWORD, DemandFactory, OrganisationFactory

pytestmark = pytest.mark.django_db

PAGES = ["/", "/promise/", "/api/v1/stats/"]


class Server(ClientHandler):
    """What Django's client asks: copies before Django, as a web server has them."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.application = AnswersFromCopies(self.django)

    def django(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        response: Any = super().__call__(environ)
        response.close = lambda: None  # it was, without an end of the connection of the test
        cookies = [("Set-Cookie", cookie.OutputString()) for cookie in response.cookies.values()]
        start_response(f"{response.status_code} {response.reason_phrase}", [*response.items(), *cookies])
        return response  # type: ignore[no-any-return]  # Django's

    def __call__(self, environ: dict[str, Any]) -> Any:
        given: list[tuple[str, list[tuple[str, str]]]] = []
        answer = self.application(environ, lambda *status_and_headers: given.append(status_and_headers))
        if isinstance(answer, HttpResponse):
            return answer
        [(status, headers)] = given
        assert len({name for name, _value in headers}) == len(headers), "each header once"
        response: Any = HttpResponse(b"".join(answer), status=int(status[:3]))
        response.headers = dict(headers)
        response.wsgi_request = WSGIRequest(environ)
        return response


class Client(DjangoClient):
    def __init__(self, *, enforce_csrf_checks: bool = False) -> None:
        super().__init__()
        self.handler = Server(enforce_csrf_checks=enforce_csrf_checks)


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> "Clock":
    return Clock(monkeypatch)


class Clock:
    """The clock by which copies grow old."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000_000.0
        monkeypatch.setattr("apps.ops.serving.copies.time.monotonic", lambda: self.now)

    def __call__(self, seconds: float) -> None:
        self.now += seconds


def publish_another() -> None:
    """As an hour later, when more is needed."""
    for _number in range(3):
        DemandFactory.create(organisation=OrganisationFactory.create(), quantity=1000)
    publish(now=timezone.now() + dt.timedelta(hours=1))


@pytest.mark.parametrize("path", PAGES)
def test_a_proxy_may_keep_what_everybody_may_see(client: Client, path: str) -> None:
    answer = client.get(path)

    assert answer["Cache-Control"] == "public, max-age=60, stale-while-revalidate=600"
    assert not answer.cookies
    again = client.get(path, headers={"if-none-match": answer["ETag"]})
    assert (again.status_code, again["ETag"]) == (304, answer["ETag"])


@pytest.mark.parametrize("path", PAGES)
def test_a_copy_asks_the_database_nothing(
    client: Client, path: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    first = client.get(path, headers={"accept-language": "en"})

    with django_assert_num_queries(0):
        copy = client.get(path, headers={"accept-language": "en-GB, en;q=0.5"})

    assert copy.content == first.content
    assert copy["X-Request-Id"] != first["X-Request-Id"]
    differing = {"X-Request-Id", "RateLimit", "RateLimit-Policy"}
    assert {*first.items()} ^ {*copy.items()} <= {
        (name, answer[name]) for answer in (first, copy) for name in differing if name in answer
    }


def test_the_page_has_another_etag_after_a_publication(client: Client, later: Clock) -> None:
    before = client.get("/")
    later(61)
    assert client.get("/")["ETag"] == before["ETag"], "nothing was published"

    publish_another()
    assert client.get("/")["ETag"] == before["ETag"]
    later(61)
    after = client.get("/", headers={"if-none-match": before["ETag"]})
    assert (after.status_code, "3,000" in after.text) == (200, True)


def test_while_a_page_is_made_anew_others_see_the_old_one(client: Client, later: Clock) -> None:
    first = client.get("/")
    later(61)
    publish_another()
    seen_meanwhile: list[str] = []

    def ask(execute: Callable[..., object], *arguments: object) -> object:
        if not seen_meanwhile:
            seen_meanwhile.append("")
            seen_meanwhile[0] = client.get("/").text
        return execute(*arguments)

    with connection.execute_wrapper(ask):
        second = client.get("/")

    assert seen_meanwhile == [first.text]
    assert second.text != first.text


def test_after_a_failure_the_next_reader_has_the_page_made_anew(client: Client, later: Clock) -> None:
    client.raise_request_exception = False
    client.get("/")
    later(61)

    def fail(*_: object) -> None:
        raise OperationalError

    with connection.execute_wrapper(fail):
        assert client.get("/").status_code == 503
        assert client.get("/").status_code == 200, "the old one"
        later(6)
        assert client.get("/").status_code == 503
    later(6)
    assert client.get("/").status_code == 200


def test_languages_do_not_mix(client: Client) -> None:
    for language, words in (("en", "What is needed"), ("zh-Hans", "需要什么"), ("en", "What is needed")):
        answer = client.get("/", headers={"accept-language": language})
        assert words in answer.text
        assert answer["Content-Language"].lower() == language.lower()
        assert {"Accept-Language", "Cookie"} <= {*answer["Vary"].split(", ")}


def test_a_stranger_switches_the_language_without_a_token() -> None:
    client = Client(enforce_csrf_checks=True)
    assert "csrfmiddlewaretoken" not in client.get("/").text

    assert client.post("/language/", {"language": "zh-hans", "next": "/"}).status_code == 302
    assert "需要什么" in client.get("/").text


def test_the_language_of_an_account_is_switched_with_a_token_only(buyer: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(buyer)

    assert client.post("/language/", {"language": "zh-hans"}).status_code == 403
    buyer.refresh_from_db()
    assert buyer.language == "en"


def test_who_is_logged_in_sees_their_own_page(client: Client, buyer: User) -> None:
    client.get("/")
    client.post("/login/", {"login": buyer.email, "password": PASSWORD})

    answer = client.get("/")

    assert str(buyer) in answer.text
    assert answer["Cache-Control"] == "no-store"
    client.post("/logout/")
    assert str(buyer) not in client.get("/").text


def test_a_message_for_one_reader_is_in_no_copy(client: Client, buyer: User) -> None:
    client.force_login(buyer)
    client.post("/account/", {"name": "Buyer", "language": "en", "time_zone": "UTC"})
    del client.cookies["sessionid"]
    assert client.cookies["messages"].value, "waits for the next page"

    answer = client.get("/")

    assert "Saved." in answer.text
    assert answer["Cache-Control"] == "no-store"
    assert "Saved." not in Client().get("/").text


@pytest.mark.parametrize("path", ["/?item=nothing", "/?x=1", "/?item=", "/promise/?x=1"])
def test_no_copy_is_kept_of_an_address_that_somebody_made_up(client: Client, path: str) -> None:
    assert client.get(path)["Cache-Control"] == "no-store"


def test_a_copy_is_shown_to_no_other_host(client: Client) -> None:
    client.get("/")

    assert client.get("/", headers={"host": "elsewhere.example"}).status_code == 400


@pytest.mark.parametrize("path", PAGES)
def test_the_head_of_a_copy_is_that_of_its_page(client: Client, path: str) -> None:
    whole = client.get(path)

    head = client.head(path)

    assert (head.status_code, head.content, head["Content-Length"]) == (200, b"", str(len(whole.content)))
    assert {*head.headers} == {*client.get(path).headers}


@pytest.mark.parametrize("path", PAGES)
def test_a_head_is_not_kept_for_others(client: Client, path: str) -> None:
    assert (client.head(path).status_code, client.head(path).content) == (200, b"")
    assert client.get(path).content


@pytest.mark.parametrize("given", ["{}", "W/{}", '"other", {}', "*"])
def test_a_reader_who_has_the_page_gets_no_body(client: Client, given: str) -> None:
    etag = client.get("/")["ETag"]

    for ask in (client.get, client.head):
        again = ask("/", headers={"if-none-match": given.format(etag)})
        assert (again.status_code, again.content, again["ETag"]) == (304, b"", etag)
        assert again["Cache-Control"] == "public, max-age=60, stale-while-revalidate=600"
        assert {"Accept-Language", "Cookie"} <= {*again["Vary"].split(", ")}
        assert "Content-Length" not in again.headers
    assert client.get("/", headers={"if-none-match": '"other"'}).status_code == 200


def test_programs_that_take_gzip_get_a_compressed_copy(client: Client, later: Clock) -> None:
    publish_another()
    plain = client.get("/api/v1/stats/")

    asked = {"accept-encoding": "gzip, br"}
    first, copy = (client.get("/api/v1/stats/", headers=asked) for _ in range(2))

    assert copy["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in copy["Vary"]
    assert copy.content == first.content
    assert gzip.decompress(copy.content) == plain.content
    later(61)
    assert client.get("/api/v1/stats/", headers=asked)["ETag"] == copy["ETag"] == f"W/{plain['ETag']}"
    assert "Content-Encoding" not in client.get("/api/v1/stats/").headers


@pytest.mark.parametrize("path", PAGES)
def test_a_copy_has_the_headers_that_browsers_hold(client: Client, settings: Settings, path: str) -> None:
    settings.SECURE_HSTS_SECONDS = 31_536_000
    client.get(path, secure=True)

    copy = client.get(path, secure=True).headers

    assert copy["X-Content-Type-Options"] == "nosniff"
    assert copy["Referrer-Policy"] == copy["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "default-src 'self'" in copy["Content-Security-Policy"]
    assert "camera=()" in copy["Permissions-Policy"]
    assert copy["Strict-Transport-Security"].startswith("max-age=31536000")
    assert "Strict-Transport-Security" not in client.get(path).headers, "another copy"
    assert "RateLimit" not in copy


def test_an_id_of_the_caller_stands_in_a_copy(client: Client) -> None:
    for _ in range(2):
        assert client.get("/", headers={"x-request-id": "mine-1"})["X-Request-Id"] == "mine-1"
    assert client.get("/", headers={"x-request-id": "a b"})["X-Request-Id"] != "a b"


def test_copies_are_counted_as_requests(client: Client) -> None:
    names = [f"django_http_{each}_before_middlewares_total" for each in ("requests", "responses")]
    names.append("django_http_requests_latency_including_middlewares_seconds_count")
    before = [REGISTRY.get_sample_value(name) or 0 for name in names]

    for _ in range(3):
        client.get("/")

    assert [REGISTRY.get_sample_value(name) for name in names] == [count + 3 for count in before]


@pytest.mark.parametrize("headers", [{"authorization": "Bearer x"}, {"cookie": "sessionid=x"}, {"content-length": "3"}])
def test_who_may_be_answered_otherwise_is_shown_no_copy(client: Client, headers: dict[str, str]) -> None:
    client.get("/")

    assert "ETag" not in client.get("/", headers=headers).headers


def test_the_board_is_served_while_redis_is_dead(client: Client, settings: Settings, tmp_path: object) -> None:
    location = f"unix://{tmp_path}/none.sock?db=0"
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": location}}

    for path in PAGES:
        assert client.get(path).status_code == 200
    assert Publication.objects.count() == 1
