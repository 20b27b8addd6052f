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
from apps.exports.workbook import DAY_STYLE, TIME_STYLE

# The column that names a row of reference data to partners. Other rows are named by their primary key: a region's is
# its public code, an organisation's is its opaque id.
PUBLIC_NAMES: Final[dict[type[models.Model], str]] = {Item: "key", Standard: "code"}


class ColumnKind(Enum):
    """What a column holds, as far as the formats write it differently."""

    PLAIN = "plain"  # a code that the program chose
    NUMBER = "number"
    ID = "id"  # an opaque id: a string in JSON, so that no program rounds it
    PRICE = "price"  # the same, but a number in a sheet
    TIME = "time"
    DAY = "day"
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
    if field.primary_key:
        return ColumnKind.ID
    if isinstance(field, models.CharField | models.TextField) and not field.choices:
        return ColumnKind.TYPED
    return next((kind for classes, kind in _KINDS if isinstance(field, classes)), ColumnKind.PLAIN)


# The first class that fits decides: a `DateTimeField` is a `DateField` too. JavaScript reads JSON numbers as doubles:
# an id above 2 ** 53, or a price, would be rounded.
_KINDS: Final = (
    (models.DecimalField, ColumnKind.PRICE),
    (models.IntegerField | models.FloatField, ColumnKind.NUMBER),
    (models.DateTimeField, ColumnKind.TIME),
    (models.DateField, ColumnKind.DAY),
    (models.BooleanField, ColumnKind.FLAG),
    (ArrayField, ColumnKind.CODES),
)


def for_csv(column: ExportColumn) -> Any:
    """The expression whose value CSV shows of a column."""
    write = _CSV.get(column.kind)
    return write(column.value) if write else column.value


def for_json(column: ExportColumn) -> Any:
    """The expression whose value JSON Lines shows of a column."""
    write = _JSON.get(column.kind)
    return write(column.value) if write else column.value


def for_sheet(column: ExportColumn) -> Any:
    """The expression whose value is the cell of a column in a sheet of XLSX, as XML."""
    if column.kind == ColumnKind.CODES:
        return TextCell(SpaceSeparated(column.value))
    if template := _CELLS.get(column.kind):
        return ValueCell(column.value, template=template)
    return TextCell(AsText(column.value))


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
_JSON: Final[dict[ColumnKind, type[Func]]] = {
    ColumnKind.TIME: UtcText,
    ColumnKind.ID: AsText,
    ColumnKind.PRICE: AsText,
}


class ValueCell(Func):
    """A cell of a number, a flag, a day or a time. Without a value it is empty, and still there: cells go by place."""

    output_field = TextField()


class TextCell(Func):
    """A cell of text, which no spreadsheet takes for a formula.

    XML has no control characters, and SpreadsheetML writes them as `_x0007_`: text of that form is guarded.
    """

    template = (
        'coalesce(\'<c t="inlineStr"><is><t xml:space="preserve">\' || regexp_replace(regexp_replace('
        "replace(replace(replace(replace(replace(%(expressions)s, '&', '&amp;'), '<', '&lt;'), '>', '&gt;'), "
        "E'\\n', '&#10;'), E'\\r', '&#13;'), '_(?=x[0-9A-Fa-f]{4}_)', '_x005F_', 'g'), "
        "'[\\u0001-\\u0008\\u000B\\u000C\\u000E-\\u001F\\uFFFE\\uFFFF]', '', 'g') || '</t></is></c>', '<c/>')"
    )
    output_field = TextField()


def _value_cell(attributes: str, text: str) -> str:
    return f"coalesce('<c{attributes}><v>' || {text} || '</v></c>', '<c/>')"


# Spreadsheets count days from the end of 1899. A time is in UTC, as they know no zones.
_CELLS: Final = {
    ColumnKind.NUMBER: _value_cell("", "(%(expressions)s)::text"),
    ColumnKind.PRICE: _value_cell("", "(%(expressions)s)::text"),
    ColumnKind.FLAG: _value_cell(' t="b"', "(%(expressions)s)::int::text"),
    ColumnKind.DAY: _value_cell(f' s="{DAY_STYLE}"', "(%(expressions)s - DATE '1899-12-30')::text"),
    ColumnKind.TIME: _value_cell(
        f' s="{TIME_STYLE}"',
        "round(extract(epoch FROM %(expressions)s - TIMESTAMPTZ '1899-12-30 00:00:00+00') / 86400, 9)::text",
    ),
}
