"""What PostgreSQL says about its own upkeep: an open transaction keeps it from clearing away dead rows.

Queues change all the time, so dead rows slow them first: claims of messages became a hundred times slower within two
minutes of one open transaction.
"""

import datetime as dt
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final, NamedTuple

from django.apps import apps
from django.db import connection
from django.db.models import QuerySet

# Tables whose rows are queues of work.
QUEUES: Final = ("demands_demand", "notifications_message", "supply_offerchange")


# What tells how long a promise (cosmomatch/celery.py) has been due: rows of a model at a time, and since when each is.
# Each is read off an index that holds little else.
_DUE: Final[dict[str, tuple[str, Callable[[Any, dt.datetime], QuerySet[Any]], str]]] = {
    "match": ("demands.Demand", lambda rows, now: rows.awaiting_match(now), "match_requested_at"),
    "clocks": ("demands.Demand", lambda rows, now: rows.open().filter(escalates_at__lte=now), "escalates_at"),
    "heavy": ("supply.SheetImport", lambda rows, now: rows.due(now), "created_at"),
} | {
    channel: ("notifications.Message", lambda rows, now, of=channel: rows.due(now).filter(channel=of), "due_at")
    for channel in ("email", "sms", "webhook")
}


class QueueRows(NamedTuple):
    """Rows of a table, as PostgreSQL estimates them."""

    live: int
    dead: int


def oldest_transaction() -> timedelta:
    """The age of the oldest transaction of a client; nought where none is open but this one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(greatest(clock_timestamp() - min(xact_start), interval '0'), interval '0') "
            "FROM pg_stat_activity "
            "WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        (age,) = cursor.fetchone()
    return age  # type: ignore[no-any-return]  # an interval


def queues() -> dict[str, QueueRows]:
    """The rows of each queue, by the name of its table."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, n_live_tup, n_dead_tup FROM pg_stat_user_tables "
            "WHERE schemaname = current_schema() AND relname = ANY(%s) ORDER BY relname",
            [list(QUEUES)],
        )
        return {name: QueueRows(live, dead) for name, live, dead in cursor.fetchall()}


def estimated(table: str, column: str, *, above: int) -> dict[str, int] | None:
    """How many rows have which value, as of the last ANALYZE; None for a table that has not so many rows.

    Of a column with few values. One that next to no row has may be missing.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT value, round(share * reltuples)::bigint "
            "FROM pg_class JOIN pg_stats ON schemaname = current_schema() AND tablename = relname AND attname = %s, "
            "unnest(most_common_vals::text::text[], most_common_freqs) AS common (value, share) "
            "WHERE pg_class.oid = to_regclass(%s) AND reltuples > %s",
            [column, table, above],
        )
        return dict(cursor.fetchall()) or None


def ages(now: dt.datetime) -> dict[str, timedelta]:
    """By queue, how long the row that has been due for longest waits for a worker."""
    found = {}
    for queue, (model, rows, since) in _DUE.items():
        oldest = rows(apps.get_model(model)._default_manager.all(), now).order_by(since)
        first = oldest.values_list(since, flat=True).first()
        found[queue] = now - first if first else timedelta()
    return found
