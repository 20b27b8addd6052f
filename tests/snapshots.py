"""Rows of the whole database, kept in memory and put back: for tests that commit, and whose data takes long to make."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction

Rows = dict[str, bytes]
"""By table, the output of COPY. Generated columns are not in it. Sequences stay as they are, so no key comes twice."""


def can_put_back() -> bool:
    """Triggers and foreign keys are set aside while rows are put back, which PostgreSQL lets only superusers do."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        return bool(cursor.fetchone()[0])


def take() -> Rows:
    with connection.cursor() as cursor:
        kept = {}
        for table in _tables():
            with cursor.copy(f'COPY "{table}" TO STDOUT') as copy:
                kept[table] = b"".join(bytes(part) for part in copy)
        return kept


def put_back(rows: Rows) -> None:
    """Whatever is there now goes."""
    with transaction.atomic(), connection.cursor() as cursor, _as_replica():
        cursor.execute("TRUNCATE " + ", ".join(f'"{table}"' for table in rows))
        for table, lines in rows.items():
            with cursor.copy(f'COPY "{table}" FROM STDIN') as copy:
                copy.write(lines)
    ContentType.objects.clear_cache()


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
