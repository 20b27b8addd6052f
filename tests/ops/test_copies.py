"""What everybody may see is shown from a copy: for how long, to whom, and that nobody gets another's page."""

import datetime as dt
from collections.abc import Callable

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from apps.accounts.models import User
from apps.exports.models import Publication
from apps.exports.publishing import publish
from tests.factories import PASSWORD, DemandFactory, OrganisationFactory

pytestmark = pytest.mark.django_db

PAGES = ["/", "/promise/", "/api/v1/stats/"]


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


def test_the_board_is_served_while_redis_is_dead(client: Client, settings: Settings, tmp_path: object) -> None:
    location = f"unix://{tmp_path}/none.sock?db=0"
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": location}}

    for path in PAGES:
        assert client.get(path).status_code == 200
    assert Publication.objects.count() == 1
