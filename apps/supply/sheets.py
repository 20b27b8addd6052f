"""Reads sheets of offers, CSV or XLSX, into rows of typed values; `reading.py` decides which item a name means.

The first row names the columns, in English as in the API or in Chinese (`HEADERS`). Their order does not matter.
Unknown columns are reported and skipped. Quantities are whole numbers of the item's base unit.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from apps.supply import workbook
from apps.supply.cells import CellFault, plain, text_of
from apps.supply.fields import FIELDS

MAX_ROWS: Final = 2_000
# Empty lines and columns that nobody reads cost time too: a tiny XLSX may name cell XFD1048576.
MAX_LINES: Final = 2 * MAX_ROWS
MAX_COLUMNS: Final = 100
LONGEST_NAME: Final = 200  # of a column, in characters

HEADERS: Final = {field.name: (field.name, *field.headers) for field in FIELDS}
PARSERS: Final = {field.name: field.parse for field in FIELDS}
REQUIRED: Final = tuple(field.name for field in FIELDS if field.is_required)


@dataclass
class SheetRow:
    """One row as read. `number` counts as a person does: the header is row 1. An empty cell is in neither dict."""

    number: int
    values: dict[str, Any] = field(default_factory=dict)
    faults: dict[str, CellFault] = field(default_factory=dict)


@dataclass
class Sheet:
    rows: list[SheetRow]
    unknown_columns: list[str]


class UnreadableError(Exception):
    """The file as a whole cannot be used.

    `code`: unreadable, empty, too_long, too_costly, columns_missing, columns_doubled.
    """

    def __init__(self, code: str, *names: str) -> None:
        super().__init__(code)
        self.code = code
        self.names = names


def read(data: bytes) -> Sheet:
    """A CSV or XLSX file, told apart by its first bytes."""
    return _rows(_read_xlsx(data) if is_workbook(data) else _read_csv(data))


def is_workbook(data: bytes) -> bool:
    """Whether it is an XLSX file, which begins as every zip does."""
    return data.startswith(b"PK\x03\x04")


def _read_csv(data: bytes) -> Iterator[list[Any]]:
    """UTF-8 (with or without a mark), UTF-16 as Excel's "Unicode text", or GB 18030; comma, semicolon or tab."""
    text = _decode(data)
    if "\0" in text:
        raise UnreadableError("unreadable")
    # The delimiter is the one that is most frequent in the header, which has no free text.
    first = text.lstrip().split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    try:
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    except csv.Error as error:
        raise UnreadableError("unreadable") from error


def _decode(data: bytes) -> str:
    # UTF-8 first: nearly every text in GB 18030 is invalid as UTF-8, but not the other way round.
    is_utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    for encoding in ["utf-16"] if is_utf16 else ["utf-8-sig", "gb18030"]:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise UnreadableError("unreadable")


def _read_xlsx(data: bytes) -> Iterator[list[Any]]:
    try:
        yield from workbook.read(data, most_lines=MAX_LINES + 1, most_columns=MAX_COLUMNS)
    except workbook.WorkbookError as error:
        raise UnreadableError(error.code) from error


def _rows(lines: Iterable[list[Any]]) -> Sheet:
    numbered = _numbered(lines)
    _number, header = next(numbered, (0, None))
    if header is None:
        raise UnreadableError("empty")
    columns, unknown = _columns(header)

    rows: list[SheetRow] = []
    for number, line in numbered:
        if len(rows) == MAX_ROWS:
            raise UnreadableError("too_long")
        rows.append(_row(number, line, columns))
    if not rows:
        raise UnreadableError("empty")
    return Sheet(rows, unknown)


def _numbered(lines: Iterable[list[Any]]) -> Iterator[tuple[int, list[Any]]]:
    """The lines that say something, as a person counts them."""
    for number, line in enumerate(lines, start=1):
        if number > MAX_LINES:
            raise UnreadableError("too_long")
        if any(text_of(cell) for cell in line):
            yield number, line[:MAX_COLUMNS]


def _columns(header: list[Any]) -> tuple[list[str | None], list[str]]:
    """The field of each column (None if the column is skipped), and the names of the skipped columns."""
    known = {plain(name): column for column, names in HEADERS.items() for name in names}
    named = [text_of(cell)[:LONGEST_NAME] for cell in header]
    columns = [known.get(plain(name)) for name in named]
    found = [column for column in columns if column]
    if missing := [column for column in REQUIRED if column not in found]:
        raise UnreadableError("columns_missing", *missing)
    if doubled := sorted({column for column in found if found.count(column) > 1}):
        raise UnreadableError("columns_doubled", *doubled)
    return columns, [name for name, column in zip(named, columns, strict=True) if name and column is None]


def _row(number: int, line: list[Any], columns: list[str | None]) -> SheetRow:
    row = SheetRow(number)
    # `strict=False`: CSV rows may be shorter than the header, or have empty cells at the end.
    for column, cell in zip(columns, line, strict=False):
        if column is None or text_of(cell) == "":
            continue
        # Parsers go over the whole text more than once, and the longest that any of them takes is shorter.
        is_short = len(text_of(cell)) < workbook.LONGEST_CELL
        value = PARSERS[column](cell) if is_short else CellFault("too_long")
        if isinstance(value, CellFault):
            row.faults[column] = CellFault(value.code, text_of(cell)[:60])
        else:
            row.values[column] = value
    for column in REQUIRED:
        if column not in row.values and column not in row.faults:
            row.faults[column] = CellFault("missing")
    return row
