"""Connections to PostgreSQL that give up on a server that takes requests and never answers.

Such is a server whose process is stopped or whose disk hangs. Its own time-outs do not help, because the server itself
keeps them. TCP's do not help either, because the kernel still answers. Imports no Django: the settings name the class.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.errors import OperationalError, _WaitTimeout

T = TypeVar("T")

CHECK_SECONDS: Final = 2.0


class BoundedConnection(psycopg.Connection[Any]):
    """A connection on which nothing is waited for longer than `seconds`; None is no limit."""

    seconds: float | None = None

    def execute(self, query: Any, *arguments: Any, **options: Any) -> psycopg.Cursor[Any]:
        # With an empty statement the pool asks whether the server is there, before it hands out a connection.
        with waiting_at_most(self, CHECK_SECONDS if query == "" else self.seconds):
            return super().execute(query, *arguments, **options)

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        try:
            return super().wait(gen, interval, self.seconds if timeout is None else timeout)
        except _WaitTimeout as error:
            # What the server would still answer belongs to no later question.
            self.close()
            raise OperationalError("The database has not answered in time.") from error


def bounded(seconds: float | None) -> type[BoundedConnection]:
    """The class of connections that wait so long."""
    return type("BoundedConnection", (BoundedConnection,), {"seconds": seconds})


@contextmanager
def waiting_at_most(session: psycopg.Connection[Any], seconds: float | None) -> Iterator[None]:
    """Wait so long on this connection. Nothing changes for one that has no limit."""
    if not isinstance(session, BoundedConnection) or session.seconds is None:
        yield
        return
    before, session.seconds = session.seconds, seconds
    try:
        yield
    finally:
        session.seconds = before
