"""How alike two organisations are: what each fact says for and against, added up.

The sum is the logarithm of odds after Fellegi and Sunter, "A Theory for Record Linkage", JASA 64 (1969): each finding
counts log2(m / u), where m is how often it is found in pairs of one organisation, and u in pairs of two. The
numbers were fitted to the training half of labelled pairs (`manage.py measure_duplicates --fit`) and then rounded.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Final

from apps.duplicates.names import PlaceIndex, ReadName

# Bits for each finding, by fact. What is not known says nothing.
WEIGHTS: Final[Mapping[str, Mapping[str, float]]] = {
    "code": {"same": 12, "different": -7},
    "phone": {"same": 8, "close": 5, "different": -1},
    "name": {"same": 6, "close": 4, "contained": 0, "conflict": -9, "different": -4},
    "place": {"same": 2, "wider": -2, "city": -6, "elsewhere": -8},
    "address": {"same": 7, "close": 4, "different": -3},
    "kind": {"same": 0, "different": -3},
}
# From this sum on a pair is put before a coordinator.
LIKELY: Final = 6.0

# The least share of common characters of two names, or addresses, that differ by a slip.
_CLOSE: Final = 0.8


@dataclass(frozen=True)
class ComparedFacts:
    """An organisation as it is compared."""

    kind: str
    code: str  # registration number, empty if it gives none
    phones: tuple[str, ...]
    name: ReadName
    region: str
    home: str  # the region, or the county in it that the address names
    street: str  # street and number, empty if the address gives none


@dataclass(frozen=True)
class Likeness:
    """What was found for each fact that is known of both, and the sum."""

    findings: Mapping[str, str] = field(default_factory=dict)

    @property
    def score(self) -> float:
        return float(sum(WEIGHTS[fact][finding] for fact, finding in self.findings.items()))

    @property
    def is_likely(self) -> bool:
        return self.score >= LIKELY


def compare(one: ComparedFacts, other: ComparedFacts, places: PlaceIndex) -> Likeness:
    findings = {
        "code": _codes(one, other),
        "phone": _phones(one.phones, other.phones),
        "name": _names(one.name, other.name),
        "place": _places(one, other, places),
        "address": _streets(one.street, other.street),
        "kind": "same" if one.kind == other.kind else "different",
    }
    return Likeness({fact: finding for fact, finding in findings.items() if finding})


def _codes(one: ComparedFacts, other: ComparedFacts) -> str:
    if not (one.code and other.code):
        return ""
    return "same" if one.code == other.code else "different"


def _phones(one: tuple[str, ...], other: tuple[str, ...]) -> str:
    if not (one and other):
        return ""
    if set(one) & set(other):
        return "same"
    return "close" if any(_is_slip(a, b) for a in one for b in other) else "different"


def _names(one: ReadName, other: ReadName) -> str:
    if one.stem == other.stem:
        return "same"
    # 第一 and 第二, or 人民 and 中医: the difference of one character is the name.
    if one.ordinal and other.ordinal and one.ordinal != other.ordinal:
        return "conflict"
    if not (one.kinds <= other.kinds or other.kinds <= one.kinds):
        return "conflict"
    # With the place, too: the slip may be in it, and 人民 alone is too short to tell.
    is_slip = any(map(_is_slip, (one.stem, one.local, one.whole), (other.stem, other.local, other.whole)))
    if is_slip or likeness(one.stem, other.stem) >= _CLOSE:
        # 第一人民医院 may be the 人民医院 of a town, or not.
        return "contained" if one.ordinal != other.ordinal else "close"
    short, long = sorted((one.stem, other.stem), key=len)
    # Not the name of another hospital that comes to help this one.
    is_contained = len(short) >= 2 and short in long and "医院" not in long.replace(short, "")
    return "contained" if is_contained else "different"


def _places(one: ComparedFacts, other: ComparedFacts, places: PlaceIndex) -> str:
    """Where the two are by their names, else by their regions and addresses."""
    named = [places.smallest(each.name.places) for each in (one, other)]
    if named[0] and named[1] and named[0] != named[1]:
        nested = places.contains(named[0], named[1]) or places.contains(named[1], named[0])
        # The hospital of a city and the one of its district are two.
        return "wider" if nested else "elsewhere"
    if one.home == other.home:
        return "same"
    if places.contains(one.home, other.home) or places.contains(other.home, one.home):
        return "wider"
    return "city" if places.city_of(one.home) == places.city_of(other.home) else "elsewhere"


def _streets(one: str, other: str) -> str:
    if not (one and other):
        return ""
    if one == other or one.endswith(other) or other.endswith(one):
        return "same"
    return "close" if likeness(one, other) >= _CLOSE and _number(one) == _number(other) else "different"


def _number(street: str) -> str:
    return "".join(letter for letter in street if letter.isdigit())


def likeness(one: str, other: str) -> float:
    """The share of characters that two texts have in common in the same order, from 0 to 1 (Ratcliff and Obershelp)."""
    return SequenceMatcher(None, one, other, autojunk=False).ratio()


def _is_slip(one: str, other: str) -> bool:
    """Whether one character was changed, left out or added in a text of four or more."""
    short, long = sorted((one, other), key=len)
    if len(long) < 4 or len(long) - len(short) > 1:
        return False
    if len(short) == len(long):
        return sum(a != b for a, b in zip(short, long, strict=True)) == 1
    return any(long[:at] + long[at + 1 :] == short for at in range(len(long)))
