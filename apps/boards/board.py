"""A public relief board: its files, and the records that they are mapped to. Pure: no table is touched here.

A board is a folder with `hospitals.json`, `factories.json` and `carriers.json`, each a list of objects. Nothing of it
is dropped: text that cannot be mapped is kept in a note, and a `BoardRemark` names it with its row.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from apps.catalogue import regions, standards
from apps.catalogue.recognition import How, Names

HOSPITALS: Final = "hospitals.json"
FACTORIES: Final = "factories.json"
CARRIERS: Final = "carriers.json"
FILES: Final = (HOSPITALS, FACTORIES, CARRIERS)


class RemarkCode(StrEnum):
    """Why something is not mapped, or not mapped as it stands."""

    FILE_MISSING = "file_missing"
    FILE_UNREADABLE = "file_unreadable"
    NOT_A_LIST = "not_a_list"
    NOT_AN_OBJECT = "not_an_object"
    NAME_MISSING = "name_missing"
    LINES_UNREADABLE = "lines_unreadable"
    FIELD_UNUSED = "field_unused"
    TEXT_MENDED = "text_mended"
    TEXT_CUT = "text_cut"
    ITEM_UNKNOWN = "item_unknown"
    ITEM_GUESSED = "item_guessed"
    ITEM_AMONG_SEVERAL = "item_among_several"
    STANDARD_UNKNOWN = "standard_unknown"
    STANDARD_NONE = "standard_none"
    STANDARD_OF_OTHER_ITEM = "standard_of_other_item"
    STANDARD_SUPERSEDED = "standard_superseded"
    STANDARD_OTHER_EDITION = "standard_other_edition"
    QUANTITY_UNREADABLE = "quantity_unreadable"
    QUANTITY_IMPOSSIBLE = "quantity_impossible"
    QUANTITY_UNIT_ASSUMED = "quantity_unit_assumed"
    CAPACITY_UNKNOWN = "capacity_unknown"
    CERTIFICATE_UNREADABLE = "certificate_unreadable"
    DATE_UNREADABLE = "date_unreadable"
    PLACE_DECIDED = "place_decided"
    PLACE_UNKNOWN = "place_unknown"
    LINE_REPEATED = "line_repeated"
    REFUSED = "refused"


@dataclass(frozen=True)
class BoardRemark:
    """A remark on one position of the board: file, row (from 1) and line of the row (from 1; 0 is the row itself)."""

    file: str
    row: int
    line: int
    code: RemarkCode
    about: str = ""


@dataclass(frozen=True)
class BoardLine:
    """One thing needed or offered, and what the catalogue knows of it."""

    row: int
    number: int
    written: str
    """The name as the board has it."""
    specification: str
    item: str | None
    how: How | None
    standard: str | None
    quantity: int | None
    """In base units; None when it is not known."""
    is_estimate: bool
    note: str
    certificate: str = ""
    is_repeated: bool = False
    key: str = ""


@dataclass(frozen=True)
class Party:
    """An organisation of the board with all its lines, from however many rows."""

    file: str
    rows: tuple[int, ...]
    name: str
    kind: str
    region: str
    address: str
    contact_name: str
    contact_phone: str
    contact_email: str
    lines: tuple[BoardLine, ...]
    key: str


@dataclass(frozen=True)
class Board:
    parties: tuple[Party, ...]
    remarks: tuple[BoardRemark, ...]
    rows: Mapping[str, int]
    """How many rows each file has."""

    def lines(self, file: str) -> list[BoardLine]:
        return [line for party in self.parties if party.file == file for line in party.lines]


@dataclass(frozen=True)
class ItemMeasure:
    """How an item is counted: its base unit, and its packs by their names in lower case, the smallest of each name."""

    unit: str
    is_consumable: bool
    packs: Mapping[str, int]


@dataclass(frozen=True)
class Vocabulary:
    """The part of the catalogue that a board is read with."""

    names: Names
    reader: standards.Reader
    gazetteer: regions.Gazetteer
    items_of: Mapping[str, tuple[str, ...]]
    """Standard code → keys of the items that it can be asked of, the one it was made for first."""
    categories: Mapping[str, str]
    """Item key → category key."""
    measures: Mapping[str, ItemMeasure]
    """Item key → how it is counted."""


# --- Reading the files ------------------------------------------------------------------------------------------------


def _whole(digits: str) -> int | str:
    """A number of absurd length stays text, so that one of them does not spoil the file."""
    return int(digits) if len(digits) < 30 else digits


def read_file(path: Path) -> tuple[list[Any], list[BoardRemark]]:
    """The rows of one file, in UTF-8 with or without a mark, or GB 18030; no rows and a remark if it cannot be read."""

    def failed(code: RemarkCode, about: str = "") -> tuple[list[Any], list[BoardRemark]]:
        return [], [BoardRemark(path.name, 0, 0, code, about)]

    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return failed(RemarkCode.FILE_MISSING)
    except OSError as error:
        return failed(RemarkCode.FILE_UNREADABLE, error.strerror or str(error))

    text = None
    # GB 18030 comes last: it takes nearly any bytes for Chinese, so a file of UTF-8 must be tried as such first.
    for encoding in ("utf-8-sig", "utf-16" if content[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8", "gb18030"):
        try:
            text = content.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    if text is None:
        return failed(RemarkCode.FILE_UNREADABLE, "UTF-8, GB 18030")

    try:
        # RecursionError: thousands of nested brackets are no board either.
        rows = json.loads(text, parse_int=_whole)
    except (ValueError, RecursionError) as error:
        return failed(RemarkCode.FILE_UNREADABLE, str(error))
    return (rows, []) if isinstance(rows, list) else failed(RemarkCode.NOT_A_LIST, type(rows).__name__)
