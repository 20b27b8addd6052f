"""The name of an organisation as it is compared: in simplified characters, without its place and its legal form.

People write one name in many ways: with or without the province, the city and the district, in full-width brackets,
with a department behind it. What is left of a name after all of that is its *core*; the places that it names are kept
apart.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from apps.catalogue.regions import CHINA, GROUPINGS, level_of, stem, tidy

_BRACKETS: Final = re.compile(r"[(\[【〔][^)\]】〕]*[)\]】〕]?")
_SIGNS: Final = re.compile(r"[^0-9a-z\u3400-\u9fff]+")
_LEGAL_FORM: Final = re.compile(r"(?:股份|有限|责任)+公司$|集团$|公司$")
# One thing under two names, the longer one first.
_SYNONYMS: Final = (("中医医院", "中医院"), ("疾病预防控制", "疾控"), ("妇女儿童", "妇儿"))
# A department, a ward or a campus behind the name of its hospital.
_PART: Final = re.compile(r"(?<=医院)(?:.{1,6}(?:科|处|部|室|院区|分院)|[东南西北总]院)$")
_NUMERALS: Final = "一二三四五六七八九十"
_ORDINAL: Final = re.compile(rf"第([{_NUMERALS}]+)|^([{_NUMERALS}])(?=人民|职工|中医|医院)")
# What an organisation is. Two that name different kinds in one town are two organisations.
_KINDS: Final = (
    *("中西医", "中医", "人民", "中心医院", "妇幼", "妇儿", "红十字", "慈善", "疾控", "儿童", "精神", "肿瘤", "传染"),
    *("卫生院", "急救", "胸科", "口腔", "职工", "学院", "协会", "大学", "共青团"),
)
# What may not be left alone when a place is taken off the front of a name.
_BARE: Final = frozenset({"医院", "总医院", "中心", "院", "医", "公司", "集团", "hospital"})


@dataclass(frozen=True)
class PlaceName:
    """A region by a name that people write for it. `is_whole`: with its class of area, as in 武昌区."""

    code: str
    text: str
    is_whole: bool


@dataclass(frozen=True)
class ReadName:
    """What a name says. `core` is without places and kept for searching, `stem` also without 医院, for comparing."""

    core: str
    stem: str
    whole: str
    local: str  # the stem behind the last place that the name gives, without its class of area: 钟祥人民
    places: tuple[str, ...]  # codes of regions named, in the order of the name
    ordinal: str
    kinds: frozenset[str]


@cache
def _converter() -> Any:
    import opencc

    # Some megabytes of tables, so they are read where the first name is.
    return opencc.OpenCC("t2s")


def simplified(text: str) -> str:
    """In simplified characters and half-width forms, in small letters."""
    text = tidy(text)
    return str(_converter().convert(text)).casefold() if not text.isascii() else text.casefold()


class PlaceIndex:
    """The names of all regions, to be found in names and addresses of organisations near by."""

    def __init__(self, regions: Iterable[tuple[str, str, str]]) -> None:
        """`regions` are (code, name, path)."""
        self.paths: dict[str, str] = {}
        self._near: dict[str, list[PlaceName]] = {}
        self._names: dict[str, list[PlaceName]] = {}
        for code, name, path in regions:
            self.paths[code] = path
            if name in GROUPINGS:
                self._names[code] = []
                continue
            whole, short = simplified(name), simplified(stem(name))
            names = [PlaceName(code, whole, is_whole=True)]
            if short != whole:
                names.append(PlaceName(code, short, is_whole=False))
            self._names[code] = names

    def city_of(self, region: str) -> str:
        """The code of the prefecture of a region, or of the region itself if it is larger or belongs to none."""
        codes = self.paths[region].strip("/").split("/")
        return codes[min(len(codes) - 1, 2)]

    def near(self, region: str) -> list[PlaceName]:
        """The names of what contains a region, and of all in its city; the longest first."""
        city = self.city_of(region)
        if city not in self._near:
            path = self.paths[city]
            above = path.strip("/").split("/")
            within = [code for code, each in self.paths.items() if each.startswith(path)] if len(above) > 1 else above
            names = [name for code in dict.fromkeys([*above, *within]) if code != CHINA for name in self._names[code]]
            names.append(PlaceName(CHINA, "中国", is_whole=True))
            self._near[city] = sorted(names, key=lambda name: -len(name.text))
        return self._near[city]

    def contains(self, above: str, below: str) -> bool:
        return self.paths[below].startswith(self.paths[above])

    def smallest(self, codes: Iterable[str]) -> str | None:
        """The code of the smallest of these regions."""
        return max(codes, key=lambda code: self.paths[code].count("/"), default=None)

    def short(self, code: str) -> str:
        """The name without its class of area."""
        return self._names[code][-1].text if self._names.get(code) else ""

    def depth(self, code: str) -> int:
        return self.paths[code].count("/")

    def level(self, code: str) -> str:
        return level_of(code, self.depth(code))


def read_name(name: str, region: str, places: PlaceIndex) -> ReadName:
    """What the name of an organisation in this region says."""
    text = _SIGNS.sub("", _BRACKETS.sub("", simplified(name))) or _SIGNS.sub("", simplified(name))
    for written, meant in _SYNONYMS:
        text = text.replace(written, meant)
    text = _PART.sub("", re.sub(r"第?([1-9])(?=人民|医院|中医|职工)", _in_words, text))
    rest, named = _without_places(text, places.near(region))
    if "附属" in rest and _is_telling(after := rest.rpartition("附属")[2]):
        # A university's hospital is known by its own name: 同济医院.
        rest = after
    core = _without_form(rest)
    short = _without_hospital(core)
    ordinal = _ORDINAL.search(core)
    return ReadName(
        core=core,
        stem=short,
        whole=text,
        local=(places.short(named[-1]) if named else "") + short,
        places=tuple(named),
        ordinal=next(filter(None, ordinal.groups()), "") if ordinal else "",
        kinds=frozenset(_kinds(core)),
    )


def _in_words(match: re.Match[str]) -> str:
    return f"第{_NUMERALS[int(match[1]) - 1]}"


def _without_places(text: str, near: list[PlaceName]) -> tuple[str, list[str]]:
    """The text after the places at its front, and their codes. A name that would be nothing else keeps its last one."""
    named: list[str] = []
    while True:
        place = next((one for one in near if text.startswith(one.text)), None)
        if place is None:
            return text, named
        rest = text.removeprefix(place.text)
        named.append(place.code)
        if rest == "医院" and place.is_whole and place.text.endswith(("县", "旗")):
            # The hospital of a county is its people's hospital.
            return "人民医院", named
        if len(rest) < 2 or rest in _BARE:
            return text, named
        text = rest


def _is_telling(core: str) -> bool:
    """Whether a name without its university still says which hospital is meant."""
    return len(_without_hospital(core)) >= 2 and not _ORDINAL.search(core) and not _kinds(core) and core not in _BARE


def _without_form(text: str) -> str:
    shorter = _LEGAL_FORM.sub("", text)
    return shorter if len(shorter) >= 2 else text


def _without_hospital(core: str) -> str:
    for suffix in ("医院", "院"):
        rest = core.removesuffix(suffix)
        if rest != core and len(rest) >= 2:
            return rest
    return core


def _kinds(core: str) -> set[str]:
    return {kind for kind in _KINDS if kind in core}


# --- Telephone numbers and addresses ----------------------------------------------------------------------------------

_LOCAL: Final = re.compile(r"0(?:10|2\d|[3-9]\d\d)(\d{7,8})")
_STREET: Final = re.compile(
    r"([\u4e00-\u9fff]{1,12}?(?:大道|大街|路|街|巷|胡同|道|村|镇|社区))[^0-9]{0,3}?(\d+(?:[-–]\d+)?)"
)
_CHINESE_NUMBER: Final = re.compile(rf"([{_NUMERALS}])(?=号)")


def phones_in(text: str) -> tuple[str, ...]:
    """The numbers in a field of a telephone number, without country and area codes; nothing shorter than 7 digits."""
    found = []
    for part in re.split(r"[/,;、；，|]|\s{2,}|(?<=\d)\s(?=1[3-9]\d{9})", unicodedata.normalize("NFKC", text)):
        digits = re.sub(r"\D", "", part)
        digits = re.sub(r"^(?:0086|86)(?=\d{10,})", "", digits)
        if match := _LOCAL.fullmatch(digits):
            digits = match[1]
        if 7 <= len(digits) <= 15:
            found.append(digits)
    return tuple(dict.fromkeys(found))


def read_street(address: str, region: str, places: PlaceIndex) -> str:
    """The street and the number of an address, without the places before them; empty where it gives no number."""
    text = re.sub(r"[\s,，.。·]", "", simplified(address))
    text = _CHINESE_NUMBER.sub(lambda match: str(_NUMERALS.index(match[1]) + 1), text)
    text, _named = _without_places(text, places.near(region))
    match = _STREET.search(text)
    if not match:
        return ""
    street = match[1]
    # Places in the middle (高乐山镇金烟路) are left out: the last street counts.
    street = re.split(r"(?<=[县区市镇乡])", street)[-1] or street
    return f"{street}{match[2]}"


def home_of(region: str, address: str, places: PlaceIndex) -> str:
    """The region, or the county in it that the address names: forms often give the city only."""
    if places.level(region) == "county":
        return region
    text = simplified(address)
    for place in places.near(region):
        if place.is_whole and places.level(place.code) == "county" and place.text in text:
            return place.code
    return region
