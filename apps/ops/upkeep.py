"""What PostgreSQL says about its own upkeep: an open transaction keeps it from clearing away dead rows.

Queues change all the time, so dead rows slow them first: claims of messages became a hundred times slower within two
minutes of one open transaction.
"""

from datetime import timedelta
from typing import Final, NamedTuple

from django.db import connection

# Tables whose rows are queues of work.
QUEUES: Final = ("demands_demand", "notifications_message", "supply_offerchange")


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
