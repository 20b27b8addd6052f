"""Pages for everybody: sums, never names."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from apps.catalogue.models import Item
from apps.demands import clocks
from apps.demands.models import Urgency
from apps.matching.models import Policy
from apps.portal import figures, places

_ITEMS_SHOWN = 60


def _prominence(one: tuple[str, figures.Row]) -> tuple[int, int]:
    """What is needed most comes first; a hidden number does not show through the order either."""
    _code, row = one
    return (0, 0) if row.cells["needed"].is_hidden else row.weight


def _place_on_shelf(item: Item) -> tuple[str, int, str]:
    return item.category_id, item.position, item.key


@require_GET
def board(request: HttpRequest) -> HttpResponse:
    """What is needed, offered and delivered: by item, and for one item by province."""
    found = figures.board()
    items = figures.items_of(found.totals)
    chosen = items.get(request.GET.get("item", ""))
    if chosen:
        rows = sorted(sorted(found.by_place[chosen.key].items()), key=_prominence, reverse=True)
        names = places.names_of(code for code, _row in rows)
        context = {"chosen": chosen, "rows": [(places.in_words(names.get(code)), row.cells) for code, row in rows]}
        context["total"] = found.totals[chosen.key].cells
    else:
        totals = sorted(found.totals.items(), key=_prominence, reverse=True)
        posted = [(items[key], row) for key, row in totals if key in items]
        context = {
            "rows": [(item, row.cells) for item, row in posted if row.shows_something][:_ITEMS_SHOWN],
            "others": sorted((item for item, row in posted if not row.shows_something), key=_place_on_shelf),
        }

    waits = {code: wait for code, wait in found.waits.items() if code}
    names = places.names_of(waits)
    context |= {
        "board": found,
        "waits": sorted(
            ((places.in_words(names.get(code)), median, needs) for code, (median, needs) in waits.items()),
            key=lambda one: one[1],
        ),
    }
    return render(request, "portal/public/board.html", context)


@require_GET
def promise(request: HttpRequest) -> HttpResponse:
    """How it works, who is served first, and the numbers that are promised: those of the policy in force."""
    policy = Policy.objects.current()
    hours = [
        {
            "urgency": urgency.label,
            "hold": policy.values.hold(urgency),
            "escalates": clocks.ESCALATES_AFTER[urgency],
            "stale": clocks.STALE_AFTER[urgency],
        }
        for urgency in Urgency
    ]
    context = {
        "policy": policy,
        "values": policy.values,
        "ageing_hours": round(policy.values.ageing_hours_per_tier),
        "clocks": hours,
    }
    return render(request, "portal/public/promise.html", context)
