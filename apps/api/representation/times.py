"""Times as programs write them: RFC 3339, with an offset."""

import datetime as dt
import re
import zoneinfo
from typing import Final

# Outside of these bounds, converting between time zones may overflow.
EARLIEST: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
LATEST: Final = dt.datetime(2999, 12, 31, tzinfo=dt.UTC)

# re.ASCII: otherwise \d matches digits of other scripts.
_INSTANT: Final = re.compile(
    r"(?P<time>\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?)(?P<offset>Z|[+-]\d{2}:\d{2})", re.ASCII
)
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def parse_instant(text: str) -> dt.datetime:
    """A time such as `2026-11-30T12:00:00Z`, or with another offset, as a time in UTC.

    A space counts as `+`, which it was before a URL was decoded. Fractions beyond microseconds are cut off. Raises
    `ValueError` for any other text, and for times before 1970 or after 2999.
    """
    found = _INSTANT.fullmatch(text.strip().replace(" ", "+").upper())
    if found is None:
        raise ValueError(text)
    time, _dot, fraction = found["time"].partition(".")
    offset = "+00:00" if found["offset"] == "Z" else found["offset"]
    moment = dt.datetime.fromisoformat(f"{time}.{fraction[:6]:0<6}{offset}")
    if not EARLIEST <= moment <= LATEST:
        raise ValueError(text)
    return moment.astimezone(dt.UTC)


def parse_deadline(text: str, zone: str) -> dt.datetime:
    """A time with its offset, or a day, which means the end of that day in the time zone `zone`; in UTC.

    An unknown zone counts as UTC. Raises `ValueError` as `parse_instant` does.
    """
    if not _DAY.fullmatch(text.strip()):
        return parse_instant(text)
    try:
        time_zone: dt.tzinfo = zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        time_zone = dt.UTC
    # Strictly within the bounds, because the zone may move the end of the day into the next one.
    day = dt.date.fromisoformat(text.strip())
    if not EARLIEST.date() < day < LATEST.date():
        raise ValueError(text)
    return dt.datetime.combine(day, dt.time(23, 59, 59), time_zone).astimezone(dt.UTC)
