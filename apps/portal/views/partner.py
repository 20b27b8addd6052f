"""What a government department sees of its region: everything but contacts."""

import csv
import datetime as dt
from functools import reduce
from operator import or_
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_GET

from apps.accounts.permissions import Permission, can
from apps.catalogue.models import Item, Region
from apps.demands.models import Demand
from apps.exports import region_sums, waits
from apps.exports.tasks import count_regions
from apps.exports.waits import Waits
from apps.notifications.tasks import wake
from apps.portal import figures, places, tilemap
from apps.portal.paging import in_order
from apps.portal.views.account import own_tokens
from apps.portal.web import csv_response, user_of

_STUCK_A_PAGE = 20
DATASETS = ("demands", "offers", "matches", "orders", "shipments", "deliveries")


@login_required
@require_GET
def dashboard(request: HttpRequest) -> HttpResponse:
    user, now = user_of(request), timezone.now()
    if not can(user, Permission.WATCH_REGION):
        raise Http404
    watched, is_old = region_sums.sums_of(user.watched_regions, now=now)
    if is_old:
        wake(count_regions)
    items = figures.items_of(watched.items)
    ordered = sorted(watched.items.items(), key=figures.most_pressing_first)

    within = Region.objects.filter(reduce(or_, (Q(path__startswith=path) for path in user.watched_regions)))
    stuck = (
        Demand.objects.open()
        .filter(region__in=within.values("pk"))
        .filter(Q(escalation_level__gt=0) | Q(opened_at__lte=now - dt.timedelta(days=1)))
        .order_by("opened_at", "pk")
    )
    watched_places = [organisation.region for organisation in user.organisations_with(Permission.WATCH_REGION)]
    context = {
        "regions": watched_places,
        "rows": [(items[key], row, figures.bars(row)) for key, row in ordered if key in items],
        "stuck": in_order(request, stuck, size=_STUCK_A_PAGE, shown=Demand.objects.shown()),
        "counts": watched.needs,
        "as_of": watched.as_of,
        "places": _by_place(watched.places),
        "waits": _waits(watched.waits, items),
        "datasets": DATASETS,
        "tokens": own_tokens(request),
        "now": now,
    }
    return render(request, "portal/partner/dashboard.html", context)


@login_required
@require_GET
def places_csv(request: HttpRequest) -> HttpResponse:
    """Who waits in each place of the watched regions, as CSV. The address does not change."""
    user = user_of(request)
    if not can(user, Permission.WATCH_REGION):
        raise Http404
    watched, is_old = region_sums.sums_of(user.watched_regions)
    if is_old:
        wake(count_regions)
    response = csv_response("places.csv")
    writer = csv.writer(response)
    figures_of = ("organisations_waiting", "needs_open", "needs_emergency", "needs_unknown")
    writer.writerow(["as_of", "watched_region", "region", "region_zh", "region_en", *figures_of])
    for path, rows in watched.places.items():
        region = path.split("/")[-2]
        names = places.names_of([region, *rows])
        for code, row in sorted(rows.items()):
            zh, en = names.get(code or region, ("", ""))
            numbers = [row[name] for name in ("organisations", "needs", "emergencies", "unknown")]
            writer.writerow([watched.as_of.isoformat(), region, code or region, zh, en, *numbers])
    return response


def _by_place(by_region: dict[str, dict[str, region_sums.Row]]) -> list[dict[str, Any]]:
    """Who waits in each place just below a watched region, most first; where these are provinces, also as a map."""
    shown = []
    for path, rows in by_region.items():
        region = path.split("/")[-2]
        is_nation = region == "CN"
        names = places.names_of([region, *rows, *(tilemap.PROVINCES if is_nation else ())])
        ordered = sorted(rows, key=lambda code: figures.most_pressing_first((code, rows[code])))
        waiting: dict[str, int | None] = {code: row["organisations"] for code, row in rows.items()}
        shown.append(
            {
                "name": places.in_words(names.get(region)),
                "rows": [(places.in_words(names.get(code or region)), rows[code]) for code in ordered],
                "map": figures.map_of(waiting, names) if is_nation else None,
            }
        )
    return shown


def _waits(by_region: dict[str, Waits], items: dict[str, Item]) -> list[dict[str, Any]]:
    """How long the needs of each watched region wait: by urgency, place, item and tier."""
    codes = {path.split("/")[-2]: path for path in by_region}
    names = places.names_of([*codes, *(place for found in by_region.values() for place in found.get(waits.PLACE, ()))])
    return [
        {
            "name": places.in_words(names.get(code)),
            "contact": by_region[path].get(waits.ALL, {}).get("", {}).get(waits.CONTACT),
            "by_urgency": figures.waits_by_urgency(by_region[path]),
            "groups": [
                (title, head, figures.wait_lines(by_region[path].get(by, {}), called))
                for title, head, by, called in (
                    (gettext("By region"), gettext("Region"), waits.PLACE, _places(by_region[path], code, names)),
                    (gettext("By item"), gettext("Item"), waits.ITEM, _items(by_region[path], items)),
                    (gettext("By tier"), gettext("Tier"), waits.TIER, _tiers(by_region[path])),
                )
            ],
        }
        for code, path in codes.items()
    ]


def _places(found: Waits, region: str, names: dict[str, tuple[str, str]]) -> dict[str, str]:
    """The places below a region. Of a need that names no more than the region, the place is the region."""
    return {place: places.in_words(names.get(place or region)) for place in sorted(found.get(waits.PLACE, ()))}


def _items(found: Waits, items: dict[str, Item]) -> dict[str, str]:
    """The items of which most needs have no contact first."""
    waiting = {key: group[waits.CONTACT].waiting or 0 for key, group in found.get(waits.ITEM, {}).items()}
    return {key: items[key].label for key in sorted(waiting, key=lambda key: (-waiting[key], key)) if key in items}


def _tiers(found: Waits) -> dict[str, str]:
    return {tier: gettext("tier %(number)s") % {"number": tier} for tier in sorted(found.get(waits.TIER, ()))}
