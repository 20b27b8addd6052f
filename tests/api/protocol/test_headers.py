"""Headers of every answer: its id, how many requests are left, and whether it is compressed."""

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from django.core.cache import cache
from django.test import Client

from apps.accounts.models import User
from apps.accounts.services import issue_token
from tests.api.conftest import Caller
from tests.factories import DemandFactory, ItemFactory

pytestmark = pytest.mark.django_db

GZIP = {"Accept_Encoding": "gzip, deflate"}


def test_an_answer_has_the_id_of_its_request_and_so_has_the_log(call: Callable[..., Caller]) -> None:
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        answer = call().get("/stats/", X_Request_Id="erp-2026:0042")

    assert answer["X-Request-Id"] == "erp-2026:0042"
    assert {line["request_id"] for line in lines if line["event"] == "request_finished"} == {"erp-2026:0042"}


def test_the_log_believes_no_address_that_a_caller_wrote(client: Client) -> None:
    forged = {"X-Forwarded-For": "203.0.113.9", "X-Real-IP": "203.0.113.9"}
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        client.get("/api/v1/stats/", headers=forged)

    [line] = [line for line in lines if line["event"] == "request_finished"]
    assert line["ip"] == "127.0.0.1"


@pytest.mark.parametrize("given", ["", "a b", "x" * 101, "a\tb", "<script>", "ключ"])
def test_an_id_that_cannot_stand_in_a_log_is_replaced(client: Client, given: str) -> None:
    answers = [client.get("/api/v1/nowhere/", headers={"X-Request-Id": given}) for _number in range(2)]

    ids = [answer["X-Request-Id"] for answer in answers]
    assert len(set(ids)) == 2
    assert {len(one) for one in ids} == {36}


def test_answers_tell_how_many_requests_are_left(
    call: Callable[..., Caller], buyer: User, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.clear()
    settings.API_REQUESTS_PER_MINUTE = 2
    # Never across the turn of a minute, 20 s of which are left.
    monkeypatch.setattr("apps.api.protocol.throttling.time.time", lambda: 1_000_000.0)
    mine = call(buyer)

    answers = [mine.get("/demands/") for _number in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer["RateLimit"] for answer in answers] == [
        '"minute";r=1;t=20',
        '"minute";r=0;t=20',
        '"minute";r=0;t=20',
    ]
    assert {answer["RateLimit-Policy"] for answer in answers} == {'"minute";q=2;w=60'}


def test_a_caller_without_a_limit_is_told_of_none(call: Callable[..., Caller], buyer: User) -> None:
    assert "RateLimit" not in call(buyer).get("/demands/")


def test_programs_get_compressed_answers_and_exports(call: Callable[..., Caller], partner: User) -> None:
    for _number in range(20):
        DemandFactory.create(note="the same words again and again")
    program = call(partner)

    plain, packed = program.get("/demands/"), program.get("/demands/", **GZIP)
    assert (packed["Content-Encoding"], json.loads(gzip.decompress(packed.content))) == ("gzip", plain.json())
    assert len(packed.content) < len(plain.content) / 5
    assert "Content-Encoding" not in plain
    assert "Accept-Encoding" in plain["Vary"]

    rows = b"".join(program.get("/exports/demands"))
    assert gzip.decompress(b"".join(program.get("/exports/demands", **GZIP))) == rows


def test_nothing_that_comes_by_a_cookie_is_compressed(client: Client, buyer: User) -> None:
    """It may hold a secret beside what somebody else wrote, and its length would tell of it (BREACH)."""
    for number in range(20):
        ItemFactory.create(key=f"item.{number}")
    packed = {"Accept-Encoding": "gzip"}
    assert client.get("/api/v1/items/", headers=packed).has_header("Content-Encoding")
    client.force_login(buyer)

    for path in ("/api/v1/items/", "/api/v1/demands/", "/api/v1/docs/", "/needs/new/", "/"):
        assert (path, client.get(path, headers=packed).has_header("Content-Encoding")) == (path, False)


def test_a_page_without_a_cookie_is_not_compressed(client: Client) -> None:
    """The page for logging in holds a secret against CSRF, and what the address says."""
    page = client.get("/login/?next=/needs/", headers={"Accept-Encoding": "gzip"})
    assert (page.status_code, page.has_header("Content-Encoding")) == (200, False)


def test_a_compressed_row_can_be_changed_by_its_tag(call: Callable[..., Caller], partner: User, buyer: User) -> None:
    need = DemandFactory.create(organisation=buyer.grants[0].organisation, note="x" * 500)
    _token, text = issue_token(buyer, name="x", scopes=["read", "write"])
    mine = Caller(text)

    tag = mine.get(f"/demands/{need.pk}/", **GZIP)["ETag"]
    assert tag.startswith('W/"')
    assert mine.patch(f"/demands/{need.pk}/", {"note": "y"}, If_Match=tag).status_code == 200
