"""What the cells of a sheet mean: text, numbers, prices, days, lists. Pure.

Each parser takes a cell as the sheet gives it (text, or a number or date of Excel's) and returns a value or a fault.
"""

import datetime as dt
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from apps.catalogue.units import MAX_QUANTITY

MOST_PARTS: Final = 500  # of one list, as in the API


@dataclass(frozen=True)
class CellFault:
    """What is wrong with a cell, by a code that `reading.py` puts into words."""

    code: str
    value: str = ""


def text_of(cell: Any) -> str:
    return "" if cell is None else str(cell).strip()


def plain(name: str) -> str:
    return unicodedata.normalize("NFKC", name).strip().casefold().replace("*", "").strip()


def parse_whole(cell: Any, most: int = MAX_QUANTITY) -> int | CellFault:
    """1000, "1,000", "１０００", "1.5万" and Excel's 1000.0 are whole numbers; 12.5 and yes are not."""
    # In Python `True` is the number 1.
    if isinstance(cell, bool):
        return CellFault("not_whole")
    text = unicodedata.normalize("NFKC", text_of(cell)).replace(",", "").replace(" ", "")
    factor = 1
    for sign, times in (("万", 10_000), ("亿", 100_000_000)):
        if text.endswith(sign):
            text, factor = text.removesuffix(sign), times
    number = _decimal(text)
    if number is None or (whole := number * factor) != whole.to_integral_value():
        return CellFault("not_whole")
    return int(whole) if 0 <= whole <= most else CellFault("out_of_range")


def parse_quantity(cell: Any) -> int | CellFault:
    value = parse_whole(cell)
    return CellFault("out_of_range") if value == 0 else value


def parse_days(cell: Any) -> int | CellFault:
    # Ten years at most; more is mistyped.
    text = text_of(cell)
    return parse_whole(text.removesuffix("天").removesuffix("days").removesuffix("day"), 3650)


def parse_price(cell: Any) -> Decimal | CellFault:
    text = unicodedata.normalize("NFKC", text_of(cell)).replace(",", "").strip("¥￥元$€ ")
    number = _decimal(text)
    if number is None or isinstance(cell, bool):
        return CellFault("not_a_price")
    if not 0 <= number < 10**10:
        return CellFault("out_of_range")
    # Excel computes in binary fractions, so a float with more decimals is rounded. Typed decimals mean what they say.
    rounded = number.quantize(Decimal("0.0001"))
    return rounded if rounded == number or isinstance(cell, float) else CellFault("not_a_price")


def _decimal(text: str) -> Decimal | None:
    if len(text) > 40 or not text.isascii():
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    # `1E999999999` is short to write, but multiplying it would fill the memory.
    return number if number.is_finite() and abs(number.adjusted()) < 40 else None


def parse_flag(cell: Any) -> bool | CellFault:
    text = plain(text_of(cell))
    if text in {"yes", "y", "true", "1", "1.0", "是", "√"}:
        return True
    if text in {"no", "n", "false", "0", "0.0", "否", "×"}:
        return False
    return CellFault("not_yes_or_no")


def parse_date(cell: Any) -> dt.date | CellFault:
    if isinstance(cell, dt.date):  # a date and time is one, too
        return _plausible(dt.date(cell.year, cell.month, cell.day))
    text = unicodedata.normalize("NFKC", text_of(cell)).rstrip("日")
    for sign in "/.年月":
        text = text.replace(sign, "-")
    try:
        year, month, day = (int(part) for part in text.split("-"))
        return _plausible(dt.date(year, month, day))
    except (ValueError, OverflowError):
        return CellFault("not_a_date")


def _plausible(day: dt.date) -> dt.date | CellFault:
    # A year outside this range is mistyped.
    return day if 1970 <= day.year <= 2999 else CellFault("not_a_date")


def parse_line(most: int) -> Callable[[Any], str | CellFault]:
    def parse(cell: Any) -> str | CellFault:
        text = text_of(cell)
        if isinstance(cell, float) and cell.is_integer():
            text = str(int(cell))  # codes that Excel took for numbers
        # Control characters and lone surrogates, which PostgreSQL refuses or pages do not show.
        if any(unicodedata.category(sign) in {"Cc", "Cs"} and sign not in "\n\r\t" for sign in text):
            return CellFault("not_text")
        return text if len(text) <= most else CellFault("too_long")

    return parse


def parse_list(cell: Any) -> list[str] | CellFault:
    """Several places in one cell, divided by comma, semicolon or their Chinese forms."""
    text = parse_line(2000)(cell)
    if isinstance(text, CellFault):
        return text
    for sign in ";；,，、|\n":
        text = text.replace(sign, "\t")
    parts = [part.strip() for part in text.split("\t") if part.strip()]
    return parts if len(parts) <= MOST_PARTS else CellFault("too_long")


def parse_currency(cell: Any) -> str | CellFault:
    text = unicodedata.normalize("NFKC", text_of(cell)).upper()
    text = {"元": "CNY", "人民币": "CNY", "RMB": "CNY", "¥": "CNY", "美元": "USD", "欧元": "EUR"}.get(text, text)
    return text if len(text) == 3 and text.isascii() and text.isalpha() else CellFault("not_a_currency")
