"""Who waits for whom, for tests of what happens between two steps of somebody else."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from django.db import connection, connections

T = TypeVar("T")


def until_it_waits_for_us(pool: ThreadPoolExecutor, work: Callable[[], T]) -> "Future[T]":
    """Begin `work` on a connection of its own; return when it waits for a row that our transaction has locked."""
    future = pool.submit(on_its_own_connection, work)
    while not (future.done() or _somebody_waits_for_us()):
        time.sleep(0.01)
    return future


def on_its_own_connection(work: Callable[[], T]) -> T:
    try:
        return work()
    finally:
        connections.close_all()


def _somebody_waits_for_us() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT FROM pg_locks WHERE NOT granted AND transactionid = pg_current_xact_id()::xid")
        return cursor.fetchone() is not None
