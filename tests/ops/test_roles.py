"""Whoever has the program's connection reads and writes rows, and no more. Each test is an attack with it."""

import os
from collections.abc import Iterator

import psycopg
import pytest
from django.db import connection
from psycopg import errors
from pytest_django import Settings

from apps.core import audit
from apps.core.models import AuditEntry
from apps.ops import health, roles
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db

Program = psycopg.Connection[tuple[object, ...]]


@pytest.fixture
def program() -> Iterator[Program]:
    """A log-in of its own, as no `SET ROLE` leads out of it."""
    sockets = connection.settings_dict["HOST"]
    if not sockets.startswith(os.sep):
        pytest.skip("The server is not one of our own.")
    name = connection.settings_dict["NAME"]
    with psycopg.connect(host=sockets, user=roles.PROGRAM, dbname=name, autocommit=True) as found:
        yield found


@pytest.mark.parametrize(
    "attack",
    [
        "UPDATE core_auditentry SET event = 'nothing.done'",
        "DELETE FROM core_auditentry",
        "TRUNCATE core_auditentry",
        "ALTER TABLE core_auditentry DISABLE TRIGGER ALL",
        "DROP TABLE core_auditentry",
        "ALTER FUNCTION audit_change(text, text, text, text[], text[], jsonb, jsonb) RENAME TO away",
        "SET session_replication_role = replica",
        "TRUNCATE demands_demand CASCADE",
        "ALTER TABLE accounts_user ADD COLUMN back_door text",
        "DROP TRIGGER pgtrigger_note_member_5fafb ON accounts_membership",
        "CREATE TABLE public.mine ()",
        "CREATE ROLE mine SUPERUSER",
        "GRANT cosmomatch TO cosmomatch_program",
        "SET ROLE cosmomatch",
        "UPDATE django_migrations SET name = 'none'",
        "COPY accounts_user TO PROGRAM 'cat'",
    ],
)
def test_the_program_is_refused(program: Program, attack: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        program.execute(attack)


def test_the_program_writes_rows_and_adds_to_the_trail(program: Program) -> None:
    with program.transaction(force_rollback=True):
        program.execute(
            "INSERT INTO core_auditentry (event, target_type, target_id, data) VALUES ('thing.done', 'x', '1', '{}')"
        )
        assert program.execute("SELECT event FROM core_auditentry").fetchall() == [("thing.done",)]
        for table in connection.introspection.table_names():
            if table not in {"core_auditentry", "django_migrations"}:
                # All of them: with commas, PostgreSQL would ask for any.
                may = "SELECT bool_and(has_table_privilege(%s, p)) FROM unnest(%s::text[]) AS p"
                rights = ["SELECT", "INSERT", "UPDATE", "DELETE"]
                assert program.execute(may, [f'"{table}"', rights]).fetchone() == (True,), table


def test_the_program_sees_what_other_roles_write(program: Program) -> None:
    """Otherwise `X-Next-Since` would pass over rows that a command of the owner has not committed yet."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_xact_id(), pg_backend_pid()")
        _writing, pid = cursor.fetchone()
    seen = program.execute("SELECT backend_xid IS NOT NULL FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone()
    assert seen == (True,)


def test_health_names_a_role_that_is_too_strong(settings: Settings) -> None:
    settings.PRODUCTION = True
    assert "audit trail" in health.database_role()
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL ROLE {roles.PROGRAM}")
        try:
            assert health.database_role() == ""
            # What the program does all day works with these rights, triggers included.
            user = UserFactory.create()
            audit.record(user, "thing.done", user)
            assert AuditEntry.objects.filter(event="user.added", target_id=str(user.pk)).exists()
        finally:
            cursor.execute("SET LOCAL ROLE NONE")
