"""Rows of the whole database, kept in memory and put back: for tests that commit, and whose data takes long to make."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction

Rows = dict[str, bytes]
"""By table, the output of COPY. Generated columns are not in it. Sequences are never set back: no key comes twice."""


def can_put_back() -> bool:
    """Triggers and foreign keys are set aside while rows are put back, which PostgreSQL lets only superusers do."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        return bool(cursor.fetchone()[0])


def take(prefix: str = "") -> Rows:
    """The rows of all tables, or of those whose names begin so."""
    with connection.cursor() as cursor:
        kept = {}
        for table in filter(lambda name: name.startswith(prefix), _tables()):
            with cursor.copy(f'COPY "{table}" TO STDOUT') as copy:
                kept[table] = b"".join(bytes(part) for part in copy)
        return kept


def put_back(rows: Rows) -> None:
    """Whatever is there now goes."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("TRUNCATE " + ", ".join(f'"{table}"' for table in rows))
        put(rows)
    ContentType.objects.clear_cache()


def put(rows: Rows) -> None:
    """Into empty tables."""
    with transaction.atomic(), connection.cursor() as cursor, _as_replica():
        for table, lines in rows.items():
            with cursor.copy(f'COPY "{table}" FROM STDIN') as copy:
                copy.write(lines)


def sequences() -> dict[str, int]:
    """By name, the last number that each gave."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT sequencename, last_value FROM pg_sequences WHERE last_value IS NOT NULL")
        return dict(cursor.fetchall())


def advance(to: dict[str, int]) -> None:
    """Have each sequence go on behind this number, for rows that come from another database."""
    reached = sequences()
    with connection.cursor() as cursor:
        for name, number in to.items():
            if number > reached.get(name, 0):
                cursor.execute("SELECT setval(%s::regclass, %s)", [name, number])


@contextmanager
def _as_replica() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        yield
        cursor.execute("SET LOCAL session_replication_role = origin")


def _tables() -> list[str]:
    with connection.cursor() as cursor:
        names = connection.introspection.table_names(cursor)
    return sorted(set(names) - {"django_migrations"})
