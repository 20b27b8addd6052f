"""Triggers of django-pgtrigger without its switch for leaving them out.

The function of an ordinary `pgtrigger.Trigger` first asks whether `pgtrigger.ignore` names it. Where nothing was ever
ignored, that question fails and is caught, so each row costs a subtransaction: 0.6 ms beside the 0.06 ms of the row
itself, and a COPY of 100,000 offers took six minutes. We never ignore a trigger.
"""

from functools import reduce
from operator import or_
from typing import Final

import pgtrigger
import pgtrigger.compiler
from django.db import models

# The placeholders are those of `UpsertTriggerSql`. Migrations store them, so the text must go on serving old ones.
_TEMPLATE: Final = """
    CREATE OR REPLACE FUNCTION {pgid}() RETURNS TRIGGER AS $$ {declare} BEGIN {func} END; $$ LANGUAGE plpgsql;

    DROP TRIGGER IF EXISTS {pgid} ON {table};
    CREATE {constraint} TRIGGER {pgid} {when} {operation} ON {table} {timing} {referencing}
        FOR EACH {level} {condition} EXECUTE FUNCTION {execute};

    COMMENT ON TRIGGER {pgid} ON {table} IS '{hash}';
"""

# The names of triggers that write the audit trail begin so.
NOTES: Final = "note_"
_STARTS: Final = {"INSERT INTO": "INSERT", "UPDATE": "UPDATE", "DELETE FROM": "DELETE"}


class TriggerSQL(pgtrigger.compiler.UpsertTriggerSql):
    """What a migration runs to install a trigger."""

    def get_template(self) -> str:
        return _TEMPLATE


class Trigger(pgtrigger.Trigger):
    """Declared and migrated like `pgtrigger.Trigger`."""

    def compile(self, model: models.Model) -> pgtrigger.compiler.Trigger:
        compiled = super().compile(model)
        kwargs = {name: value for name, value in compiled.sql.kwargs.items() if name != "ignore_func_name"}
        return pgtrigger.compiler.Trigger(name=self.name, sql=TriggerSQL(**kwargs))


class Protect(Trigger, pgtrigger.Protect):
    """Like `pgtrigger.Protect`, and no setting of a session lets a change pass."""


def notes_changes(
    noun: str,
    *,
    of: str,
    by: str,
    labels: tuple[str, ...] = (),
    columns: tuple[str, ...] = (),
    rows: pgtrigger.Operation | None = pgtrigger.Insert | pgtrigger.Delete,
) -> Trigger:
    """A trigger that writes the audit trail: `noun.added`, `noun.removed`, and `noun.changed` with from and to.

    The entry is about the row of the model `of` whose key stands in the column `by`. Every entry names the `labels`;
    a change is noted when one of the `columns` differs, the coming and going of rows as `rows` says. No path past the
    services leaves the trail out. Not for tables that change thousands of times a minute: each row costs an entry.
    """
    operations = [rows] if rows else []
    if columns:
        operations.append(pgtrigger.UpdateOf(*columns))  # type: ignore[no-untyped-call]  # it has no types
    names = ", ".join(f"'{{{','.join(group)}}}'" for group in (labels, columns))
    return Trigger(
        name=f"{NOTES}{noun}",
        when=pgtrigger.After,
        operation=reduce(or_, operations),
        func=f"PERFORM audit_change('{noun}', '{of}', '{by}', {names}, to_jsonb(OLD), to_jsonb(NEW)); RETURN NULL;",
    )


def noted_statements() -> tuple[str, ...]:
    """How the statements begin that such a trigger may note, as Django writes them."""
    return tuple(
        sorted(
            {
                f'{start} "{model._meta.db_table}"'
                for model, trigger in pgtrigger.registered()
                if str(trigger.name).startswith(NOTES)
                for start, operation in _STARTS.items()
                if operation in str(trigger.operation)
            }
        )
    )
