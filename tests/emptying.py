"""Tables are emptied after each test with real transactions, twenty times as fast as Django does it.

Django truncates all tables, which makes new files for each table and index, and then makes all permissions anew: more
than a second. Here small tables are emptied by DELETE, without triggers and checks of foreign keys, and content types
and permissions stay as they are.
"""

from typing import Any, Final

from django.db import connection, transaction
from django.test import TransactionTestCase

# They follow from the models and not from any test.
KEPT: Final = ("django_content_type", "auth_permission")
# Bytes. DELETE leaves the pages of a table behind, and the planner would take it for a large one.
LARGEST: Final = 2_000_000

_truncate = TransactionTestCase._fixture_teardown  # type: ignore[attr-defined]  # it is there


def _empty(case: Any) -> None:
    tables = [table for table in connection.introspection.django_table_names(only_existing=True) if table not in KEPT]
    if case.serialized_rollback or case.available_apps is not None or not _can_be_deleted(tables):
        _truncate(case)
        return
    names = [connection.ops.quote_name(table) for table in tables]
    with transaction.atomic(), connection.cursor() as cursor:
        # Writers that a test has left behind are waited for, as by TRUNCATE.
        cursor.execute(f"LOCK TABLE {', '.join(names)} IN EXCLUSIVE MODE")
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("; ".join(f"DELETE FROM {name}" for name in names))  # noqa: S608  # the names are Django's


def _can_be_deleted(tables: list[str]) -> bool:
    """Whether the role may pass over triggers, and no table is large."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)"
            " AND max(pg_relation_size(oid)) < %s FROM pg_class WHERE relkind = 'r' AND relname = ANY(%s)",
            [LARGEST, tables],
        )
        (possible,) = cursor.fetchone()
    return bool(possible)


def install() -> None:
    """Have all tests with real transactions end this way."""
    TransactionTestCase._fixture_teardown = _empty  # type: ignore[attr-defined]  # it is there
