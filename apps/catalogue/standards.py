"""Standards as people write them, and which goods meet or exceed which standard. Pure.

Canonical codes are body, number, edition and grade: `GB 19083-2010`, `YY/T 0969-2013`, `EN 14683:2019 Type IIR`, `NIOSH
N95`. A *family* is body and number alone, without the `/T` of recommended standards, which people forget or add.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

# Each character becomes exactly one, so that positions found in the plain text are valid in the original.
_LIKE: dict[int, int | str] = {
    **{code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)},  # full-width forms
    **dict.fromkeys(map(ord, "‐‑‒–—―−─－﹣"), "-"),
    **dict.fromkeys(map(ord, "∕⁄╱／"), "/"),
    **dict.fromkeys(map(ord, "\u3000\xa0\t\r\n"), " "),
    ord("﹢"): "+",
}

# One alternative for each body that publishes standards. The year, if there is one, follows after all of them.
_CODE = re.compile(
    r"""
    (?<![A-Z0-9])
    (?:
      (?P<body>GB|YY|WS|GBZ|FZ|HG|JB) \s* (?P<t>/?\s*T)? [\s:.\-]* (?P<number>\d{3,6}(?:\.\d{1,2})?)
    | (?:BS\s+|DIN\s+|CEN\s+)?
      (?P<euro>EN(?:\s*/?\s*ISO)?(?:\s*/?\s*IEC)?) [\s:\-]* (?P<euronumber>\d{2,5}(?:-\d{1,3}(?!\d))*)
    | (?P<iso>(?:ISO|IEC)(?:\s*/\s*IEC)?) [\s:\-]* (?P<isonumber>\d{3,5}(?:-\d-\d{1,3}|-\d{1,2}(?!\d))*)
    | (?P<astm>ASTM) [\s:\-]* (?P<astmnumber>[DEF]\s*\d{3,5}) (?:-\d{2}(?!\d))?
    | (?:ANSI\s*/\s*)? (?P<aami>AAMI) [\s:\-]* PB\s*70
    | (?:ANSI\s*/\s*(?:ISEA\s*)?|ANSI\s+) (?P<ansi>Z\s*87\.1|105)
    | (?P<asnzs>AS\s*/?\s*NZS) [\s:\-]* (?P<asnzsnumber>\d{4})
    | (?P<niosh>NIOSH|42\s*CFR\s*(?:PART\s*)?84)
    )
    (?: \s* [-:/(]? \s* (?P<year>(?:19|20)\d{2}) (?!\d) \)?
        (?P<amended>(?:\s*\+\s*A\d?C?\s*[:\-]?\s*(?:19|20)\d{2})*) )?
    """,
    re.VERBOSE | re.IGNORECASE,
)

# By family: the pattern of its grades, as they are written after the code or alone.
_GRADES: dict[str, str] = {
    "NIOSH": r"(?:surgical\s*|医用\s*|外科\s*)?N\s?-?(?:95|99|100)|P\s?-?100",
    "GB 2626": r"K[NP]\s?-?(?:90|95|100)",
    "EN 149": r"FF\s?P\s?-?[123]",
    "EN 14683": r"(?:type\s*|类型\s*)?(?:IIR|2R)|(?:type|类型)\s*(?:II|I)|(?:II|I)\s*[类型]",
    "KF94": r"KF\s?-?94",
    "JIS T 8151 DS2": r"DS\s?-?2",
    "ASTM F2100": r"(?:level|L|级别)\s?-?[123]|[123]\s*级",
    "ANSI/AAMI PB70": r"(?:level|L|级别)\s?-?[1234]|[1234]\s*级",
    "GB 19083": r"(?:grade|class|level)\s?-?[123]|[1-3一二三ⅠⅡⅢ]\s*级",
    "AS/NZS 1716": r"P\s?-?2",
    "EN 14126": r"type\s*[34]\s?-?B",
}
# Families whose grades say nothing without the code before them: "level 2" may be of any of them.
_NAMELESS: Final = frozenset({"ASTM F2100", "ANSI/AAMI PB70", "GB 19083", "AS/NZS 1716", "EN 14126"})

_GRADE_PATTERNS: dict[str, re.Pattern[str]] = {
    family: re.compile(rf"(?<![A-Z0-9])(?:{grades})(?![A-Z0-9])", re.IGNORECASE) for family, grades in _GRADES.items()
}
_CHINESE_DIGITS: Final = str.maketrans("一二三ⅠⅡⅢ", "123123")


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
    if "asnzs" in part:
        return f"AS/NZS {part['asnzsnumber']}"
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


# --- Reading free text ------------------------------------------------------------------------------------------------


class StandardRemark(StrEnum):
    """Why the standard that was found differs from the one that was cited."""

    SUPERSEDED = "superseded"  # a withdrawn edition: its successor is meant
    OTHER_EDITION = "other_edition"  # an edition nobody knows: the current one is meant


@dataclass(frozen=True)
class Known:
    """A standard of the catalogue, with what reading a text needs."""

    code: str
    grade: str = ""
    successor: str | None = None


@dataclass(frozen=True)
class Cited:
    """A standard that a text cites: its code in the catalogue, the words of the text, and what had to be changed."""

    code: str
    words: str
    remark: StandardRemark | None = None

    @property
    def is_by_code(self) -> bool:
        """Whether it was cited by its number, not only by a grade such as N95, which is a name of goods too."""
        return bool(_CODE.match(_plain(self.words)))


@dataclass(frozen=True)
class Parsed:
    """What a text says about standards. `unknown` are codes that the catalogue lacks; they stay in `rest` too."""

    cited: tuple[Cited, ...]
    unknown: tuple[str, ...]
    rest: str


class Reader:
    """Finds the standards of a catalogue in free text."""

    def __init__(self, known: Iterable[Known]) -> None:
        self._known = {standard.code: standard for standard in known}
        self._families: defaultdict[str, list[Known]] = defaultdict(list)
        for standard in self._known.values():
            self._families[family_of(standard.code)].append(standard)

    def read(self, text: str) -> Parsed:
        """Every standard cited in `text`, in its order; a year that is unknown or withdrawn gives the current edition.

        `灭菌，GB 10213-2006` gives `GB 10213-2006` and the rest `灭菌`.
        """
        plain = _plain(text)
        found: list[tuple[int, Cited]] = []
        unknown: list[str] = []
        used: list[tuple[int, int]] = []

        matches = list(_CODE.finditer(plain))
        for position, match in enumerate(matches):
            # The grade is searched only up to the next code, which may have a grade of its own.
            until = matches[position + 1].start() if position + 1 < len(matches) else len(plain)
            editions = self._editions(_family(match))
            if not editions:
                unknown.append(_spell(match) + _edition(match))
                continue
            grade = self._grade_after(_family(match), plain, match.end(), until)
            spans = [match.span(), *([grade.span()] if grade else [])]
            used.extend(spans)
            found.append((match.start(), self._choose(editions, match, grade, text[slice(*match.span())])))

        # Grades without a code, such as N95, come after the codes: a grade that belongs to a code is not cited twice.
        for family, start, end in self._bare_grades(plain, used):
            if standard := self._graded(self._editions(family), plain[start:end]):
                used.append((start, end))
                found.append((start, Cited(standard.code, text[start:end])))

        cited: dict[str, Cited] = {}
        for _start, citation in sorted(found, key=lambda pair: pair[0]):
            cited.setdefault(citation.code, citation)
        return Parsed(tuple(cited.values()), tuple(unknown), _without(text, used))

    def _editions(self, family: str) -> list[Known]:
        """All rows of a family.

        If the catalogue lacks it, the rows of its only part (`GB 21417.1` for `GB 21417`), or of the whole of which it
        is a part.
        """
        if family in self._families:
            return self._families[family]
        parts = [name for name in self._families if name.startswith((f"{family}.", f"{family}-"))]
        if len(parts) == 1:
            return self._families[parts[0]]
        return self._families.get(re.sub(r"[.\-]\d+$", "", family), [])

    def _grade_after(self, family: str, plain: str, start: int, until: int) -> re.Match[str] | None:
        pattern = _GRADE_PATTERNS.get(family)
        return pattern.search(plain, start, until) if pattern else None

    def _bare_grades(self, plain: str, used: list[tuple[int, int]]) -> Iterator[tuple[str, int, int]]:
        for family, pattern in _GRADE_PATTERNS.items():
            if family in _NAMELESS:
                continue
            for match in pattern.finditer(plain):
                if not any(start < match.end() and match.start() < end for start, end in used):
                    yield family, *match.span()

    def _choose(self, editions: list[Known], match: re.Match[str], grade: re.Match[str] | None, words: str) -> Cited:
        wanted = _edition(match).lstrip("-:")
        same = [standard for standard in editions if wanted and _year_of(standard.code) == wanted[:4]]
        # The edition that was cited, else the current one, else any: people quote old and wrong years.
        pool = same or [standard for standard in editions if standard.successor is None] or editions
        standard = (grade and self._graded(pool, grade.group())) or min(pool, key=lambda known: len(known.code))

        remark = None
        if wanted and not same and _year_of(standard.code):
            remark = StandardRemark.OTHER_EDITION
        # An edition may have been replaced several times. The last one is in force.
        while standard.successor:
            standard, remark = self._known[standard.successor], StandardRemark.SUPERSEDED
        return Cited(standard.code, words.strip(), remark)

    def _graded(self, pool: list[Known], grade: str) -> Known | None:
        """The current row of this grade, among the rows of one family."""
        wanted = _compact(grade)
        for standard in sorted(pool, key=lambda known: known.successor is not None):
            # Codes such as KF94 and Surgical N95 end in their grade and have no other. A digit alone proves nothing.
            own = _compact(standard.grade)
            if own == wanted or (not own and not wanted.isdigit() and _compact(standard.code).endswith(wanted)):
                return standard
        return None


def _compact(grade: str) -> str:
    """`Type IIR`, `Level 2`, `2级`, `KN 95`, `医用N95` in one spelling each: `IIR`, `2`, `2`, `KN95`, `SURGICALN95`."""
    text = re.sub(r"[\s\-]", "", _plain(grade)).upper().translate(_CHINESE_DIGITS)
    text = re.sub(r"^(?:医用|外科)", "SURGICAL", text)
    text = re.sub(r"^(?:TYPE|类型|LEVEL|GRADE|CLASS|级别|L(?=\d))|[级类型]$", "", text)
    return {"2R": "IIR"}.get(text, text)


def _year_of(code: str) -> str:
    return year["year"] or "" if (year := _CODE.match(code)) else ""


_SEPARATORS: Final = " \t\r\n,，;；、|/.。:：()（）[]【】-"


def _without(text: str, spans: list[tuple[int, int]]) -> str:
    """The text outside `spans`, with the separators around the gaps removed."""
    kept, position = [], 0
    for start, end in sorted(spans):
        kept.append(text[position:start])
        position = max(position, end)
    kept.append(text[position:])
    return "，".join(part for part in (piece.strip(_SEPARATORS) for piece in kept) if part)


# --- Meets or exceeds -------------------------------------------------------------------------------------------------

KIND: Final = "kind"
# Kinds of goods that also do the work of another kind, if they have its attributes. A respirator does what a mask does,
# but a mask never does what a respirator does.
_COVERS: Final[dict[str, frozenset[str]]] = {"respirator": frozenset({"respirator", "mask"})}

# For every other attribute, more is better.
_LESS_IS_BETTER: Final = frozenset({"valve", "leakage_pct"})


def meets_or_exceeds(offered: Mapping[str, Any], demanded: Mapping[str, Any]) -> bool:
    """Whether goods with the `offered` attributes give everything that the `demanded` ones ask for.

    The offered kind must cover the demanded kind. Every other demanded attribute must be known of the offer, and be at
    least as good there: for most a higher number or `true`, for a valve and for leakage less. Attributes without a kind
    cannot be compared, so they satisfy nothing and nothing satisfies them.
    """
    if KIND not in offered or KIND not in demanded:
        return False
    if demanded[KIND] not in _COVERS.get(offered[KIND], {offered[KIND]}):
        return False

    for name, asked in demanded.items():
        if name == KIND:
            continue
        # An attribute that is not known is taken as not fulfilled: an error to "no" costs time, one to "yes" health.
        if name not in offered:
            return False
        given = offered[name]
        if (given > asked) if name in _LESS_IS_BETTER else (given < asked):
            return False
    return True


@dataclass(frozen=True)
class Graded:
    """A standard with what it guarantees."""

    code: str
    attributes: Mapping[str, Any]
    successor: str | None = None


def satisfactions(standards: Iterable[Graded], explicit: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """All pairs (offered, demanded): each standard with itself, the pairs by attributes, and the `explicit` ones.

    Goods of a withdrawn edition satisfy only that edition and older ones. Whether they pass as anything else is for a
    person to say. The pairs by attributes are transitive; nothing is concluded from explicit pairs.
    """
    rows = {standard.code: standard for standard in standards}
    pairs = {(code, code) for code in rows}
    pairs.update(explicit)

    for offered in rows.values():
        older = _replaced_by(rows, offered.code)
        for demanded in rows.values():
            if offered.successor and demanded.code not in older:
                continue
            # A newer edition serves needs that still ask for the older one.
            if demanded.code in older or meets_or_exceeds(offered.attributes, demanded.attributes):
                pairs.add((offered.code, demanded.code))
    return pairs


def _replaced_by(rows: Mapping[str, Graded], code: str) -> set[str]:
    """The codes that `code` replaced, directly or through editions in between."""
    older: set[str] = set()
    fresh = {code}
    while fresh:
        fresh = {row.code for row in rows.values() if row.successor in fresh} - older
        older |= fresh
    return older
