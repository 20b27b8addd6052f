"""When public sums are published: once an hour, rounded, and none from which a single change could be told.

Hiding cells of few organisations does not help against somebody who pulls twice and subtracts: where one organisation
changed something in between, the difference is what it changed. So a number is renewed only when at least three
organisations changed something behind it since it was published. Until then the old number stays. The smallest change
that is told is thus one of three, just as the smallest sum is.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from django.db.models import Max, Q
from django.db.models.functions import Greatest
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from apps.demands.models import Demand
from apps.exports.models import Publication
from apps.exports.stats import Province, PublicStats, StatsCell, public_stats, too_few
from apps.supply.models import Offer

KEPT: Final = dt.timedelta(days=2)
DIGITS: Final = 2

# The numbers that change together, where they come from, and when a row first counted among them.
_SIDES: Final = {
    "needs": (
        ("needs", "quantity_needed", "quantity_matched", "quantity_received"),
        Demand,
        "region__path",
        "opened_at",
    ),
    "offers": (("offers", "quantity_offered"), Offer, "origin_region__path", "published_at"),
}

_Cells = dict[tuple[str, str], StatsCell]


def published_stats(*, now: dt.datetime | None = None) -> PublicStats:
    """The public sums of this hour. Whoever asks first has them counted."""
    now = now or timezone.now()
    hour = now.replace(minute=0, second=0, microsecond=0)
    last = Publication.objects.order_by("-hour").first()
    if last is None or last.hour < hour:
        # Several may count at once. The first to write decides what everybody reads.
        Publication.objects.bulk_create([_next(last, hour, now)], ignore_conflicts=True)
        Publication.objects.filter(hour__lt=hour - KEPT).delete()
        last = Publication.objects.order_by("-hour")[0]
    return _read(last)


def rounded(number: int | None) -> int | None:
    """To two significant digits: 12,345 is 12,000."""
    if number is None or number < 10**DIGITS:
        return number
    step: int = 10 ** (len(str(number)) - DIGITS)
    return (number + step // 2) // step * step


def _read(publication: Publication) -> PublicStats:
    sums = publication.sums
    as_of = parse_datetime(sums["as_of"])
    assert as_of is not None
    return PublicStats(as_of, *([StatsCell(**cell) for cell in sums[part]] for part in ("cells", "totals")))


def _next(last: Publication | None, hour: dt.datetime, now: dt.datetime) -> Publication:
    counted = public_stats(now=now)
    fresh = {name: _rounded(cells) for name, cells in (("cells", counted.cells), ("totals", counted.totals))}
    held: dict[str, str] = {}
    if last is not None:
        before = _read(last)
        since = {**last.held, "": last.sums["as_of"]}
        for side in _SIDES:
            changed = _organisations_that_changed(side, since)
            for name, cells in (("cells", before.cells), ("totals", before.totals)):
                held |= _hold(side, fresh[name], {(cell.item, cell.region): cell for cell in cells}, changed, since)
    sums = {"as_of": now.isoformat(), **{name: [vars(cell) for cell in fresh[name].values()] for name in fresh}}
    return Publication(hour=hour, sums=sums, held=held)


def _rounded(cells: Iterable[StatsCell]) -> _Cells:
    return {
        (cell.item, cell.region): StatsCell(
            cell.item,
            cell.region,
            cell.unit,
            **{name: rounded(getattr(cell, name)) for names, *_where in _SIDES.values() for name in names},
        )
        for cell in cells
    }


def _name(side: str, item: str, region: str) -> str:
    return f"{side} {item} {region}"


def _organisations_that_changed(side: str, since: dict[str, str]) -> dict[tuple[str, str], int]:
    """How many organisations changed something behind each number since it was published, by item and region."""
    _fields, model, path, first_counted = _SIDES[side]
    oldest = min(since.values())
    # A verification that came or ended changes what counts, and no row of a need or an offer.
    touched = Q(updated_at__gte=oldest) | Q(organisation__updated_at__gte=oldest)
    rows = (
        # A draft changes no number, and anybody may write some to have others' changes told.
        model._default_manager.filter(touched, **{f"{first_counted}__isnull": False})
        .annotate(cell_region=Province(path))
        .order_by()
        .values_list("item__key", "cell_region", "organisation")
        .annotate(at=Greatest(Max("updated_at"), Max("organisation__updated_at")))
    )
    found: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    for item, cell_region, organisation, at in rows:
        for region in (cell_region, ""):
            published = parse_datetime(since.get(_name(side, item, region), since[""]))
            assert published is not None
            if at >= published:
                found[item, region].add(organisation)
    return {key: len(organisations) for key, organisations in found.items()}


def _hold(
    side: str, fresh: _Cells, before: _Cells, changed: dict[tuple[str, str], int], since: dict[str, str]
) -> dict[str, str]:
    """Put the old numbers back where too few organisations changed something. Returns since when they stand."""
    fields = _SIDES[side][0]
    by_item: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for key, cell in fresh.items():
        old = before.get(key)
        # What was hidden has no number to subtract.
        if old is None or getattr(old, fields[0]) is None or getattr(cell, fields[0]) is None:
            continue
        if any(getattr(old, name) != getattr(cell, name) for name in fields):
            # A row that moved to another region is no change of a row here, and yet it is one organisation's.
            by_item[key[0]][key[1]] = max(1, changed.get(key, 0))
    held = {}
    for item, counts in by_item.items():
        for region in too_few(counts):
            cell, old = fresh[item, region], before[item, region]
            fresh[item, region] = StatsCell(**{**vars(cell), **{name: getattr(old, name) for name in fields}})
            name = _name(side, item, region)
            held[name] = since.get(name, since[""])
    return held
