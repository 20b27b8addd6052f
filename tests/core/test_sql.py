"""What a migrated database holds of our own functions, types and views is what the `.sql` files say."""

import re
from pathlib import Path

import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from apps.core import sql

FILES = sql.files()

# Objects in our schema that no extension brought and no trigger of pgtrigger needs, each with its definition.
_INSTALLED = """
    SELECT proname AS name, pg_get_functiondef(pg_proc.oid) AS definition
    FROM pg_proc
    WHERE pronamespace = %(schema)s::regnamespace AND proname !~ '^_?pgtrigger'
        AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')
    UNION ALL
    SELECT relname, pg_get_viewdef(pg_class.oid)
    FROM pg_class WHERE relnamespace = %(schema)s::regnamespace AND relkind = 'v'
    UNION ALL
    SELECT typname, string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum)
    FROM pg_type JOIN pg_class ON pg_class.oid = typrelid JOIN pg_attribute ON attrelid = pg_class.oid
    WHERE typnamespace = %(schema)s::regnamespace AND relkind = 'c' GROUP BY typname
"""


def installed(schema: str) -> dict[str, str]:
    """The definitions of a schema by name, without the schema's own name."""
    with connection.cursor() as cursor:
        cursor.execute(_INSTALLED, {"schema": schema})
        return {name: re.sub(rf"\b{schema}\.", "", definition) for name, definition in cursor.fetchall()}


def in_order() -> list[sql.SQLObject]:
    """As migrations install them: an object comes after those that it needs."""
    loader = MigrationLoader(None)
    plan = loader.graph._generate_plan(loader.graph.leaf_nodes(), at_end=True)
    return [
        made
        for key in plan
        for operation in loader.graph.nodes[key].operations
        if isinstance(operation, sql.install)
        for made in operation.objects()
    ]


@pytest.mark.django_db
def test_each_file_is_installed_by_one_migration() -> None:
    assert FILES
    assert sorted(made.name for made in in_order()) == sorted(path.stem for path in FILES)


@pytest.mark.django_db
def test_the_database_holds_what_the_files_say() -> None:
    """Made once more in a schema of their own, the files give the same definitions, and nothing else is there."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA afresh")
        cursor.execute("SET LOCAL search_path = afresh, public")
        for made in in_order():
            cursor.execute(made.text)
        afresh = installed("afresh")
        cursor.execute("SET LOCAL search_path = public")

    assert installed("public") == afresh


@pytest.mark.parametrize("text", ["SELECT 1", "CREATE VIEW a AS SELECT 1; CREATE VIEW b AS SELECT 2", "CREATE VIEW c"])
def test_a_file_makes_one_object_of_its_own_name(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.sql"
    path.write_text(text.replace("; ", ";\n"), encoding="utf-8")
    with pytest.raises(ValueError, match="one object"):
        sql.read(path)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_sql_is_plain(path: Path) -> None:
    """Neither placeholders nor generated names nor values by position."""
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"%\(|%s|\{\w+\}|_[0-9a-f]{8}_fk", text)
    assert not re.search(r"\bORDER BY \d|\bGROUP BY \d|SELECT \*", text)
