"""The public sums: published once an hour, rounded, and renewed only as `renewal` allows.

Each number of the cells (needs, quantity needed, …) is told and renewed by itself.
"""

import datetime as dt
from typing import Any, Final

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from apps.exports.models import Publication
from apps.exports.renewal import ToldNumbers, renewed
from apps.exports.stats import NUMBERS, ByItem, PublicStats, StatsCell, contributions

DIGITS: Final = 2

# What was told, by number and item.
_Told = dict[str, dict[str, ToldNumbers]]


def published_stats(*, now: dt.datetime | None = None) -> PublicStats:
    """The public sums of this hour. Whoever asks first has them counted."""
    now = now or timezone.now()
    hour = now.replace(minute=0, second=0, microsecond=0)
    newest_first = Publication.objects.order_by("-hour")
    shown = newest_first.values("hour", "sums").first()
    if shown is None or shown["hour"] < hour:
        # Several may count at once. The first to write decides what everybody reads.
        Publication.objects.bulk_create([_next(newest_first.first(), hour, now)], ignore_conflicts=True)
        Publication.objects.filter(hour__lt=hour).delete()
        shown = newest_first.values("hour", "sums")[0]
    sums = shown["sums"]
    as_of = parse_datetime(sums["as_of"])
    assert as_of is not None
    return PublicStats(as_of, *([StatsCell(**cell) for cell in sums[part]] for part in ("cells", "totals")))


def rounded(number: int | None) -> int | None:
    """To two significant digits: 12,345 is 12,000."""
    if number is None or number < 10**DIGITS:
        return number
    step: int = 10 ** (len(str(number)) - DIGITS)
    return (number + step // 2) // step * step


def _next(last: Publication | None, hour: dt.datetime, now: dt.datetime) -> Publication:
    counted, units = contributions()
    before = _read(last.behind) if last else {}
    told: _Told = {}
    for name, items in counted.items():
        numbers = before.get(name, {})
        told[name] = {}
        for item in {*items, *numbers}:
            number = renewed(numbers.get(item), items.get(item, {}), int(hour.timestamp()) // 3600)
            if number is not None:
                told[name][item] = number

    if last:
        units = {cell["item"]: cell["unit"] for part in ("cells", "totals") for cell in last.sums[part]} | units
    cells = [cell for item in sorted(units) for cell in _cells(item, units[item], told, counted)]
    sums = {
        "as_of": now.isoformat(),
        "cells": [vars(cell) for cell in cells if cell.region],
        "totals": [vars(cell) for cell in cells if not cell.region],
    }
    return Publication(hour=hour, sums=sums, behind=_written(told))


def _cells(item: str, unit: str, told: _Told, counted: dict[str, ByItem]) -> list[StatsCell]:
    """The total of an item (its region is ""), and its regions of which a number is told."""
    regions = {region for numbers in told.values() if item in numbers for region in numbers[item].shown}
    found = []
    for region in ("", *sorted(regions)):
        numbers: dict[str, int | None] = {}
        for rows, *quantities in NUMBERS:
            count = told[rows][item].number(region) if item in told[rows] else None
            if count:
                numbers[rows] = count
                numbers |= {name: _quantity(item, region, told[name], counted[name]) for name in quantities}
        if numbers:
            found.append(StatsCell(item, region, unit, **{name: rounded(number) for name, number in numbers.items()}))
    return found


def _quantity(item: str, region: str, told: dict[str, ToldNumbers], counted: ByItem) -> int | None:
    """What is told of an item in a region: nought where nobody contributes, None where too few do."""
    number = told[item].number(region) if item in told else None
    if number is not None:
        return number
    now = counted.get(item, {})
    contributes_now = any(now.values()) if not region else region in now
    contributed = item in told and bool(told[item].contributions(region))
    return None if contributes_now or contributed else 0


def _read(behind: dict[str, Any]) -> _Told:
    return {
        name: {item: ToldNumbers(frozenset(numbers["shown"]), numbers["history"]) for item, numbers in by_item.items()}
        for name, by_item in behind.items()
    }


def _written(told: _Told) -> dict[str, Any]:
    return {
        name: {item: {"shown": sorted(numbers.shown), "history": numbers.history} for item, numbers in by_item.items()}
        for name, by_item in told.items()
    }
