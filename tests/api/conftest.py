"""Calling the API as one of the cast."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from pytest_django import DjangoDbBlocker

from apps.accounts.models import TokenScope, User
from apps.accounts.services import issue_token

ROOT = "/api/v1"


@pytest.fixture(autouse=True)
def _no_limits(settings: Any) -> None:
    """Tests ask more in a minute than any client may; test_throttling.py sets its own limits."""
    settings.API_REQUESTS_PER_MINUTE = settings.API_ANONYMOUS_REQUESTS_PER_MINUTE = 0


@contextmanager
def rows_for_a_module(blocker: DjangoDbBlocker) -> Iterator[None]:
    """Rows that are made inside are there for all tests of a module, and gone after them.

    The transaction stands around those of the tests, each of which becomes a savepoint in it. No test of such a module
    may use real transactions (`live_server`, `transaction=True`): it would not see the rows.
    """
    with blocker.unblock(), transaction.atomic():
        yield
        transaction.set_rollback(True)


class Caller:
    """A program with a token, or nobody."""

    def __init__(self, token: str | None) -> None:
        self.client = Client(raise_request_exception=True)
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def __call__(self, method: str, path: str, data: Any = None, **headers: str) -> Any:
        return self.client.generic(
            method,
            ROOT + path,
            b"" if data is None else data if isinstance(data, bytes) else _json(data),
            content_type="application/json",
            headers={**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}},
        )

    def get(self, path: str, **headers: str) -> Any:
        return self("GET", path, **headers)

    def post(self, path: str, data: Any = None, **headers: str) -> Any:
        return self("POST", path, {} if data is None else data, **headers)

    def patch(self, path: str, data: Any, **headers: str) -> Any:
        return self("PATCH", path, data, **headers)

    def delete(self, path: str, **headers: str) -> Any:
        return self("DELETE", path, **headers)


def _json(data: Any) -> bytes:
    import json

    return json.dumps(data).encode()


@pytest.fixture
def call() -> Callable[..., Caller]:
    """`call(user)` is a caller with a token of theirs, `call()` nobody."""

    def make(user: User | None = None, *, scopes: list[str] | None = None, **token: Any) -> Caller:
        if user is None:
            return Caller(None)
        _token, text = issue_token(user, name="test", scopes=scopes or list(TokenScope.values), **token)
        return Caller(text)

    return make
