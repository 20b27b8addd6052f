"""The public sums: published once an hour, rounded, and renewed only as `renewal` allows.

Each number of the cells (needs, quantity needed, …) is told and renewed by itself.
"""

import datetime as dt
from dataclasses import replace
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import Count, Q
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from apps.core.disclosure import LEAST_ORGANISATIONS
from apps.core.postgresql import replica
from apps.demands.models import Demand, DemandState
from apps.exports import waits
from apps.exports.models import Publication
from apps.exports.renewal import ToldNumbers, renewed, too_few
from apps.exports.stats import NUMBERS, ByItem, PublicStats, StatsCell, contributions
from apps.fulfilment.models import Order
from apps.policy.models import Policy
from apps.supply.models import Offer

DIGITS: Final = 2

# Seconds for which anybody may keep what shows the sums, and show it while it is asked for anew.
KEPT: Final = {"max_age": 60, "stale_while_revalidate": 600}

# The number of an advisory lock: "sums" in ASCII.
_LOCK: Final = 0x73756D73

# What was told, by number and item.
_Told = dict[str, dict[str, ToldNumbers]]


def published(*, now: dt.datetime | None = None) -> dict[str, Any]:
    """What everybody reads: `cells` and `totals` as of `as_of`, and what the board shows beside them.

    A task publishes them. Readers count only where it has not run for an hour, or never, and one at a time.
    """
    now = now or timezone.now()
    newest = Publication.objects.order_by("-hour").values("hour", "sums")
    shown = newest.first()
    if shown is None or shown["hour"] < now - dt.timedelta(hours=2):
        publish(now=now, wait=shown is None)
        shown = newest[0]
    sums: dict[str, Any] = shown["sums"]
    return sums


def publish(*, now: dt.datetime | None = None, wait: bool = False) -> bool:
    """Count the public sums of this hour, unless they are there. Returns whether they were counted.

    One process counts at a time, by a lock that ends with its transaction. Others leave it to that one, or `wait` for
    it: they must when there is nothing yet that could be shown meanwhile.
    """
    now = now or timezone.now()
    hour = now.replace(minute=0, second=0, microsecond=0)
    lock = "pg_advisory_xact_lock" if wait else "pg_try_advisory_xact_lock"
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SELECT {lock}(%s)", [_LOCK])
        if cursor.fetchone()[0] is False or Publication.objects.filter(hour__gte=hour).exists():
            return False
        # The replica may count for longer than a transaction may be idle, and this one waits for it.
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = '200s'")
        last = Publication.objects.order_by("-hour").first()
        with replica.reading():
            counted = _next(last, hour, now)
        counted.save()
        Publication.objects.filter(hour__lt=hour).delete()
    return True


def published_stats(*, now: dt.datetime | None = None) -> PublicStats:
    return stats_of(published(now=now))


def stats_of(sums: dict[str, Any]) -> PublicStats:
    """The sums of a publication by item and province."""
    as_of = parse_datetime(sums["as_of"])
    assert as_of is not None
    waiting = sums.get("waiting", {})
    cells, totals = (
        [
            StatsCell(**cell, organisations_waiting=waiting.get(f"{cell['item']} {cell['region']}"))
            for cell in sums[part]
        ]
        for part in ("cells", "totals")
    )
    return PublicStats(as_of, cells, totals)


def waits_of(sums: dict[str, Any]) -> waits.Waits:
    """How long needs wait, by urgency and by province, as it was published."""
    return waits.read(sums.get("times", {}))


def rounded(number: int | None) -> int | None:
    """To two significant digits: 12,345 is 12,000."""
    if number is None or number < 10**DIGITS:
        return number
    step: int = 10 ** (len(str(number)) - DIGITS)
    return (number + step // 2) // step * step


def _next(last: Publication | None, hour: dt.datetime, now: dt.datetime) -> Publication:
    counted, units = contributions()
    behind_waits = waits.behind()
    counted |= {f"needs {name}": {"": numbers} for name, numbers in behind_waits.numbers.items()}
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
    open_now = Demand.objects.open().filter(organisation__state="verified")
    cells = [cell for item in sorted(units) for cell in _cells(item, units[item], told, counted)]
    sums = {
        "as_of": now.isoformat(),
        "cells": [_written_cell(cell) for cell in cells if cell.region],
        "totals": [_written_cell(cell) for cell in cells if not cell.region],
        "waiting": {f"{cell.item} {cell.region}": cell.organisations_waiting for cell in cells},
        "headline": _headline(),
        "needed": list(open_now.order_by("item__key").values_list("item__key", flat=True).distinct()),
        "times": waits.written(_waits(told, counted, behind_waits, now)),
    }
    return Publication(hour=hour, sums=sums, behind=_written(told))


def _headline() -> dict[str, int]:
    verified = Q(organisation__state="verified")
    needs = Demand.objects.filter(verified).aggregate(
        open=Count("pk", filter=Q(state=DemandState.OPEN)), met=Count("pk", filter=Q(state=DemandState.FULFILLED))
    )
    exact = {**needs, "offers": Offer.objects.published().filter(verified).count(), "orders": Order.objects.count()}
    return {name: rounded(number) or 0 for name, number in exact.items()}


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


def _waits(told: _Told, counted: dict[str, ByItem], behind: waits.Behind, now: dt.datetime) -> waits.Waits:
    """What is told of how long needs wait: with counts by urgency and over all, and without counts by province."""
    exact = waits.waits(Policy.objects.current().values, now, verified=True)
    posted = told[f"needs {waits.POSTED}"].get("")
    few = too_few(behind.numbers[waits.POSTED])
    if len({body for those in behind.numbers[waits.POSTED].values() for body in those}) < LEAST_ORGANISATIONS:
        few.add("")
    found: waits.Waits = {waits.ALL: {}, waits.URGENCY: {}, waits.PLACE: {}}
    for by, urgency in ((waits.ALL, ""), *((waits.URGENCY, one) for one in exact[waits.URGENCY])):
        needs = posted.number(urgency) if posted else None
        if not needs or urgency in few:
            continue
        found[by][urgency] = {
            milestone: replace(
                _with_rounded_share(wait),
                needs=rounded(needs),
                waiting=rounded(_quantity("", urgency, told[f"needs {milestone}"], counted[f"needs {milestone}"])),
            )
            for milestone, wait in exact[by].get(urgency, {}).items()
        }
    for place in sorted({*behind.places} - too_few(behind.places)):
        found[waits.PLACE][place] = {
            milestone: replace(_with_rounded_share(wait), needs=None, waiting=None)
            for milestone, wait in exact[waits.PLACE].get(place, {}).items()
        }
    return found


def _with_rounded_share(wait: waits.Wait) -> waits.Wait:
    return replace(wait, kept=None if wait.kept is None else round(wait.kept, DIGITS))


def _written_cell(cell: StatsCell) -> dict[str, Any]:
    # The version before, which may still run beside this one, reads no cell with a number that it does not know.
    return {name: number for name, number in vars(cell).items() if name != "organisations_waiting"}


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
