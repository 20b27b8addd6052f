"""Names of places with what they lie in, without a query per row."""

import time
from collections.abc import Iterable
from typing import Final

from django.utils.translation import get_language, gettext

from apps.catalogue.models import Region
from apps.catalogue.regions import GROUPINGS

# Seconds. A list of 25 rows names some 75 places; without this each row would ask for them.
_KEPT_FOR: Final = 600.0
_names: dict[str, tuple[str, str]] = {}
_since = [0.0]


def names_of(codes: Iterable[str]) -> dict[str, tuple[str, str]]:
    """(Chinese, English) by code. A process remembers them for ten minutes: names change rarely."""
    if time.monotonic() - _since[0] > _KEPT_FOR:
        _names.clear()
        _since[0] = time.monotonic()
    wanted = set(codes)
    if missing := wanted - set(_names):
        found = Region.objects.filter(pk__in=missing).values_list("code", "name", "name_en")
        _names.update({code: (name, name_en) for code, name, name_en in found})
    return {code: _names[code] for code in wanted if code in _names}


def full_label(region: Region) -> str:
    """“湖北省武汉市武昌区”, “Wuchang, Wuhan, Hubei”: without the country where there is more to say."""
    above = [code for code in region.path.split("/")[:-1] if code != region.pk]
    # The first part of a path is the country.
    codes = [*above[1:], region.pk] if len(above) >= 1 else [region.pk]
    names = names_of(codes[:-1]) | {region.pk: (region.name, region.name_en)}
    known = [names[code] for code in codes if code in names]
    # Groupings such as “city districts” stand in the official list of regions, and in no postal address.
    known = [pair for pair in known[:-1] if pair[0] not in GROUPINGS] + known[-1:]
    if (get_language() or "").startswith("zh"):
        return "".join(name for name, _english in known)
    # Without doubles: a municipality is its own province and city.
    return ", ".join(dict.fromkeys(english for _name, english in reversed(known)))


def in_words(names: tuple[str, str] | None) -> str:
    """One of the pairs of `names_of` in the reader's language."""
    if names is None:
        return gettext("other places")
    return names[0] if (get_language() or "").startswith("zh") else names[1]
