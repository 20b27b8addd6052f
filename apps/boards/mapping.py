"""Turns the rows of a relief board into parties and lines in the words of the catalogue. Pure."""

import datetime as dt
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from apps.boards.board import (
    CARRIERS,
    FACTORIES,
    FILES,
    HOSPITALS,
    Board,
    BoardLine,
    BoardRemark,
    ItemMeasure,
    Party,
    RemarkCode,
    Vocabulary,
    read_file,
)
from apps.boards.reading import (
    CONTACT_EMAIL,
    CONTACT_NAME,
    CONTACT_PHONE,
    MOST,
    BoardRow,
    NotANumber,
    digest,
    kind_of,
    shown,
    written_quantity,
)
from apps.catalogue import identifiers, regions, standards
from apps.catalogue.recognition import How, Recognised
from apps.catalogue.units import base_units_in

CHINA_TIME: Final = dt.timezone(dt.timedelta(hours=8))  # a date with a zone is meant as the day in China


class _Mapping:
    """Turns rows into parties, by the vocabulary of the catalogue."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary

    def region(self, row: BoardRow) -> str:
        """The GB/T 2260 code of the row; the whole country when nothing tells."""
        found = self.vocabulary.gazetteer.resolve(
            province=row.text("province", longest=100),
            city=row.text("city", longest=100),
            district=row.text("district", "county", longest=100),
            address=row.text("address", longest=1000),
        )
        for remark in found.remarks:
            if remark is not regions.RegionRemark.NOWHERE:
                row.remark(RemarkCode.PLACE_DECIDED, f"{remark.value} → {found.code or regions.CHINA}")
        # The whole country still lets a coordinator find the row; a guess would send goods to a wrong city.
        if found.code is None:
            row.remark(RemarkCode.PLACE_UNKNOWN)
        return found.code or regions.CHINA

    def item(self, written: str, specification: str, cited: list[str], *, by_specification: bool) -> Recognised | None:
        """The item that a line means; None where the catalogue has nothing like it.

        On a list of capacities the specification names the item, elsewhere the name does. `cited` are codes of
        standards, which may tell one item of a category from another.
        """
        named, specified = self.vocabulary.names.recognise(written), self.vocabulary.names.recognise(specification)
        first, second = (specified, named) if by_specification else (named, specified)

        if first and first.is_general:
            # "口罩" with GB 19083 is a medical respirator; with "N95" it is a respirator.
            category = self.vocabulary.categories[first.key]
            made_for = [
                items[0]
                for code in cited
                if (items := self.vocabulary.items_of.get(code)) and self.vocabulary.categories[items[0]] == category
            ]
            if made_for:
                return first if made_for[0] == first.key else replace(first, key=made_for[0], how=How.PART, others=())
            # "手套" with "无菌" are 无菌手套, and "酒精" with "95%" is not the usual one.
            together = self.vocabulary.names.recognise(specification + written) if 0 < len(specification) < 12 else None
            if together and together.how is How.NAME:
                return together
            if second and not second.is_general and not by_specification and second.how in {How.NAME, How.PART}:
                return second
        return first or second

    def line(self, row: BoardRow, number: int, raw: Any, *, by_specification: bool) -> BoardLine:
        """One line of a row. Whatever it is, it becomes a line: at worst one without an item."""
        # Nothing is dropped: text becomes the name, and everything else is kept in the note.
        if not isinstance(raw, dict):
            row.remark(RemarkCode.NOT_AN_OBJECT, shown(raw), line=number)
            raw = {"key": raw if isinstance(raw, str) else "", "_": raw if not isinstance(raw, str) else None}

        # A line is read like a row, so that its unused fields are kept and its remarks collected in the same way.
        inner = BoardRow(row.file, row.number, raw, [])
        written = inner.text("key", "name", "item", longest=200)
        specification = inner.text("specification", "spec", longest=800)
        inner.used.add("value")
        left = inner.left()
        row.remarks.extend(replace(remark, line=number) for remark in inner.remarks)

        parsed = self.vocabulary.reader.read(specification)
        name = written
        # A code of a standard within the name would spoil the recognition of the item, and counts where the
        # specification names none.
        in_name = tuple(cited for cited in self.vocabulary.reader.read(written).cited if cited.is_by_code)
        for cited in in_name:
            name = name.replace(cited.words, " ")  # "N95口罩 GB19083-2010"
        parsed = parsed if parsed.cited else replace(parsed, cited=in_name)
        found = self.item(
            name,
            specification,
            [cited.code for cited in parsed.cited],
            by_specification=by_specification,
        )
        if found is None:
            row.remark(RemarkCode.ITEM_UNKNOWN, written or specification, line=number)
        elif found.how in {How.SIMILAR, How.ENDING}:
            row.remark(RemarkCode.ITEM_GUESSED, f"{written} → {found.alias}", line=number)
        elif found.others:
            row.remark(RemarkCode.ITEM_AMONG_SEVERAL, f"{written} → {found.alias}", line=number)

        standard, keeps = self._standard(
            row, number, specification, parsed, found, names_goods=by_specification and found is not None
        )
        quantity, is_estimate, unread = self._quantity(
            row, number, raw.get("value"), found, is_capacity=by_specification
        )

        # The note keeps every word that did not become a field, so that a person can correct the mapping.
        note = []
        if found is None or found.how is not How.NAME or by_specification:
            note.append(written)
        note.append(specification if keeps or found is None or by_specification else parsed.rest)
        if unread:
            note.append(unread)
        note.append(left)
        return BoardLine(
            row=row.number,
            number=number,
            written=written,
            specification=specification,
            item=found.key if found else None,
            how=found.how if found else None,
            standard=standard,
            quantity=quantity,
            is_estimate=is_estimate,
            note=row.clean("；".join(dict.fromkeys(part for part in note if part)), longest=2000, line=number),
            # What the line says is its identity. Its place in the file is not: rows move when somebody edits the board.
            key=json.dumps([written, specification, raw.get("value"), left], ensure_ascii=True, default=str),
        )

    def _standard(
        self,
        row: BoardRow,
        number: int,
        specification: str,
        parsed: standards.Parsed,
        found: Recognised | None,
        *,
        names_goods: bool,
    ) -> tuple[str | None, bool]:
        """The standard that the specification asks for, and whether its words must be kept in full."""
        if not specification and not parsed.cited:
            return None, False
        if parsed.unknown:
            row.remark(RemarkCode.STANDARD_UNKNOWN, ", ".join(parsed.unknown), line=number)
        if not parsed.cited:
            if not parsed.unknown and not names_goods:
                row.remark(RemarkCode.STANDARD_NONE, specification, line=number)
            return None, True

        # Of several standards the first that fits the item counts. Without an item any fits.
        fitting = [
            cited
            for cited in parsed.cited
            if found is None or found.key in self.vocabulary.items_of.get(cited.code, ())
        ]
        if not fitting:
            row.remark(
                RemarkCode.STANDARD_OF_OTHER_ITEM,
                f"{parsed.cited[0].code} – {found.alias if found else ''}",
                line=number,
            )
            return None, True

        chosen = fitting[0]
        if chosen.remark is standards.StandardRemark.SUPERSEDED:
            row.remark(RemarkCode.STANDARD_SUPERSEDED, f"{chosen.words} → {chosen.code}", line=number)
        elif chosen.remark is standards.StandardRemark.OTHER_EDITION:
            row.remark(RemarkCode.STANDARD_OTHER_EDITION, f"{chosen.words} → {chosen.code}", line=number)
        # A standard that we replaced, or one of several, does not say all that was written: then the words stay.
        return chosen.code, chosen.remark is not None or len(parsed.cited) > 1

    def _quantity(
        self, row: BoardRow, number: int, value: Any, found: Recognised | None, *, is_capacity: bool
    ) -> tuple[int | None, bool, str]:
        """Base units or None, whether they are an estimate, and the written value if it says more than they do."""
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=True, default=str)
        written = row.clean(text, longest=100, line=number)
        try:
            amount = written_quantity(value)
        except NotANumber:
            row.remark(RemarkCode.QUANTITY_UNREADABLE, written[:60], line=number)
            return None, False, written
        if amount is None:
            return None, False, ""
        # A board's cell may hold anything; a quantity of 0 or of 10 ** 20 would only mislead the matching.
        if not 0 < amount.number <= MOST:
            row.remark(RemarkCode.QUANTITY_IMPOSSIBLE, written[:60], line=number)
            return None, False, written

        measure = self.vocabulary.measures.get(found.key) if found else None
        if amount.number == 1 and not amount.unit and (is_capacity or measure is None or measure.is_consumable):
            return None, False, ""  # the board's way of saying "unknown"
        size, is_assumed = self._size(amount.unit, measure)
        if size is None:
            row.remark(RemarkCode.QUANTITY_UNREADABLE, written[:60], line=number)
            return None, False, written
        if amount.number * size > MOST:
            row.remark(RemarkCode.QUANTITY_IMPOSSIBLE, written[:60], line=number)
            return None, False, written
        if is_assumed:
            assumed = f"{amount.number}{amount.unit} × {size}"
            row.remark(RemarkCode.QUANTITY_UNIT_ASSUMED, assumed, line=number)
            return amount.number * size, True, assumed
        return amount.number * size, False, ""

    @staticmethod
    def _size(unit: str, measure: ItemMeasure | None) -> tuple[int | None, bool]:
        """Base units in one of what was counted, and whether that is our assumption."""
        if measure is None:
            return (None if unit else 1), False
        if unit:
            size = base_units_in(unit, base=measure.unit, packs=measure.packs)
            return size, unit in measure.packs
        # Nobody asks for alcohol by the millilitre: without a unit, usual bottles are meant.
        if measure.unit in {"ml", "g", "m", "m2"} and measure.packs:
            # The smallest pack: too little is asked for again, too much is lost to others.
            return min(measure.packs.values()), True
        return 1, False

    def lines(self, row: BoardRow, *, by_specification: bool) -> list[BoardLine]:
        row.used.add("supplies")
        raw = row.fields.get("supplies")
        if raw is None:
            return []
        # Some boards write lines as {name: value} instead of a list of objects.
        if isinstance(raw, dict) and "key" not in raw:
            raw = [{"key": name, "value": value} for name, value in raw.items()]
        elif not isinstance(raw, list):
            row.remark(RemarkCode.LINES_UNREADABLE, shown(raw))
            raw = [raw]
        return [self.line(row, at, entry, by_specification=by_specification) for at, entry in enumerate(raw, start=1)]

    def party(self, row: BoardRow, *, kind: str, region: str, address: str) -> Party:
        """The organisation of a row that has a name, without lines yet."""
        name = row.text("name", longest=200)
        return Party(
            file=row.file,
            rows=(row.number,),
            name=name,
            kind=kind,
            region=region,
            address=address[:300],
            contact_name=row.text(*CONTACT_NAME, longest=100),
            contact_phone=row.text(*CONTACT_PHONE, longest=60),
            contact_email=row.text(*CONTACT_EMAIL, longest=254),
            lines=(),
            key=digest(row.file, regions.tidy(name), region),
        )

    def hospital(self, row: BoardRow) -> Party:
        """An organisation from the list of hospitals, with the lines that it needs."""
        lines = self.lines(row, by_specification=False)
        kind = kind_of(row.text("name", longest=200))
        party = self.party(row, kind=kind, region=self.region(row), address=row.text("address", longest=300))
        left = row.left()
        return replace(party, lines=tuple(_noting(line, left) for line in lines))

    def factory(self, row: BoardRow) -> Party:
        """A maker with its daily capacities, its certificates and the date the board gives for them."""
        lines = self.lines(row, by_specification=True)
        party = self.party(row, kind="supplier", region=self.region(row), address=row.text("address", longest=300))
        certificate, kept = self._certificate(row)
        day = self._day(row)
        for line in lines:
            if line.quantity is None:
                row.remark(RemarkCode.CAPACITY_UNKNOWN, line.specification or line.written, line=line.number)
        left = row.left()
        return replace(
            party, lines=tuple(replace(_noting(line, kept, day, left), certificate=certificate) for line in lines)
        )

    @staticmethod
    def _certificate(row: BoardRow) -> tuple[str, str]:
        """The first valid certificate number, and what else the field says."""
        text = row.text("qualification", "certificate", longest=500)
        if not text:
            return "", ""
        parsed = [
            (part, identifiers.parse_device_certificate(part)) for part in re.split(r"[,，;；、\s]+", text) if part
        ]
        # The table has one certificate for each offer; further ones go to the note with what could not be read.
        valid = [certificate.number for _part, certificate in parsed if certificate]
        rest = [part for part, certificate in parsed if not certificate]
        if rest:
            row.remark(RemarkCode.CERTIFICATE_UNREADABLE, "，".join(rest)[:60])
        return valid[0] if valid else "", "，".join([*valid[1:], *rest])

    @staticmethod
    def _day(row: BoardRow) -> str:
        """The date of the row, in China."""
        text = row.text("date", longest=60)
        if not text:
            return ""
        try:
            moment = dt.datetime.fromisoformat(text)
            return str((moment.astimezone(CHINA_TIME) if moment.tzinfo else moment).date())
        except (ValueError, OverflowError):
            row.remark(RemarkCode.DATE_UNREADABLE, text)
            return text

    def carrier(self, row: BoardRow) -> Party:
        """A carrier. Its routes and loads are kept in its address, because carriers have no table of their own yet."""
        home = row.text("from", longest=100)
        route = " → ".join(part for part in (home, row.text("dest", longest=100)) if part)
        row.used.update({"allowPersonal", "greenPath"})
        flags = [name for name in ("allowPersonal", "greenPath") if row.fields.get(name) is True]
        facts = [row.text("address", longest=300), route, row.text("area", longest=150), ", ".join(flags)]

        party = self.party(row, kind="carrier", region=self._home(row, home), address="")
        address = "；".join(part for part in (*facts, row.left()) if part)
        return replace(party, address=row.clean(address, longest=300))

    def _home(self, row: BoardRow, home: str) -> str:
        """The region a carrier works from."""
        # A carrier that names no place, or the whole country, works everywhere.
        if not home or home in _NATIONWIDE:
            return regions.CHINA
        gazetteer = self.vocabulary.gazetteer
        # The field holds a province or a city, and does not say which.
        code = gazetteer.resolve(province=home).code or gazetteer.resolve(city=home).code
        if code is None:
            row.remark(RemarkCode.PLACE_UNKNOWN, home)
        return code or regions.CHINA


_NATIONWIDE: Final = frozenset({"全国", "中国", "全国各地", "全球", "China", "nationwide"})


def _noting(line: BoardLine, *more: str) -> BoardLine:
    return replace(line, note="；".join(part for part in (line.note, *more) if part)[:2000])


def read_board(folder: Path, vocabulary: Vocabulary) -> Board:
    """Read and map a folder. A file that is missing or broken is named in a remark; the others are still read."""
    contents, remarks = {}, []
    for name in FILES:
        contents[name], problems = read_file(folder / name)
        remarks.extend(problems)
    return map_board(contents, vocabulary, remarks)


def map_board(
    contents: Mapping[str, list[Any]], vocabulary: Vocabulary, remarks: list[BoardRemark] | None = None
) -> Board:
    """Map the rows of the three files to parties with lines. Rows of the same name and region are one party."""
    mapping = _Mapping(vocabulary)
    readers = {HOSPITALS: mapping.hospital, FACTORIES: mapping.factory, CARRIERS: mapping.carrier}
    remarks = list(remarks or [])
    parties: dict[str, Party] = {}
    unused: Counter[tuple[str, str]] = Counter()

    for file, rows in contents.items():
        for number, fields in enumerate(rows, start=1):
            if not isinstance(fields, dict):
                remarks.append(BoardRemark(file, number, 0, RemarkCode.NOT_AN_OBJECT, shown(fields)))
                continue
            row = BoardRow(file, number, fields, [])
            if row.text("name", longest=200):
                party = readers[file](row)
                # Rows of the same name and place are one organisation: boards list some several times.
                known = parties.get(party.key)
                parties[party.key] = _joined(known, party) if known else party
                unused.update((file, str(name)) for name in row.unused())
            else:
                row.remark(RemarkCode.NAME_MISSING, json.dumps(fields, ensure_ascii=True, default=str)[:300])
            remarks.extend(row.remarks)

    for (file, name), times in sorted(unused.items()):
        remarks.append(BoardRemark(file, 0, 0, RemarkCode.FIELD_UNUSED, f"{name} × {times}"))

    # Keys come last, after rows of one party were joined: a line repeated in another row is repeated as well.
    keyed = tuple(_with_line_keys(party, remarks) for party in parties.values())
    return Board(keyed, tuple(remarks), {file: len(rows) for file, rows in contents.items()})


def _joined(known: Party, more: Party) -> Party:
    """One organisation from two rows: the facts of the first, completed by the second, and the lines of both."""
    return replace(
        known,
        rows=(*known.rows, *more.rows),
        address=known.address or more.address,
        contact_name=known.contact_name or more.contact_name,
        contact_phone=known.contact_phone or more.contact_phone,
        contact_email=known.contact_email or more.contact_email,
        lines=(*known.lines, *more.lines),
    )


def _with_line_keys(party: Party, remarks: list[BoardRemark]) -> Party:
    """The party with a key for every line, made of what the line says. A repeated line is marked, not dropped."""
    seen: Counter[str] = Counter()
    lines = []
    for line in party.lines:
        # The count is part of the key: a line that stands twice has two keys, and the same two in the next import.
        seen[line.key] += 1
        is_repeated = seen[line.key] > 1
        if is_repeated:
            remarks.append(BoardRemark(party.file, line.row, line.number, RemarkCode.LINE_REPEATED, line.written))
        lines.append(replace(line, key=digest(party.key, line.key, seen[line.key]), is_repeated=is_repeated))
    return replace(party, lines=tuple(lines))
