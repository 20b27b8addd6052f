"""Standards as people write them, and which goods meet or exceed which standard.

Canonical codes: `GB 19083-2010`, `YY/T 0969-2013`, `EN 14683:2019 Type IIR`, `NIOSH N95`: body, number, edition, grade. A
*family* is body and number without `/T`, `ISO` prefixes of national editions, or edition.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_LIKE = str.maketrans(
    {**_WIDE, **dict.fromkeys(map(ord, "‐‑‒–—―−─－﹣"), "-"), **dict.fromkeys(map(ord, "∕⁄╱／"), "/")}
    | {ord("\u3000"): " ", ord("\xa0"): " ", ord("："): ":", ord("﹢"): "+"}  # one for one, so that positions hold
)

_CODE = re.compile(
    r"""
    (?<![A-Z0-9])
    (?:
      (?P<body>GB|YY|WS|GBZ|FZ|HG|JB) \s* (?P<t>/?\s*T)? [\s:.\-]* (?P<number>\d{3,6}(?:\.\d{1,2})?)
    | (?:BS\s+|DIN\s+|CEN\s+)? (?P<euro>EN(?:\s*/?\s*ISO)?(?:\s*/?\s*IEC)?) [\s:\-]* (?P<euronumber>\d{2,5}(?:-\d{1,3})*)
    | (?P<iso>(?:ISO|IEC)(?:\s*/\s*IEC)?) [\s:\-]* (?P<isonumber>\d{3,5}(?:-\d-\d{1,3}|-\d{1,2}(?!\d))*)
    | (?P<astm>ASTM) [\s:\-]* (?P<astmnumber>[DEF]\s*\d{3,5})
    | (?:ANSI\s*/\s*)? (?P<aami>AAMI) [\s:\-]* PB\s*70
    | (?:ANSI\s*/\s*(?:ISEA\s*)?|ANSI\s+) (?P<ansi>Z\s*87\.1|105)
    | (?P<niosh>NIOSH|42\s*CFR\s*(?:PART\s*)?84)
    )
    (?: \s* [-:/(]? \s* (?P<year>(?:19|20)\d{2}) (?!\d) \)? (?P<amended>(?:\s*\+\s*A\d?C?\s*[:\-]?\s*(?:19|20)\d{2})*) )?
    """,
    re.VERBOSE | re.IGNORECASE,
)

_BARE_GRADES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (family, re.compile(rf"(?<![A-Z0-9])(?:{grades})(?![A-Z0-9])", re.IGNORECASE))
    for family, grades in (
        ("NIOSH", r"(?:surgical\s*|医用\s*|外科\s*)?N\s?-?(?:95|99|100)|P100"),
        ("GB 2626", r"K[NP]\s?-?(?:90|95|100)"),
        ("EN 149", r"FF\s?P\s?-?[123]"),
        ("EN 14683", r"(?:Type\s*)?IIR"),
        ("MFDS", r"KF\s?-?(?:80|94|99)"),
        ("JIS T 8151", r"DS\s?-?[123]"),
    )
)
"""Grades that name their standard by themselves."""

_CHINESE_DIGITS = {"一": "1", "二": "2", "三": "3", "四": "4", "Ⅰ": "1", "Ⅱ": "2", "Ⅲ": "3"}


def _plain(text: str) -> str:
    """The same text, character for character, with full-width forms, dashes and slashes made plain."""
    return text.translate(_LIKE)


def normalise(text: str) -> str:
    """The text with every code in its canonical spelling: `yy0469－2011` → `YY 0469-2011`. Idempotent."""
    plain = _plain(text)
    return _CODE.sub(lambda match: _spell(match) + _edition(match), plain)


def family_of(code: str) -> str:
    """Body and number of a canonical code: `YY/T 0969-2013` → `YY 0969`, `EN 14683:2019 Type IIR` → `EN 14683`."""
    if match := _CODE.match(_plain(code)):
        return _family(match)
    for family, _pattern in _BARE_GRADES:
        if code.startswith(family):
            return family
    return code


def _family(match: re.Match[str]) -> str:
    return _spell(match).replace("/T ", " ").replace("EN ISO ", "ISO ").replace("EN IEC ", "IEC ")


def _spell(match: re.Match[str]) -> str:
    """Body and number, canonically."""
    part = {name: re.sub(r"\s+", "", text).upper() for name, text in match.groupdict().items() if text}
    if "body" in part:
        return f"{part['body']}{'/T' if 't' in part else ''} {part['number']}"
    if "euro" in part:
        return " ".join(re.findall("EN|ISO|IEC", part["euro"])) + f" {part['euronumber']}"
    if "iso" in part:
        return f"{part['iso']} {part['isonumber']}"
    if "astm" in part:
        return f"ASTM {part['astmnumber']}"
    if "aami" in part:
        return "ANSI/AAMI PB70"
    if "ansi" in part:
        return f"ANSI/ISEA {part['ansi']}" if part["ansi"] == "105" else f"ANSI {part['ansi']}"
    return "NIOSH"


def _edition(match: re.Match[str]) -> str:
    if not (year := match["year"]):
        return ""
    amended = re.sub(r"\s+", "", match["amended"] or "").upper()
    return ("-" if match["body"] else ":") + year + amended
