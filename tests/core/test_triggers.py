import pytest
from django.db import connection

pytestmark = pytest.mark.django_db


def test_no_trigger_costs_a_subtransaction_for_each_row() -> None:
    # PL/pgSQL opens a subtransaction for each block that catches exceptions, as pgtrigger's switch does.
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tgname FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid"
            r" WHERE tgname LIKE 'pgtrigger%%' AND prosrc ~* 'should_ignore|exception\s+when'"
        )
        assert cursor.fetchall() == []
        cursor.execute("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'pgtrigger%%'")
        assert cursor.fetchone()[0] > 10
