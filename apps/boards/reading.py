"""One row of a relief board: its fields as clean text, its quantities as numbers, and what sort of body it is. Pure."""

import hashlib
import json
import math
import re
import unicodedata
from dataclasses import dataclass, field
from typing import Any, Final

from apps.boards.board import BoardRemark, RemarkCode

MOST: Final = 10**12
"""The largest quantity that the tables hold."""


@dataclass
class BoardRow:
    """A row that is being read. It remembers which fields were used, and collects the remarks on them."""

    file: str
    number: int
    fields: dict[str, Any]
    remarks: list[BoardRemark]
    used: set[str] = field(default_factory=set)

    def remark(self, code: RemarkCode, about: str = "", *, line: int = 0) -> None:
        self.remarks.append(BoardRemark(self.file, self.number, line, code, about))

    def text(self, *names: str, longest: int) -> str:
        """The first of these fields that is not empty, on one line, at most `longest` characters."""
        for name in names:
            value = self.fields.get(name)
            if isinstance(value, (str, int, float)) and not isinstance(value, bool) and str(value).strip():
                self.used.add(name)
                return self.clean(str(value), longest=longest)
        return ""

    def unused(self) -> dict[str, Any]:
        """The fields that are not empty and that `text` was never asked for."""
        return {
            name: value
            for name, value in self.fields.items()
            if name not in self.used and value not in (None, [], {}) and str(value).strip()
        }

    def left(self) -> str:
        """The unused fields as JSON, to be kept in a note so that nothing is lost."""
        rest = self.unused()
        return self.clean(json.dumps(rest, ensure_ascii=False, default=str), longest=800) if rest else ""

    def clean(self, text: str, *, longest: int, line: int = 0) -> str:
        """The text without what a database cannot hold, cut to its column's length. Each change becomes a remark."""
        # PostgreSQL stores neither NUL nor half of a surrogate pair.
        mended = text.replace("\0", "").encode("utf-8", "replace").decode()
        if mended != text:
            self.remark(RemarkCode.TEXT_MENDED, mended[:40], line=line)
        one_line = " ".join(mended.split())
        if len(one_line) > longest:
            self.remark(RemarkCode.TEXT_CUT, one_line[:40], line=line)
        return one_line[:longest]


CONTACT_NAME: Final = ("contact", "contactName", "contact_name", "contactPerson", "联系人")
CONTACT_PHONE: Final = ("phone", "tel", "telephone", "mobile", "contactPhone", "contact_phone", "电话", "联系电话")
CONTACT_EMAIL: Final = ("email", "mail", "contactEmail", "contact_email", "邮箱")

# The first kind that matches counts, so special kinds come before general ones.
_KINDS: Final = {
    kind: re.compile(words, re.IGNORECASE)
    for kind, words in {
        "health_facility": r"卫生院|卫生服务|卫生室|诊所|门诊部|疾病预防|疾控|急救中心|血站|血液中心"
        r"|护理院|养老|福利院|体检|检验所|clinic|care home|laborator",
        "hospital": r"医院|医疗队|保健院|精神卫生中心|肿瘤中心|儿童中心|医疗中心|医学中心|院区|hospital|medical cent",
        "enterprise": r"公司|集团|厂$|项目部|企业|\b(?:ltd|inc|co)\b",
        "community": r"红十字|慈善|基金会|共青团|团委|志愿|协会|商会|社区|街道|村委|居委|学校|大学|指挥部|委员会"
        r"|community|red cross|charit",
    }.items()
}


def kind_of(name: str) -> str:
    """The kind of requester that a name suggests. The list is of hospitals, so that is the default."""
    return next((kind for kind, pattern in _KINDS.items() if pattern.search(name)), "hospital")


def shown(value: Any) -> str:
    """Any JSON value as a short text that is safe to print and store."""
    # ASCII only: a terminal of any encoding can print it, and broken text cannot break the table.
    return json.dumps(value, ensure_ascii=True, default=str)[:60]


def digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, ensure_ascii=True, default=str).encode()).hexdigest()[:32]


_UNKNOWN_WORDS: Final = frozenset({"", "若干", "不限", "大量", "越多越好", "急需", "未知", "无", "unknown", "n/a", "-"})
_NUMBER: Final = re.compile(
    r"(?:约|大约|至少|about )?(?P<number>\d{1,3}(?:,\d{3})+|\d+(?:\.\d+)?)\s*"
    r"(?P<scale>千(?!克|米)|百万|万|亿|k(?![a-z]))?\s*"
    r"(?P<unit>[^\d\s.,+\-][^\s.,+\-]{0,9})?(?:/日|/天|每天|每日| a day)?"
)
_SCALES: Final = {"千": 1_000, "k": 1_000, "万": 10_000, "百万": 1_000_000, "亿": 100_000_000}


class NotANumber(ValueError):
    """Not a number at all."""


@dataclass(frozen=True)
class WrittenQuantity:
    """A quantity as the board has it, of any sign and size, and the unit that follows it, if any."""

    number: int
    unit: str = ""


def written_quantity(value: Any) -> WrittenQuantity | None:
    """The quantity in a cell; None when the cell says that it is unknown. Raises `NotANumber`."""
    if value is None:
        return None
    # In Python a truth value is an int, and on a board it is no quantity.
    if isinstance(value, bool):
        raise NotANumber
    if isinstance(value, str):
        return _quantity_in_text(unicodedata.normalize("NFKC", value).strip().casefold())
    if isinstance(value, float) and (not math.isfinite(value) or value != int(value)):
        raise NotANumber
    if isinstance(value, (int, float)):
        return WrittenQuantity(int(value))
    raise NotANumber


def _quantity_in_text(text: str) -> WrittenQuantity | None:
    if text in _UNKNOWN_WORDS:
        return None
    sign, digits = (-1, text[1:].strip()) if text.startswith("-") else (1, text.removeprefix("+").strip())
    if re.fullmatch(r"\d{30,}", digits):
        return WrittenQuantity(sign * (MOST + 1))  # too long to be converted, and too large anyway
    # The whole cell must be a quantity: "3 boxes of 50" is not read as 3.
    match = _NUMBER.fullmatch(digits)
    if not match:
        raise NotANumber
    # Exact for all that follows, as anything above `MOST` is refused.
    number = float(match["number"].replace(",", "")) * _SCALES.get(match["scale"] or "", 1)
    if number != int(number):
        raise NotANumber
    return WrittenQuantity(sign * int(number), match["unit"] or "")
