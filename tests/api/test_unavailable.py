"""While the database is away: come back in a moment, never “our fault”."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client

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
