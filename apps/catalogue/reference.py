"""The reference data that comes with the program, read from `data/` and from pycountry. Pure, except for files."""

import csv
import gettext
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Final

from apps.catalogue import regions, standards

DATA: Final = Path(__file__).parent / "data"

# ISO 3166-1 also lists these three; GB/T 2260 and ISO 3166-2:CN have them as 71, 81 and 82. One place, one code.
_ALSO_IN_CHINA: Final = {"TW": "710000", "HK": "810000", "MO": "820000"}


@dataclass(frozen=True)
class ReferenceItem:
    key: str
    category: str
    unit: str
    trial_lot: int
    device_class: int | None
    device_categories: tuple[str, ...]
    is_consumable: bool
    position: int
    # By language: the name first, then the aliases.
    names: Mapping[str, tuple[str, ...]]
    packs: tuple[tuple[str, str, int], ...]
    codes: tuple[Mapping[str, str], ...]


@dataclass(frozen=True)
class ReferenceStandard:
    code: str
    title_zh: str
    title_en: str
    jurisdiction: str
    grade: str
    attributes: Mapping[str, Any]
    valid_from: date | None
    successor: str | None
    items: tuple[str, ...]


@dataclass(frozen=True)
class ReferenceRegion:
    code: str
    name: str
    name_en: str
    level: str
    path: str
    latitude: float | None
    longitude: float | None

    @property
    def parent(self) -> str | None:
        above = self.path.split("/")[:-2]
        return above[-1] if above else None


@cache
def _read(name: str) -> dict[str, Any]:
    with open(DATA / name, "rb") as file:
        return tomllib.load(file)


def units() -> dict[str, dict[str, str]]:
    return dict(_read("items.toml")["units"])


def categories() -> dict[str, dict[str, str]]:
    return dict(_read("items.toml")["categories"])


def items() -> list[ReferenceItem]:
    return [
        ReferenceItem(
            key=row["key"],
            category=row["category"],
            unit=row["unit"],
            trial_lot=row["lot"],
            device_class=row.get("device", {}).get("class"),
            device_categories=tuple(row.get("device", {}).get("categories", ())),
            is_consumable=not row.get("durable", False),
            position=position,
            names={language: tuple(dict.fromkeys(row[language])) for language in ("zh", "en")},
            packs=tuple((zh, en, size) for zh, en, size in row.get("packs", ())),
            codes=tuple(
                {"system": system, "version": _CODE_VERSIONS[system], "code": code}
                for system, code in row.get("codes", {}).items()
            ),
        )
        for position, row in enumerate(_read("items.toml")["item"])
    ]


_CODE_VERSIONS: Final = {"UNSPSC": "", "HS": "2017"}


def substitutions() -> list[dict[str, str]]:
    return list(_read("items.toml")["substitution"])


def standard_rows() -> list[ReferenceStandard]:
    """Every grade of every edition; the withdrawn ones with their successors."""
    # Withdrawn editions get the same grades as the current one, because goods and forms still name them.
    rows = []
    for family in _read("standards.toml")["standard"]:
        grades: dict[str, dict[str, Any]] = {"": {}, **family.get("grades", {})}
        for edition in (family["code"], *family.get("replaces", ())):
            for grade, more in grades.items():
                rows.append(
                    ReferenceStandard(
                        code=f"{edition} {grade}".strip(),
                        title_zh=family["zh"],
                        title_en=family["en"],
                        jurisdiction=family["jurisdiction"],
                        grade=grade,
                        attributes={**family.get("attributes", {}), **more},
                        valid_from=family.get("valid_from") if edition == family["code"] else None,
                        successor=None if edition == family["code"] else f"{family['code']} {grade}".strip(),
                        items=tuple(family.get("items", ())),
                    )
                )
    return rows


def satisfactions() -> set[tuple[str, str]]:
    """The meets-or-exceeds relation as pairs (offered, demanded)."""
    explicit = [
        (offered, demanded)
        for rule in _read("standards.toml")["satisfies"]
        for offered in rule["offered"]
        for demanded in rule["demanded"]
    ]
    # Most pairs follow from the attributes. The explicit ones are equivalences that a published source states.
    graded = [standards.Graded(row.code, row.attributes, row.successor) for row in standard_rows()]
    return standards.satisfactions(graded, explicit)


def region_rows() -> list[ReferenceRegion]:
    """GB/T 2260 for China, ISO 3166 for everywhere else; parents before children."""
    return [*_countries(), *_china(), *_subdivisions()]


def _china() -> Iterator[ReferenceRegion]:
    with open(DATA / "regions-cn-en.csv", encoding="utf-8", newline="") as file:
        english = {row["code"]: row for row in csv.DictReader(file)}
    with open(DATA / "regions-cn.csv", encoding="utf-8", newline="") as file:
        rows = {row["code"]: row for row in csv.DictReader(file)}

    for code, row in rows.items():
        above = regions.ancestors(code)
        # Rows that group codes have no place of their own, so they stand where the place above them stands.
        located = next(
            (
                source
                for source in (row, english[code], *(rows[up] for up in reversed(above) if up in rows))
                if source["latitude"]
            ),
            None,
        )
        yield ReferenceRegion(
            code=code,
            name=row["name"],
            name_en=english[code]["name_en"],
            level=regions.level_of(code, len(above) + 1),
            path="".join(f"{part}/" for part in (*above, code)),
            latitude=float(located["latitude"]) if located else None,
            longitude=float(located["longitude"]) if located else None,
        )


def _countries() -> Iterator[ReferenceRegion]:
    import pycountry  # loads large files, and only `load_reference` needs it

    chinese = gettext.translation("iso3166-1", pycountry.LOCALES_DIR, languages=["zh_CN"])
    with open(DATA / "countries.csv", encoding="utf-8", newline="") as file:
        located = {row["code"]: row for row in csv.DictReader(file)}
    for country in sorted(pycountry.countries, key=lambda country: str(country.alpha_2)):
        code, name = country.alpha_2, getattr(country, "common_name", country.name)
        if code in _ALSO_IN_CHINA:
            continue
        place = located.get(code)
        translated = next((zh for en in (name, country.name) if (zh := chinese.gettext(en)) != en), name)
        yield ReferenceRegion(
            code=code,
            name="中国" if code == regions.CHINA else translated,
            name_en=name,
            level="country",
            path=f"{code}/",
            latitude=float(place["latitude"]) if place else None,
            longitude=float(place["longitude"]) if place else None,
        )


def _subdivisions() -> Iterator[ReferenceRegion]:
    import pycountry

    chinese = gettext.translation("iso3166-2", pycountry.LOCALES_DIR, languages=["zh_CN"])
    known = {division.code: division for division in pycountry.subdivisions}

    def path_of(code: str) -> str:
        division = known[code]
        if division.parent_code:
            return f"{path_of(division.parent_code)}{code}/"
        country = division.country_code
        # Their subdivisions hang under the GB/T 2260 code of the place.
        if country in _ALSO_IN_CHINA:
            return f"{regions.CHINA}/{_ALSO_IN_CHINA[country]}/{code}/"
        return f"{country}/{code}/"

    # pycountry sorts by code, but a parent must exist before its children, so the rows are sorted by depth at the end.
    rows = []
    for code, division in known.items():
        if division.country_code == regions.CHINA:
            continue
        path, name = path_of(code), division.name.split(" [")[0]
        rows.append(
            ReferenceRegion(
                code=code,
                name=next((zh for en in (division.name, name) if (zh := chinese.gettext(en)) != en), name),
                name_en=name,
                level=regions.level_of(code, path.count("/")),
                path=path,
                latitude=None,
                longitude=None,
            )
        )
    yield from sorted(rows, key=lambda row: (row.path.count("/"), row.code))
