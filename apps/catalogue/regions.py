"""How regions contain each other, how far apart they are, and which region a written address means. Pure.

Codes are GB/T 2260 (six digits, 2+2+2 for province, prefecture, county) in China and ISO 3166 elsewhere. A third and
fourth digit of 90 mean "directly under the province": 4290xx are not one city.
"""

import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

# The mean radius R1 of the International Union of Geodesy and Geophysics.
EARTH_RADIUS_KM: Final = 6371.0088

CHINA: Final = "CN"
# The third and fourth digit of counties that belong to no prefecture.
_DIRECT: Final = "90"

# Names of rows of GB/T 2260 that only group codes. Nobody has such an address.
GROUPINGS: Final = ("市辖区", "县", "省直辖县级行政区划", "自治区直辖县级行政区划")


def is_gbt(code: str) -> bool:
    """Whether the code has the form of GB/T 2260: six ASCII digits."""
    return len(code) == 6 and code.isascii() and code.isdigit()


def ancestors(code: str) -> tuple[str, ...]:
    """The codes above, from the country down: `420106` → `("CN", "420000", "420100")`, `429004` → `("CN", "420000")`.

    Of ISO 3166-2 only the country is known from the code; a subdivision of a subdivision is found in the data.
    """
    if not is_gbt(code):
        return (code[:2],) if "-" in code else ()

    province, prefecture = code[:2] + "0000", code[:4] + "00"
    above = [CHINA, province]
    if code[2:4] != _DIRECT:
        above.append(prefecture)
    return tuple(ancestor for ancestor in above if ancestor != code)


def level_of(code: str, depth: int) -> str:
    """The level of a region: country, province, prefecture or county.

    In China the code decides. Elsewhere `depth` does, the number of codes in the region's path.
    """
    if not is_gbt(code):
        return ("country", "province", "prefecture", "county")[min(depth, 4) - 1]
    if code.endswith("0000"):
        return "province"
    return "prefecture" if code.endswith("00") else "county"


def distance_km(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Great-circle distance of two (latitude, longitude) in degrees, by the haversine formula."""
    (latitude_a, longitude_a), (latitude_b, longitude_b) = a, b
    phi_a, phi_b = math.radians(latitude_a), math.radians(latitude_b)
    half_chord = (
        math.sin((phi_b - phi_a) / 2) ** 2
        + math.cos(phi_a) * math.cos(phi_b) * math.sin(math.radians(longitude_b - longitude_a) / 2) ** 2
    )
    # Rounding may give a little more than 1 for opposite points, of which `asin` knows nothing.
    return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(min(1.0, half_chord)))


# --- Which place is meant ---------------------------------------------------------------------------------------------


class RegionRemark(StrEnum):
    """A contradiction or gap in what was written, and how it was decided."""

    PROVINCE_CONTRADICTED = "province_contradicted"  # the city lies in another province: the city is believed
    CITY_CONTRADICTED = "city_contradicted"  # the district lies in another city of the province: it is believed
    CITY_UNKNOWN = "city_unknown"
    DISTRICT_UNKNOWN = "district_unknown"  # a development zone, a new district: the city stands
    PROVINCE_UNKNOWN = "province_unknown"
    FROM_ADDRESS = "from_address"  # the address says more than the fields
    NOWHERE = "nowhere"


@dataclass(frozen=True)
class GazetteerEntry:
    """A region of the gazetteer, with what finding it needs. `path` is as in the table."""

    code: str
    name: str
    path: str

    @property
    def level(self) -> str:
        return level_of(self.code, self.path.count("/"))


@dataclass(frozen=True)
class Resolution:
    """The region that was found, and how exactly (`level`). Without a code, no region was found."""

    code: str | None
    level: str | None
    remarks: tuple[RegionRemark, ...] = ()


# Autonomous areas carry the names of their peoples, which people leave out: 恩施 for 恩施土家族苗族自治州.
_PEOPLES: Final = (
    "蒙古族|回族|藏族|维吾尔族?|苗族|彝族|壮族|布依族|朝鲜族|满族|侗族|瑶族|白族|土家族|哈尼族|哈萨克族?|傣族|黎族|傈僳族|佤族|畲族|"
    "拉祜族|水族|东乡族|纳西族|景颇族|柯尔克孜族?|土族|达斡尔族|仫佬族|羌族|布朗族|撒拉族|毛南族|仡佬族|锡伯族?|塔吉克族?|怒族|"
    "普米族|鄂温克族|独龙族|保安族|裕固族|各族|蒙古"
)
# The class of area at the end of a name. Longer classes come first: 自治州 before 州.
_CLASS: Final = re.compile(
    rf"(?:(?:{_PEOPLES})+自治[州县旗]|(?:壮族|回族|维吾尔)?自治区|自治[州县旗]|特别行政区|地区|林区|特区|新区|矿区|省|市|区|县|盟|旗)$"
)


def tidy(name: str | None) -> str:
    """The name without blanks and control characters, in half-width forms (Unicode NFKC)."""
    plain = unicodedata.normalize("NFKC", name or "")
    return "".join(letter for letter in plain if letter.isprintable() and not letter.isspace())


def stem(name: str) -> str:
    """The name without its class of area: `恩施土家族苗族自治州` → `恩施`. `随县` stays: one character is too short."""
    short = _CLASS.sub("", name)
    return short if len(short) > 1 else name


class Gazetteer:
    """All regions of China by name, to find the one that is meant."""

    def __init__(self, places: Iterable[GazetteerEntry]) -> None:
        # Four indexes: by the level, by the full name, by the name without its class, and by every region above.
        self.places = {place.code: place for place in places if is_gbt(place.code)}
        self._by_level: defaultdict[str, list[GazetteerEntry]] = defaultdict(list)
        self._by_name: defaultdict[str, list[GazetteerEntry]] = defaultdict(list)
        self._by_stem: defaultdict[str, list[GazetteerEntry]] = defaultdict(list)
        self._inside: defaultdict[str, list[GazetteerEntry]] = defaultdict(list)
        for place in self.places.values():
            self._by_level[place.level].append(place)
            self._by_name[place.name].append(place)
            self._by_stem[stem(place.name)].append(place)
            for above in place.path.split("/")[:-2]:
                self._inside[above].append(place)

    def named(self, name: str, *levels: frozenset[str], within: GazetteerEntry | None = None) -> list[GazetteerEntry]:
        """Regions of this name, or of this stem, as a county may have become a city since.

        `levels` are tried in their order, and the first one with a result decides.
        """
        for index, key in (
            (self._by_name, name),
            (self._by_stem, stem(name)),
            (self._by_stem, name.removesuffix("州")),
        ):
            for wanted in levels:
                found = [
                    place
                    for place in index.get(key, ())
                    if place.level in wanted and (within is None or place.path.startswith(within.path))
                ]
                # Larger regions first: a name without more words means the city and not a district of the same name.
                if found:
                    return sorted(found, key=lambda place: (place.path.count("/"), place.code))
        return []

    def resolve(
        self,
        *,
        province: str | None = None,
        city: str | None = None,
        district: str | None = None,
        address: str | None = None,
    ) -> Resolution:
        """The smallest region that the fields and the address agree on.

        The fields are believed before the address, because forms ask for them one by one.
        """
        # From large to small: each step searches within what the last one found.
        remarks: list[RegionRemark] = []
        written = tidy(address)

        found = self._province(tidy(province), remarks)
        found = self._city(tidy(city), found, written, remarks)
        found = self._district(tidy(district), tidy(city), found, remarks)

        refined = self._in_address(written, found)
        if refined and refined != found:
            remarks.append(RegionRemark.FROM_ADDRESS)
            found = refined
        if found is None:
            return Resolution(None, None, (*remarks, RegionRemark.NOWHERE))
        return Resolution(found.code, found.level, tuple(remarks))

    def _province(self, name: str, remarks: list[RegionRemark]) -> GazetteerEntry | None:
        if not name:
            return None
        if found := self.named(name, _PROVINCES):
            return found[0]
        remarks.append(RegionRemark.PROVINCE_UNKNOWN)
        return None

    def _city(
        self, name: str, province: GazetteerEntry | None, address: str, remarks: list[RegionRemark]
    ) -> GazetteerEntry | None:
        """The city: a prefecture, a municipality, a county directly under the province, or a county called a city."""
        if not name or (province and _is_city(province) and stem(name) == stem(province.name)):
            return province
        if province and (found := self.named(name, _PREFECTURES, _COUNTIES, within=province)):
            return found[0]

        # Not in the province that was given: a name that only one city of the country has is believed before it.
        elsewhere = self.named(name, _PREFECTURES, _COUNTIES)
        if len(elsewhere) > 1:
            provinces = [place for place in elsewhere if place.level == "province"]
            elsewhere = provinces or [place for place in elsewhere if self._named_in(address, place)]
        if len(elsewhere) == 1:
            if province:
                remarks.append(RegionRemark.PROVINCE_CONTRADICTED)
            return elsewhere[0]
        remarks.append(RegionRemark.CITY_UNKNOWN)
        return province

    def _district(
        self, name: str, city_name: str, city: GazetteerEntry | None, remarks: list[RegionRemark]
    ) -> GazetteerEntry | None:
        if not name or city is None or city.level == "county" or name in {city_name, city.name}:
            return city
        if found := self.named(name, _COUNTIES, within=city):
            return found[0]
        # Forms repeat the city in the field of the district.
        if stem(name) == stem(city.name):
            return city

        # A county of another city is believed if its full name is unique in the province. Names of urban districts are
        # not, because too many cities have the same ones.
        province = self.places.get(city.code[:2] + "0000")
        elsewhere = self.named(name, _COUNTIES, within=province)
        if len(elsewhere) == 1 and elsewhere[0].name == name and name.endswith(("县", "市")):
            remarks.append(RegionRemark.CITY_CONTRADICTED)
            return elsewhere[0]
        remarks.append(RegionRemark.DISTRICT_UNKNOWN)
        return city

    def _in_address(self, address: str, known: GazetteerEntry | None) -> GazetteerEntry | None:
        """A smaller region within `known` that the address names.

        If nothing is known yet, the search goes down from the provinces, and by full names only from the prefectures: a
        stem of two characters is in too many street names.
        """
        if not address or (known and known.level == "county"):
            return None
        if known is None:
            known = self._first_named(address, self._by_level["province"], by_stem=True)
            if known is None:
                known = self._first_named(address, self._by_level["prefecture"], by_stem=False)
                if known is None:
                    return None
        if known.level == "province":
            cities = [place for place in self._inside[known.code] if place.level == "prefecture"]
            known = self._first_named(address, cities, by_stem=True) or known
        counties = [place for place in self._inside[known.code] if place.level == "county"]
        return self._first_named(address, counties, by_stem=False) or known

    def _first_named(self, address: str, places: Iterable[GazetteerEntry], *, by_stem: bool) -> GazetteerEntry | None:
        """The place whose name comes first in the address; the longer name where two begin together."""
        best: tuple[int, int, str] | None = None
        for place in places:
            if place.name in GROUPINGS:
                continue
            names = {place.name, stem(place.name)} if by_stem else {place.name}
            for name in names:
                at = address.find(name)
                if len(name) > 1 and at >= 0 and (best is None or (at, -len(name), place.code) < best):
                    best = (at, -len(name), place.code)
        return self.places[best[2]] if best else None

    def _named_in(self, address: str, place: GazetteerEntry) -> bool:
        province = self.places.get(place.code[:2] + "0000")
        return bool(province and stem(province.name) in address)


_PROVINCES: Final = frozenset({"province"})
_PREFECTURES: Final = frozenset({"province", "prefecture"})
_COUNTIES: Final = frozenset({"county"})


def _is_city(province: GazetteerEntry) -> bool:
    """Whether the province is a city itself: Beijing, Tianjin, Shanghai, Chongqing, Hong Kong, Macao."""
    return province.code[:2] in {"11", "12", "31", "50", "81", "82"}
