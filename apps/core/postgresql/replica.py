"""A replica of PostgreSQL takes long reads off the primary, where `DATABASE_REPLICA_URL` names one.

What is read there is never older than the question. The replica is asked only once it has all that the primary had
committed when the reading began. If it does not have it soon, or is away, the primary is read.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

import structlog
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection, connections

log = structlog.get_logger(__name__)

ALIAS: Final = "replica"
# A replica that follows at all has everything within milliseconds.
PATIENCE_SECONDS: Final = 2.0
_read: ContextVar[str | None] = ContextVar("read", default=None)


class ReplicaRouter:
    """Sends what is read within `reading()` there, and all else to the primary."""

    def db_for_read(self, _model: Any, **_hints: Any) -> str | None:
        return _read.get()

    def db_for_write(self, _model: Any, **_hints: Any) -> str:
        return DEFAULT_DB_ALIAS

    def allow_relation(self, _one: Any, _other: Any, **_hints: Any) -> bool:
        return True  # both have the same rows


@contextmanager
def reading() -> Iterator[str]:
    """Read from the replica within the block, or from the primary. Gives the alias of that connection."""
    alias = ALIAS if ALIAS in connections.settings and _has_caught_up() else DEFAULT_DB_ALIAS
    before = _read.set(alias)
    try:
        yield alias
    finally:
        _read.reset(before)


def _has_caught_up() -> bool:
    with connection.cursor() as cursor:
        # The end of what is flushed would leave out what the sender commits without waiting for the disk.
        cursor.execute("SELECT pg_current_wal_insert_lsn()")
        (written,) = cursor.fetchone()
    until = time.monotonic() + PATIENCE_SECONDS
    try:
        with connections[ALIAS].cursor() as cursor:
            while time.monotonic() < until:
                # One that was promoted follows nobody: it is the primary itself, or has gone a way of its own.
                cursor.execute("SELECT pg_is_in_recovery(), pg_last_wal_replay_lsn() >= %s::pg_lsn", [written])
                follows, has_it = cursor.fetchone()
                if has_it and follows:
                    return True
                if not follows:
                    break
                time.sleep(0.02)
    except DatabaseError as error:
        log.warning("replica_away", error=str(error))
        return False
    log.warning("replica_behind", written=str(written))
    return False
