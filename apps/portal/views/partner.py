"""What a government department sees of its region: everything but contacts."""

import datetime as dt
from functools import reduce
from operator import or_

from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from apps.accounts.permissions import Permission, can
from apps.catalogue.models import Region
from apps.demands.models import Demand
from apps.exports import region_sums
from apps.exports.tasks import count_regions
from apps.notifications.tasks import wake
from apps.portal import figures, places
from apps.portal.paging import in_order
from apps.portal.views.account import own_tokens
from apps.portal.web import user_of

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
    waits = dict(watched.waits)
    overall = waits.pop("", None)
    names = places.names_of(waits)
    context = {
        "regions": [organisation.region for organisation in user.organisations_with(Permission.WATCH_REGION)],
        "rows": [(items[key], row, figures.bars(row)) for key, row in ordered if key in items],
        "stuck": in_order(request, stuck, size=_STUCK_A_PAGE, shown=Demand.objects.shown()),
        "counts": watched.needs,
        "as_of": watched.as_of,
        "overall": overall,
        "waits": [(places.in_words(names.get(code)), wait) for code, wait in sorted(waits.items())],
        "datasets": DATASETS,
        "tokens": own_tokens(request),
        "now": now,
    }
    return render(request, "portal/partner/dashboard.html", context)
