"""While the database is away: come back in a moment, never “our fault”."""

import errno
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from redis.exceptions import ReadOnlyError

from apps.accounts.models import User
from apps.api.protocol.problems import passes

pytestmark = pytest.mark.django_db


def _away(*_call: Any) -> None:
    raise OperationalError("couldn't get a connection after 5.00 sec")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_program_is_told_to_come_back_while_the_database_is_away(method: str, call: Callable[..., Any]) -> None:
    caller = call()
    caller.client = Client(raise_request_exception=False)

    with connection.execute_wrapper(_away):
        answer = caller(method, "/demands/", {}, Authorization="Bearer cosmo_" + "0" * 64)

    assert answer.status_code == 503
    assert answer["Content-Type"] == "application/problem+json"
    assert answer["Retry-After"] == "5"
    assert answer.json()["code"] == "unavailable"


def _too_slow(execute: Callable[..., Any], *call: Any) -> Any:
    """The statement is run, and takes longer than it may."""
    with connection.connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '20ms'")
    return execute("SELECT pg_sleep(5)", None, *call[2:])


@pytest.mark.parametrize("path", ["/api/v1/items/", "/"])
def test_a_statement_without_time_left_is_a_503_for_programs_and_people(path: str) -> None:
    with connection.execute_wrapper(_too_slow):
        answer = Client(raise_request_exception=False).get(path)

    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    form = "application/problem+json" if path.startswith("/api/") else "text/html; charset=utf-8"
    assert answer["Content-Type"] == form


@pytest.mark.django_db(transaction=True)
def test_what_cannot_be_written_now_is_a_503(call: Callable[..., Any], buyer: User) -> None:
    program = call(buyer)
    program.client = Client(raise_request_exception=False)
    browser = Client(raise_request_exception=False)
    browser.force_login(buyer)

    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
        try:
            told = program("POST", "/organisations/", {"name": "Hospital", "kind": "hospital", "region": "420100"})
            shown = browser.post("/logout/")
        finally:
            cursor.execute("SET default_transaction_read_only = off")

    assert (told.status_code, told.json()["code"], told["Retry-After"]) == (503, "unavailable", "5")
    assert (shown.status_code, shown["Retry-After"]) == (503, "5")


def test_a_disk_without_room_and_a_redis_without_memory_pass_too() -> None:
    away = (OSError(errno.ENOSPC, "No space left on device"), ReadOnlyError(), OperationalError())
    assert [passes(error) for error in (*away, OSError(errno.ENOENT, "no such file"), ValueError())] == [
        *(True for _ in away),
        False,
        False,
    ]
