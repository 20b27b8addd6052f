"""Pages for everybody: sums, never names."""

import csv
import datetime as dt
from itertools import groupby
from operator import itemgetter

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from apps.demands.models import Urgency
from apps.exports import waits
from apps.exports.definitions import FIGURES
from apps.exports.publishing import published_stats
from apps.exports.stats import CELL_NUMBERS
from apps.policy.models import Policy
from apps.policy.values import REQUESTERS
from apps.policy.wording import NAMES
from apps.portal import figures, places, policies, tilemap
from apps.portal.web import csv_response, kept_for_all


@require_safe
def board(request: HttpRequest) -> HttpResponse:
    """What is needed, offered and delivered: by item, and for one item by province."""
    found = figures.board()
    items = figures.items_of([line.item for line in found.items] + found.also_needed)
    chosen = items.get(request.GET.get("item", ""))
    lines = [line for line in found.places if chosen and line.item == chosen.key]
    waiting = found.waits.get(waits.PLACE, {})
    on_map = tilemap.PROVINCES if lines else ()
    names = places.names_of([*(line.place for line in lines), *(place for place in waiting if place), *on_map])
    called = {place: places.in_words(names.get(place)) for place in sorted(waiting)}
    everything = found.waits.get(waits.ALL, {}).get("", {})
    context = {
        "board": found,
        "chosen": chosen,
        "total": next((line for line in found.items if chosen and line.item == chosen.key), None),
        "lines": [(places.in_words(names.get(line.place)), chosen, line) for line in lines]
        if chosen
        else [(items[line.item].label, items[line.item], line) for line in found.items if line.item in items],
        "also_needed": [items[key] for key in found.also_needed if key in items],
        "contact": everything.get(waits.CONTACT),
        "map": figures.map_of({line.place: line.organisations for line in lines}, names) if lines else None,
        "by_urgency": figures.waits_by_urgency(found.waits),
        "by_place": figures.wait_lines(waiting, called),
    }
    response = render(request, "portal/public/board.html", context)
    # Of an address that somebody made up, no copy is worth its place.
    is_known = request.GET.keys() <= {"item"} and bool(chosen) == bool(request.GET)
    return kept_for_all(request, response) if is_known else response


@require_safe
def by_province(request: HttpRequest) -> HttpResponse:
    """The numbers of the board by item and province as CSV, of all items or of one. The address does not change."""
    sums = published_stats()
    key = request.GET.get("item", "")
    cells = [cell for cell in sums.cells if key in {"", cell.item}]
    names = places.names_of(cell.region for cell in cells)
    response = csv_response("by-province.csv")
    writer = csv.writer(response)
    writer.writerow(["as_of", "item", "region", "region_zh", "region_en", "unit", *CELL_NUMBERS])
    for cell in cells:
        zh, en = names.get(cell.region, ("", ""))
        numbers = [getattr(cell, name) for name in CELL_NUMBERS]
        writer.writerow([sums.as_of.isoformat(), cell.item, cell.region, zh, en, cell.unit, *numbers])
    is_known = not request.GET or (request.GET.keys() == {"item"} and bool(cells))
    return kept_for_all(request, response) if is_known else response


@require_safe
def definitions(request: HttpRequest) -> HttpResponse:
    """What each figure on the pages, in exports and in the API means."""
    response = render(request, "portal/public/figures.html", {"figures": FIGURES.values()})
    return response if request.GET else kept_for_all(request, response)


@require_safe
def promise(request: HttpRequest) -> HttpResponse:
    """How it works, who is served first, and the numbers that are promised: those of the policy in force."""
    policy = Policy.objects.current()
    hours = [
        {
            "urgency": urgency.label,
            "hold": policy.values.hold(urgency),
            "escalates": policy.values.escalates_after(urgency),
            "stale": policy.values.stale_after(urgency),
        }
        for urgency in Urgency
    ]
    tiers = sorted((policy.values.tier(kind), place, NAMES[kind]) for place, kind in enumerate(REQUESTERS))
    context = {
        "policy": policy,
        "values": policy.values,
        "tiers": [(tier, [name for _tier, _place, name in group]) for tier, group in groupby(tiers, itemgetter(0))],
        "phases": policies.phases(policy.values),
        "ageing": dt.timedelta(hours=policy.values.ageing_hours_per_tier),
        "clocks": hours,
    }
    response = render(request, "portal/public/promise.html", context)
    return response if request.GET else kept_for_all(request, response)
