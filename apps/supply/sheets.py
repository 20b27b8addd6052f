"""Sheets of offers, CSV or XLSX, to rows of typed values. Pure: which item a name means is decided by `reading.py`.

The first row names the columns, in English as in the API or in Chinese (`HEADERS`); order does not matter, unknown
columns are reported and passed over. Quantities are whole numbers of the item's base unit.
"""

import csv
import datetime as dt
import io
import unicodedata
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from apps.catalogue.units import MAX_QUANTITY

MAX_ROWS: Final = 2_000
# Empty lines and columns that nobody reads cost time too: a tiny XLSX may name cell XFD1048576.
MAX_LINES: Final = 2 * MAX_ROWS
MAX_COLUMNS: Final = 100
# An XLSX is a zip: unpacked, a small one may fill the memory.
MAX_UNPACKED: Final = 30_000_000

HEADERS: Final[dict[str, tuple[str, ...]]] = {
    "item": ("item", "item name", "物资", "物资名称", "物品", "物品名称", "品名", "名称", "产品名称"),
    "standard": ("standard", "标准", "执行标准", "产品标准"),
    "quantity": ("quantity", "数量", "库存", "库存数量", "可供数量"),
    "daily_capacity": ("daily_capacity", "daily capacity", "日产能", "日产量"),
    "minimum_order": ("minimum_order", "minimum order", "起订量", "最小起订量", "最低起订量"),
    "lead_time_days": ("lead_time_days", "lead time", "lead time (days)", "交货天数", "交期", "交期(天)", "发货天数"),
    "unit_price": ("unit_price", "unit price", "price", "单价", "价格"),
    "currency": ("currency", "币种", "货币"),
    "is_donation": ("is_donation", "donation", "捐赠", "是否捐赠"),
    "origin_region": ("origin_region", "origin", "ships from", "发货地", "发货地区", "产地", "所在地"),
    "ships_to": ("ships_to", "ships to", "发往", "发往地区", "配送范围", "供货范围"),
    "certificate_number": (
        "certificate_number",
        "certificate number",
        "证书编号",
        "注册证号",
        "备案号",
        "医疗器械注册证",
    ),
    "certificate_valid_until": ("certificate_valid_until", "certificate valid until", "证书有效期", "有效期至"),
    "note": ("note", "备注", "说明"),
}
REQUIRED: Final = ("item", "quantity")


@dataclass(frozen=True)
class Fault:
    """What is wrong with a cell, by a code that `reading.py` puts into words."""

    code: str
    value: str = ""


@dataclass
class Row:
    """One row as read. `number` is as a person counts, the header being row 1; an empty cell is in neither dict."""

    number: int
    values: dict[str, Any] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)


@dataclass
class Sheet:
    rows: list[Row]
    unknown_columns: list[str]


class UnreadableError(Exception):
    """The file as a whole cannot be used. `code`: unreadable, empty, too_long, columns_missing, columns_doubled."""

    def __init__(self, code: str, *names: str) -> None:
        super().__init__(code)
        self.code = code
        self.names = names


def read(data: bytes) -> Sheet:
    """A CSV or XLSX file, told apart by its first bytes."""
    lines = _read_xlsx(data) if data.startswith(b"PK\x03\x04") else _read_csv(data)
    return _rows(lines)


def _read_csv(data: bytes) -> Iterator[list[Any]]:
    """UTF-8 (with or without a mark), UTF-16 as Excel's "Unicode text", or GB 18030; comma, semicolon or tab."""
    text = _decode(data)
    if "\0" in text:
        raise UnreadableError("unreadable")
    first = text.lstrip().split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    try:
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    except csv.Error as error:
        raise UnreadableError("unreadable") from error


def _decode(data: bytes) -> str:
    is_utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    for encoding in ["utf-16"] if is_utf16 else ["utf-8-sig", "gb18030"]:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise UnreadableError("unreadable")


def _read_xlsx(data: bytes) -> Iterator[list[Any]]:
    """The first sheet's values, without running any formula."""
    import openpyxl

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked <= MAX_UNPACKED:
            load: Any = openpyxl.load_workbook  # ships no types
            book = load(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
            sheet = book.worksheets[0]
            sheet.reset_dimensions()  # some writers state them wrong
            for row in sheet.iter_rows(max_row=MAX_LINES + 1, max_col=MAX_COLUMNS, values_only=True):
                yield list(row)
    except Exception as error:  # a broken file breaks anywhere in the library, with whatever comes up
        raise UnreadableError("unreadable") from error
    if unpacked > MAX_UNPACKED:
        raise UnreadableError("too_long")


def _rows(lines: Iterable[list[Any]]) -> Sheet:
    numbered = _numbered(lines)
    _number, header = next(numbered, (0, None))
    if header is None:
        raise UnreadableError("empty")
    columns, unknown = _columns(header)

    rows: list[Row] = []
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
        if any(_text(cell) for cell in line):
            yield number, line


def _columns(header: list[Any]) -> tuple[list[str | None], list[str]]:
    """The field that each column holds, None for one that is passed over; and the names of those."""
    known = {_plain(name): column for column, names in HEADERS.items() for name in names}
    named = [_text(cell) for cell in header]
    columns = [known.get(_plain(name)) for name in named]
    found = [column for column in columns if column]
    if missing := [column for column in REQUIRED if column not in found]:
        raise UnreadableError("columns_missing", *missing)
    if doubled := sorted({column for column in found if found.count(column) > 1}):
        raise UnreadableError("columns_doubled", *doubled)
    return columns, [name for name, column in zip(named, columns, strict=True) if name and column is None]


def _row(number: int, line: list[Any], columns: list[str | None]) -> Row:
    row = Row(number)
    for column, cell in zip(columns, line, strict=False):
        if column is None or _text(cell) == "":
            continue
        value = PARSERS[column](cell)
        if isinstance(value, Fault):
            row.faults[column] = Fault(value.code, _text(cell)[:60])
        else:
            row.values[column] = value
    for column in REQUIRED:
        if column not in row.values and column not in row.faults:
            row.faults[column] = Fault("missing")
    return row


def _text(cell: Any) -> str:
    return "" if cell is None else str(cell).strip()


def _plain(name: str) -> str:
    return unicodedata.normalize("NFKC", name).strip().casefold().replace("*", "").strip()


def parse_whole(cell: Any, most: int = MAX_QUANTITY) -> int | Fault:
    """1000, "1,000", "１０００", "1.5万" and Excel's 1000.0 are whole numbers; 12.5 and yes are not."""
    if isinstance(cell, bool):
        return Fault("not_whole")
    text = unicodedata.normalize("NFKC", _text(cell)).replace(",", "").replace(" ", "")
    factor = 1
    for sign, times in (("万", 10_000), ("亿", 100_000_000)):
        if text.endswith(sign):
            text, factor = text.removesuffix(sign), times
    number = _decimal(text)
    if number is None or (whole := number * factor) != whole.to_integral_value():
        return Fault("not_whole")
    return int(whole) if 0 <= whole <= most else Fault("out_of_range")


def parse_quantity(cell: Any) -> int | Fault:
    value = parse_whole(cell)
    return Fault("out_of_range") if value == 0 else value


def parse_days(cell: Any) -> int | Fault:
    text = _text(cell)
    return parse_whole(text.removesuffix("天").removesuffix("days").removesuffix("day"), 3650)


def parse_price(cell: Any) -> Decimal | Fault:
    text = unicodedata.normalize("NFKC", _text(cell)).replace(",", "").strip("¥￥元$€ ")
    number = _decimal(text)
    if number is None or isinstance(cell, bool):
        return Fault("not_a_price")
    if not 0 <= number < 10**10:
        return Fault("out_of_range")
    rounded = number.quantize(Decimal("0.0001"))
    return rounded if rounded == number or isinstance(cell, float) else Fault("not_a_price")


def _decimal(text: str) -> Decimal | None:
    if len(text) > 40 or not text.isascii():
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    # 1E999999999 is short to write and long to multiply.
    return number if number.is_finite() and abs(number.adjusted()) < 40 else None


def parse_flag(cell: Any) -> bool | Fault:
    text = _plain(_text(cell))
    if text in {"yes", "y", "true", "1", "1.0", "是", "√"}:
        return True
    if text in {"no", "n", "false", "0", "0.0", "否", "×"}:
        return False
    return Fault("not_yes_or_no")


def parse_date(cell: Any) -> dt.date | Fault:
    if isinstance(cell, dt.datetime):
        return cell.date()
    if isinstance(cell, dt.date):
        return cell
    text = unicodedata.normalize("NFKC", _text(cell)).rstrip("日")
    for sign in "/.年月":
        text = text.replace(sign, "-")
    try:
        year, month, day = (int(part) for part in text.split("-"))
        value = dt.date(year, month, day)
    except (ValueError, OverflowError):
        return Fault("not_a_date")
    return value if 1970 <= value.year <= 2999 else Fault("not_a_date")


def parse_line(most: int) -> Callable[[Any], str | Fault]:
    def parse(cell: Any) -> str | Fault:
        text = _text(cell)
        if isinstance(cell, float) and cell.is_integer():
            text = str(int(cell))  # codes that Excel took for numbers
        if any(unicodedata.category(sign) in {"Cc", "Cs"} and sign not in "\n\r\t" for sign in text):
            return Fault("not_text")
        return text if len(text) <= most else Fault("too_long")

    return parse


def parse_list(cell: Any) -> list[str] | Fault:
    """Several places in one cell, divided by comma, semicolon or their Chinese forms."""
    text = parse_line(2000)(cell)
    if isinstance(text, Fault):
        return text
    for sign in ";；,，、|\n":
        text = text.replace(sign, "\t")
    return [part.strip() for part in text.split("\t") if part.strip()]


def parse_currency(cell: Any) -> str | Fault:
    text = unicodedata.normalize("NFKC", _text(cell)).upper()
    text = {"元": "CNY", "人民币": "CNY", "RMB": "CNY", "¥": "CNY", "美元": "USD", "欧元": "EUR"}.get(text, text)
    return text if len(text) == 3 and text.isascii() and text.isalpha() else Fault("not_a_currency")


PARSERS: Final[dict[str, Callable[[Any], Any]]] = {
    "item": parse_line(120),
    "standard": parse_line(120),
    "quantity": parse_quantity,
    "daily_capacity": parse_quantity,
    "minimum_order": parse_quantity,
    "lead_time_days": parse_days,
    "unit_price": parse_price,
    "currency": parse_currency,
    "is_donation": parse_flag,
    "origin_region": parse_line(120),
    "ships_to": parse_list,
    "certificate_number": parse_line(60),
    "certificate_valid_until": parse_date,
    "note": parse_line(2000),
}
