"""One row of a relief board: its fields as clean text, its quantities as numbers, and what sort of body it is. Pure."""

import hashlib
import json
import math
import re
import unicodedata
from dataclasses import dataclass, field
from typing import Any, Final

from apps.boards.board import Issue, MappingRemark

MOST: Final = 10**12
"""The largest quantity that the tables hold."""


@dataclass
class BoardRow:
    """A row being read: hands out its fields, and collects the reasons."""

    file: str
    number: int
    fields: dict[str, Any]
    reasons: list[MappingRemark]
    used: set[str] = field(default_factory=set)

    def say(self, why: Issue, about: str = "", *, line: int = 0) -> None:
        self.reasons.append(MappingRemark(self.file, self.number, line, why, about))

    def text(self, *names: str, longest: int) -> str:
        """The first of these fields that says something, on one line."""
        for name in names:
            value = self.fields.get(name)
            if isinstance(value, (str, int, float)) and not isinstance(value, bool) and str(value).strip():
                self.used.add(name)
                return self.clean(str(value), longest=longest)
        return ""

    def unused(self) -> dict[str, Any]:
        """The fields that say something and that no reader asked for."""
        return {
            name: value
            for name, value in self.fields.items()
            if name not in self.used and value not in (None, [], {}) and str(value).strip()
        }

    def left(self) -> str:
        """What is unused, as it stands, so that it is not lost."""
        rest = self.unused()
        return self.clean(json.dumps(rest, ensure_ascii=False, default=str), longest=800) if rest else ""

    def clean(self, text: str, *, longest: int, line: int = 0) -> str:
        """Without what a database cannot hold, and not longer than its column; both are said."""
        mended = text.replace("\0", "").encode("utf-8", "replace").decode()
        if mended != text:
            self.say(Issue.TEXT_MENDED, mended[:40], line=line)
        one_line = " ".join(mended.split())
        if len(one_line) > longest:
            self.say(Issue.TEXT_CUT, one_line[:40], line=line)
        return one_line[:longest]


CONTACT_NAME: Final = ("contact", "contactName", "contact_name", "contactPerson", "联系人")
CONTACT_PHONE: Final = ("phone", "tel", "telephone", "mobile", "contactPhone", "contact_phone", "电话", "联系电话")
CONTACT_EMAIL: Final = ("email", "mail", "contactEmail", "contact_email", "邮箱")

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
    """What sort of requester a name belongs to; whoever is listed among the hospitals and says nothing else is one."""
    return next((kind for kind, pattern in _KINDS.items() if pattern.search(name)), "hospital")


def shown(value: Any) -> str:
    """Anything JSON, short, and safe to print and store."""
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


class Unreadable(ValueError):
    """Not a number at all."""


@dataclass(frozen=True)
class BoardAmount:
    """A written quantity, whatever its sign and size, and the unit that stands behind it, if any."""

    number: int
    unit: str = ""


def amount_of(value: Any) -> BoardAmount | None:
    """What a value says; None when it says nothing. Raises `Unreadable` for what is no number."""
    if value is None:
        return None
    if isinstance(value, bool):
        raise Unreadable
    if isinstance(value, str):
        return _amount_in(unicodedata.normalize("NFKC", value).strip().casefold())
    if isinstance(value, float) and (not math.isfinite(value) or value != int(value)):
        raise Unreadable
    if isinstance(value, (int, float)):
        return BoardAmount(int(value))
    raise Unreadable


def _amount_in(text: str) -> BoardAmount | None:
    if text in _UNKNOWN_WORDS:
        return None
    sign, digits = (-1, text[1:].strip()) if text.startswith("-") else (1, text.removeprefix("+").strip())
    if re.fullmatch(r"\d{30,}", digits):
        return BoardAmount(sign * (MOST + 1))  # too long to be converted, and too large anyway
    match = _NUMBER.fullmatch(digits)
    if not match:
        raise Unreadable
    number = float(match["number"].replace(",", "")) * _SCALES.get(match["scale"] or "", 1)
    if number != int(number):
        raise Unreadable
    return BoardAmount(sign * int(number), match["unit"] or "")
