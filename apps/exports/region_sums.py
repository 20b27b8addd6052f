"""The sums of regions for those who watch them, kept with their moment: one process counts while others read.

Nothing here is hidden or rounded: whoever watches a region may see every row behind it.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from django.db import transaction
from django.db.models import Count, F, Func, Q, QuerySet, Sum, TextField, Value
from django.utils import timezone

from apps.demands.models import Demand, DemandState, Urgency
from apps.exports.models import RegionSums
from apps.exports.waits import Waits, read, waits, written
from apps.policy.models import Policy
from apps.supply.models import Offer

# What is older is counted anew, and shown until that is done.
FRESH: Final = dt.timedelta(minutes=10)
COUNTED: Final = (DemandState.OPEN, DemandState.MATCHED, DemandState.FULFILLED, DemandState.STALE)
# Counts of open needs and of their organisations, then base units. `wanting` is what nobody has accepted yet.
MEASURES: Final = (
    *("organisations", "emergencies", "needs", "unknown"),
    *("needed", "wanting", "offered", "matched", "delivered"),
)
Row = dict[str, int]
"""Counts and base units by measure."""


def in_region(paths: Sequence[str]) -> dict[str, Row]:
    """By item key: who waits, what is still needed, promised and delivered; and what is free of the region's offers.

    Needs of unknown quantity are counted, and add to no quantity that is needed: a trial lot was asked for by nobody.
    Two queries for each path. An item of which there is nothing at all is left out.
    """
    rows: defaultdict[str, Row] = defaultdict(lambda: dict.fromkeys(MEASURES, 0))
    for path in outermost(paths):
        needs = Demand.objects.filter(region__path__startswith=path).alias(
            to_come=F("quantity") - F("quantity_received"), not_accepted=F("quantity") - F("quantity_matched")
        )
        is_open, is_due = Q(state=DemandState.OPEN), Q(state__in=[DemandState.OPEN, DemandState.MATCHED])
        of_needs = {
            "organisations": Count("organisation", distinct=True, filter=is_open),
            "emergencies": Count("pk", filter=is_open & Q(urgency=Urgency.EMERGENCY)),
            "needs": Count("pk", filter=is_open),
            "unknown": Count("pk", filter=is_open & Q(quantity=None)),
            "needed": Sum("to_come", filter=is_due),
            "wanting": Sum("not_accepted", filter=is_due),
            "matched": Sum(Demand.quantity_outstanding.expression()),
            "delivered": Sum("quantity_received"),
        }
        offers = Offer.objects.published().filter(origin_region__path__startswith=path)
        of_offers = {"offered": Sum(Offer.quantity_free.expression())}
        by_item: tuple[QuerySet[Any, Any], ...] = (
            needs.order_by().values("item__key").annotate(**of_needs),
            offers.order_by().values("item__key").annotate(**of_offers),
        )
        for sums in chain.from_iterable(by_item):
            for measure in MEASURES:
                if quantity := sums.get(measure):
                    rows[sums["item__key"]][measure] += int(quantity)
    return dict(rows)


def by_place(path: str) -> dict[str, Row]:
    """Who waits in each place just below a region; "" stands for needs that name no more than the region. One query."""
    needs = Demand.objects.open().filter(region__path__startswith=path)
    parts = (F("region__path"), Value("/"), Value(path.count("/") + 1))
    counts = {
        "organisations": Count("organisation", distinct=True),
        "needs": Count("pk"),
        "emergencies": Count("pk", filter=Q(urgency=Urgency.EMERGENCY)),
        "unknown": Count("pk", filter=Q(quantity=None)),
    }
    place = Func(*parts, function="split_part", output_field=TextField())
    rows: QuerySet[Any, Any] = needs.order_by().values(place=place).annotate(**counts)
    return {row["place"]: {name: row[name] for name in counts} for row in rows}


def outermost(paths: Sequence[str]) -> list[str]:
    """Without those that lie in another of them: nothing is counted twice."""
    return sorted({path for path in paths if not any(path != other and path.startswith(other) for other in paths)})


@dataclass(frozen=True)
class WatchedSums:
    """Sums over some regions as of the oldest count: items (`in_region`), needs by state; by path, places and waits."""

    as_of: dt.datetime
    items: dict[str, Row]
    needs: dict[str, int]
    places: dict[str, dict[str, Row]]
    waits: dict[str, Waits]


def sums_of(paths: Sequence[str], *, now: dt.datetime | None = None) -> tuple[WatchedSums, bool]:
    """The kept sums of the regions with these paths, and whether some were queued to be counted anew.

    A region that nobody has looked at before is counted while its first reader waits.
    """
    now = now or timezone.now()
    wanted = outermost(paths)
    kept = {row.path: row for row in RegionSums.objects.filter(pk__in=wanted)}
    if missing := [path for path in wanted if path not in kept]:
        made = [RegionSums(path=path, counted_at=now, sums=_count(path, now)) for path in missing]
        # Two may be first at once: they count the same.
        RegionSums.objects.bulk_create(made, ignore_conflicts=True)
        kept |= {row.path: row for row in made}
    old = [path for path, row in kept.items() if row.counted_at <= now - FRESH]
    asked = bool(old) and RegionSums.objects.filter(pk__in=old, asked_at=None).update(asked_at=now) > 0
    return _together([kept[path] for path in wanted], now), asked


def count_asked() -> int:
    """Count the sums that readers found too old, the longest waiting first. Safe to run side by side."""
    counted = 0
    while True:
        with transaction.atomic():
            asked = RegionSums.objects.filter(asked_at__isnull=False).order_by("asked_at", "pk")
            row = asked.select_for_update(skip_locked=True).first()
            if row is None:
                return counted
            now = timezone.now()
            row.counted_at, row.asked_at, row.sums = now, None, _count(row.path, now)
            row.save()
            counted += 1


def _count(path: str, now: dt.datetime) -> dict[str, Any]:
    by_state = {state.value: Count("pk", filter=Q(state=state)) for state in COUNTED}
    return {
        "items": in_region([path]),
        "needs": Demand.objects.filter(region__path__startswith=path).aggregate(**by_state),
        "places": by_place(path),
        "times": written(waits(Policy.objects.current().values, now, within=path)),
        "waits": {},  # The version before, which may still run beside this one, reads it.
    }


def _together(rows: Sequence[RegionSums], now: dt.datetime) -> WatchedSums:
    found = WatchedSums(min([now, *(row.counted_at for row in rows)]), {}, dict.fromkeys(COUNTED, 0), {}, {})
    for row in rows:
        for key, of_item in row.sums["items"].items():
            sums = found.items.setdefault(key, dict.fromkeys(MEASURES, 0))
            for measure in MEASURES:
                # A version before counted fewer measures.
                sums[measure] += of_item.get(measure, 0)
        for state in COUNTED:
            found.needs[state] += row.sums["needs"][state]
        found.places[row.path] = row.sums.get("places", {})
        found.waits[row.path] = read(row.sums.get("times", {}))
    return found
