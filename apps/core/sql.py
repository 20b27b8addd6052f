"""SQL as source: functions, types and views of the database stand in `.sql` files, and migrations install them.

One object a file, named as the object. The file holds its current text, and the newest migration that changed the text
installs it: `operations = [install("matching", "holds/sql/matching_hold.sql")]`. Whoever changes a file takes it out of
the migration that had it and adds a migration with `install` (docs/changing.md). `tests/core/test_sql.py` compares what
a migrated database holds with the files.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from django.apps import apps
from django.conf import settings
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

_CREATE: Final = re.compile(r"^CREATE (FUNCTION|TYPE|VIEW) (\w+)", re.MULTILINE)


@dataclass(frozen=True)
class SQLObject:
    """What one file makes: its kind (FUNCTION, TYPE or VIEW), its name, and the text that makes it."""

    kind: str
    name: str
    text: str

    @property
    def drop(self) -> str:
        return f"DROP {self.kind} IF EXISTS {self.name}"


def read(path: Path) -> SQLObject:
    """The object of a file. Raises `ValueError` where the file makes none, several, or one of another name."""
    text = path.read_text(encoding="utf-8")
    match _CREATE.findall(text):
        case [(kind, name)] if name == path.stem:
            return SQLObject(kind, name, text)
        case found:
            raise ValueError(f"{path.name} must create one object of its own name, not {found}")


def files() -> list[Path]:
    """Every `.sql` file of the project's own apps."""
    root = Path(settings.BASE_DIR) / "apps"
    return sorted(root.glob("**/sql/*.sql"))


class install(Operation):  # noqa: N801  reads as a verb in a migration, like a function
    """Install files of an app in the order given: what others depend on comes first.

    What is there already under these names is dropped first, in the opposite order, so a function can change its
    arguments and a type its columns. Backwards the objects are dropped.
    """

    reversible = True
    reduces_to_sql = True

    def __init__(self, app: str, *paths: str) -> None:
        self.app = app
        self.paths = paths

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return type(self).__name__, [self.app, *self.paths], {}

    def describe(self) -> str:
        return f"Install {', '.join(self.paths)}"

    def objects(self) -> list[SQLObject]:
        folder = Path(apps.get_app_config(self.app).path)
        return [read(folder / path) for path in self.paths]

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """No model changes."""

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        self._drop(schema_editor)
        for made in self.objects():
            # `params=None`: a percent sign in the text is no placeholder.
            schema_editor.execute(made.text, params=None)

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        self._drop(schema_editor)

    def _drop(self, schema_editor: BaseDatabaseSchemaEditor) -> None:
        # The opposite order, because PostgreSQL refuses to drop what another object depends on.
        for made in reversed(self.objects()):
            schema_editor.execute(made.drop, params=None)


class name_foreign_key(Operation):  # noqa: N801  reads as a verb in a migration, like a function
    """Give the constraint of a foreign key a name that SQL can say. Django's own ends in a hash."""

    reversible = True
    # The present name is looked up in the database, so `sqlmigrate` cannot write the statement.
    reduces_to_sql = False

    def __init__(self, model: str, field: str, name: str) -> None:
        self.model = model
        self.field = field
        self.name = name

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return type(self).__name__, [self.model, self.field, self.name], {}

    def describe(self) -> str:
        return f"Name the foreign key {self.field} of {self.model} {self.name}"

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """No model changes: Django finds constraints by their columns."""

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        table, present = self._constraint(app_label, schema_editor, to_state)
        if present != self.name:
            schema_editor.execute(f'ALTER TABLE "{table}" RENAME CONSTRAINT "{present}" TO "{self.name}"', params=None)

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        """The name stays; nothing in Django relies on the old one."""

    def _constraint(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, state: ProjectState
    ) -> tuple[str, str]:
        model = state.apps.get_model(app_label, self.model)
        column = str(model._meta.get_field(self.field).column)
        table = model._meta.db_table
        # Foreign keys of the same transaction are made at its end, and must be there to be renamed.
        statements, schema_editor.deferred_sql = schema_editor.deferred_sql, []
        for statement in statements:
            schema_editor.execute(statement)
        with schema_editor.connection.cursor() as cursor:
            known = schema_editor.connection.introspection.get_constraints(cursor, table)
        [present] = [name for name, facts in known.items() if facts["foreign_key"] and facts["columns"] == [column]]
        return table, present
