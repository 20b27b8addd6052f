"""Triggers of django-pgtrigger without its switch for leaving them out.

The function of an ordinary `pgtrigger.Trigger` first asks whether `pgtrigger.ignore` names it. Where nothing was ever
ignored, that question fails and is caught, so each row costs a subtransaction: 0.6 ms beside the 0.06 ms of the row
itself, and a COPY of 100,000 offers took six minutes. We never ignore a trigger.
"""

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
