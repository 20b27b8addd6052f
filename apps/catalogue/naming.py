"""Finds the regions that people mean by what they write, and proposes similar names where none is found."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from django.utils.translation import get_language

from apps.catalogue.models import Region
from apps.catalogue.regions import GROUPINGS, Gazetteer, GazetteerEntry, stem
from apps.catalogue.search import clean, is_chinese

# The most regions that an ambiguous name gives, and the most that are proposed for an unknown one.
_SEVERAL: Final = 12
_PROPOSED: Final = 6
# The most parts of an unknown name that are looked up, as each is compared with the names of all regions.
_PARTS: Final = 3
# The class of area at the end of an English name: “Wuchang District”, “Enshi Tujia and Miao Autonomous Prefecture”.
_KIND: Final = re.compile(
    r"\s+(((zhuang|hui|uyghur|uygur) )?(autonomous )?(region|prefecture|county|banner)|city|districts?|province|league"
    r"|area|islands?|sar)$",
    re.IGNORECASE,
)


def find(text: str) -> list[Region]:
    """The regions that `text` may mean: one if it is clear, none if no region has such a name.

    “Wuchang, Wuhan”, “Wuhan City”, “湖北 武汉 武昌” and “湖北省武汉市武昌区” are understood.
    """
    text = clean(text)
    if not any(map(str.isalnum, text)):
        return []
    # From certain to doubtful, so that each step only sees what the earlier ones did not understand.
    if exact := Region.objects.places().filter(pk__iexact=text).first():
        return [exact]
    # A text with separators names nested regions and nothing else.
    if len(parts := _parts(text)) > 1:
        return _nested(parts)
    for name in dict.fromkeys((text, _KIND.sub("", text))):
        if called := [region for region in _search(name) if _is_called(region, name)]:
            return called[:_SEVERAL]
    if len(words := text.split()) > 1 and (nested := _nested(words)):
        return nested
    return _written(text)


def nearest(text: str, most: int = _PROPOSED) -> list[Region]:
    """Regions with similar names, or names similar to a part of the text, the most similar first."""
    text = clean(text)
    for part in list(dict.fromkeys((text, *_parts(text))))[:_PARTS]:
        if any(map(str.isalnum, part)) and (found := _search(part) or _named_within(part)):
            return found[:most]
    return []


def _parts(text: str) -> list[str]:
    return [part.strip() for part in re.split("[,，、›/]", text) if part.strip()]


def _is_called(region: Region, text: str) -> bool:
    """Whether `text` is the region's code, its name, or its name without the class of area: “Wuchang” or “武昌”."""
    wanted, english = text.strip().casefold(), region.name_en.casefold()
    return (
        wanted in {region.code.casefold(), region.name.casefold(), english}
        or _KIND.sub("", english) == wanted
        or stem(text.strip()) == stem(region.name)
    )


def _search(text: str) -> list[Region]:
    return list(Region.objects.search(text)[:200])


def _nested(parts: Sequence[str]) -> list[Region]:
    """Regions named by one part that lie in regions named by the other parts: “Wuchang, Wuhan”."""
    hits = [_search(part) for part in parts]
    fits: dict[str, Region] = {}
    for index, candidates in enumerate(hits):
        others = [
            # A part that finds only a few regions is clear enough, even if it is misspelt.
            {region.pk for region in others if _is_called(region, parts[other]) or len(others) < 5}
            for other, others in enumerate(hits)
            if other != index
        ]
        for region in candidates:
            if _is_called(region, parts[index]) and all(set(region.ancestor_codes) & codes for codes in others):
                fits[region.pk] = region
    return sorted(fits.values(), key=lambda region: region.path)[:_SEVERAL]


def _written(text: str) -> list[Region]:
    """The region of a Chinese address that is written without separators."""
    # The gazetteer has only Chinese names.
    if text.isascii():
        return []
    places = (GazetteerEntry(*row) for row in Region.objects.values_list("code", "name", "path"))
    code = Gazetteer(places).resolve(address=text).code
    return list(Region.objects.filter(pk=code))


def _named_within(text: str) -> list[Region]:
    """RegionNames whose names stand in a longer one, the longest first: 武汉 of a 武汉经济技术开发区."""
    if not is_chinese(text):
        return []
    stems = [(stem(name), code) for code, name in Region.objects.places().values_list("code", "name")]
    within = {code: len(short) for short, code in stems if len(short) > 1 and short in text}
    return sorted(Region.objects.filter(pk__in=within), key=lambda region: (-within[region.pk], region.path))


class RegionNames:
    """All regions by what they are called: finds what many names mean with one query, where `find` searches for each.

    It understands what `find` does, except for misspelt parts of “Wuchang, Wuhan”.
    """

    # The most texts that are taken for addresses, because each is compared with the names of many regions.
    MOST_WRITTEN: Final = 200

    def __init__(self) -> None:
        rows = list(Region.objects.values_list("code", "name", "name_en", "path"))
        self._paths = {code: set(path.split("/")) for code, _name, _english, path in rows}
        self._gazetteer = Gazetteer(GazetteerEntry(code, name, path) for code, name, _english, path in rows)
        self._written = 0
        self._called: dict[str, set[str]] = defaultdict(set)
        self._stems: dict[str, set[str]] = defaultdict(set)
        for code, name, name_en, _path in rows:
            if name not in GROUPINGS:
                english = name_en.casefold()
                for key in (code.casefold(), name.casefold(), english, _KIND.sub("", english)):
                    self._called[key].add(code)
                self._stems[stem(name)].add(code)

    def find(self, text: str) -> list[str]:
        """The codes of the regions that `text` may mean, as `find` gives the regions."""
        text = clean(text)
        if not any(map(str.isalnum, text)):
            return []
        if text.upper() in self._paths:
            return [text.upper()]
        if len(parts := _parts(text)) > 1:
            return self._nested(parts)
        for name in dict.fromkeys((text, _KIND.sub("", text))):
            if called := self._codes(name):
                return sorted(called)[:_SEVERAL]
        if len(words := text.split()) > 1 and (nested := self._nested(words)):
            return nested
        return self._in_address(text)

    def _codes(self, text: str) -> set[str]:
        # By its stem a whole name would mean others, too: 朝阳区 is not 朝阳市.
        return self._called.get(text.casefold()) or self._stems.get(stem(text), set())

    def _nested(self, parts: Iterable[str]) -> list[str]:
        """Regions named by one part that lie in regions named by the other parts."""
        hits = [self._codes(part) for part in parts]
        fits = {
            code
            for index, codes in enumerate(hits)
            for code in codes
            if all(self._paths[code] & others for other, others in enumerate(hits) if other != index)
        }
        return sorted(fits)[:_SEVERAL]

    def _in_address(self, text: str) -> list[str]:
        # The gazetteer has only Chinese names.
        if text.isascii() or self._written == self.MOST_WRITTEN:
            return []
        self._written += 1
        code = self._gazetteer.resolve(address=text).code
        return [code] if code else []


class Proposals:
    """Suggestions for unknown names, as text with codes: “420100 (Wuhan, Hubei)”. Empty if nothing is similar.

    Only the first `MOST` names of a sheet or request get suggestions, because each is compared with all regions.
    """

    MOST: Final = 5

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def get(self, name: str) -> str:
        if name not in self._known and len(self._known) < self.MOST:
            language = "zh-hans" if (get_language() or "").startswith("zh") else "en"
            near = nearest(name, most=3)
            self._known[name] = ", ".join(f"{region.code} ({region.full_names[language]})" for region in near)
        return self._known.get(name, "")
