"""Columns of exports: their public names, where their values stand, and how each format writes them.

Ids are text, quantities whole numbers of the item's base unit, times RFC 3339 in UTC to the microsecond, regions and
items their public codes. PostgreSQL does the writing (see `services.py`), so each format is a few expressions of SQL.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Func, TextField
from django.db.models.constants import LOOKUP_SEP
from django.db.models.expressions import Combinable
from django.utils import translation

from apps.catalogue.models import Item, Standard

# The column that names a row of reference data to partners. Other rows are named by their primary key: a region's is
# its public code, an organisation's is its opaque id.
PUBLIC_NAMES: Final[dict[type[models.Model], str]] = {Item: "key", Standard: "code"}


class ColumnKind(Enum):
    """What a column holds, as far as the formats write it differently."""

    PLAIN = "plain"  # numbers, days, and codes that the program chose
    ID = "id"  # an opaque id or a price: a string in JSON, so that no program rounds it
    TIME = "time"
    FLAG = "flag"
    TYPED = "typed"  # text that somebody typed
    CODES = "codes"  # several codes; CSV divides them by spaces


@dataclass(frozen=True)
class ExportColumn:
    """A column: its name, which is that of the API, and where its value stands.

    `lookup` is a lookup from the dataset's model, or makes an expression.
    """

    name: str
    lookup: str | Callable[[], Combinable]
    kind: ColumnKind = ColumnKind.PLAIN

    @property
    def value(self) -> Combinable:
        """The expression that is read. Words of ours are English: a column means the same to all who pull it."""
        if isinstance(self.lookup, str):
            return F(self.lookup)
        with translation.override("en"):
            return self.lookup()


def columns_of(model: type[models.Model], *names: str) -> tuple[ExportColumn, ...]:
    """The columns of these fields of a model. Lookup and kind follow from the type of each field.

    Raises `FieldDoesNotExist` for a name that is no field of the model.
    """
    fields = [(name, model._meta.get_field(name)) for name in names]
    return tuple(ExportColumn(name, lookup_of(field), _kind_of(field)) for name, field in fields)


def lookup_of(field: Any) -> str:
    """The lookup of a model field's public value: a related row is shown by its code or id."""
    if not field.is_relation:
        return str(field.name)
    if public_name := PUBLIC_NAMES.get(field.related_model):
        return f"{field.name}{LOOKUP_SEP}{public_name}"
    return str(field.attname)


def _kind_of(field: Any) -> ColumnKind:
    # A public code stands for the row, and was chosen by us or a standard: nobody typed it.
    if field.is_relation and field.related_model in PUBLIC_NAMES:
        return ColumnKind.PLAIN
    if field.is_relation:
        # The ids of our own tables are numbers; codes of reference data are text already.
        return ColumnKind.ID if isinstance(field.target_field, models.AutoField) else ColumnKind.PLAIN
    # JavaScript reads JSON numbers as doubles: an id above 2 ** 53, or a price, would be rounded.
    if field.primary_key or isinstance(field, models.DecimalField):
        return ColumnKind.ID
    if isinstance(field, models.DateTimeField):
        return ColumnKind.TIME
    if isinstance(field, models.BooleanField):
        return ColumnKind.FLAG
    if isinstance(field, ArrayField):
        return ColumnKind.CODES
    if isinstance(field, models.CharField | models.TextField) and not field.choices:
        return ColumnKind.TYPED
    return ColumnKind.PLAIN


def for_csv(column: ExportColumn) -> Any:
    """The expression whose value CSV shows of a column."""
    write = _CSV.get(column.kind)
    return write(column.value) if write else column.value


def for_json(column: ExportColumn) -> Any:
    """The expression whose value JSON Lines shows of a column."""
    write = _JSON.get(column.kind)
    return write(column.value) if write else column.value


class UtcText(Func):
    """A time as `2026-11-30T12:00:00.000000Z`."""

    function = "to_char"
    template = """%(function)s(%(expressions)s AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
    output_field = TextField()


class AsText(Func):
    """A value as PostgreSQL writes it: an id, a price, `true` or `false`."""

    template = "(%(expressions)s)::text"
    output_field = TextField()


class SpaceSeparated(Func):
    """An array of codes as one text."""

    template = "array_to_string(%(expressions)s, ' ')"
    output_field = TextField()


class HarmlessText(Func):
    """Text that a spreadsheet would run as a formula gets an apostrophe in front, so that the spreadsheet shows it.

    The source of the list of first characters is OWASP's page on CSV injection. The wide signs are formulas too where
    Excel speaks Chinese or Japanese.
    """

    # Double apostrophes are one within an SQL literal. Every column of typed text passes here, in CSV only.
    template = (
        "CASE WHEN left(%(expressions)s, 1) IN ('=', '+', '-', '@', '＝', '＋', '－', '＠', E'\\t', E'\\r', E'\\n') "
        "THEN concat('''', %(expressions)s) ELSE %(expressions)s END"
    )
    output_field = TextField()

    def as_sql(self, *args: Any, **kwargs: Any) -> tuple[str, tuple[str | int, ...]]:
        """The template names the text three times, so its parameters are passed three times."""
        sql, parameters = super().as_sql(*args, **kwargs)
        return sql, tuple(parameters) * 3


_CSV: Final[dict[ColumnKind, type[Func]]] = {
    ColumnKind.TIME: UtcText,
    ColumnKind.FLAG: AsText,
    ColumnKind.CODES: SpaceSeparated,
    ColumnKind.TYPED: HarmlessText,
}
# JSON has flags, lists and escapes of its own.
_JSON: Final[dict[ColumnKind, type[Func]]] = {ColumnKind.TIME: UtcText, ColumnKind.ID: AsText}
