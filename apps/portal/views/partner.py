"""What a government department sees of its region: everything but contacts."""

import datetime as dt

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Count, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from apps.accounts.permissions import Permission, can
from apps.demands.models import Demand, DemandState
from apps.exports.waits import Wait, waits
from apps.portal import figures, places
from apps.portal.views.account import own_tokens
from apps.portal.web import user_of

_STUCK_A_PAGE = 20
DATASETS = ("demands", "offers", "matches", "orders", "shipments", "deliveries")


@login_required
@require_GET
def dashboard(request: HttpRequest) -> HttpResponse:
    user = user_of(request)
    if not can(user, Permission.WATCH_REGION):
        raise Http404
    paths = user.watched_regions
    rows = figures.in_region(paths)
    items = figures.items_of(rows)
    ordered = sorted(rows.items(), key=lambda one: (one[1]["needed"], one[1]["offered"]), reverse=True)

    now = timezone.now()
    mine = Q()
    for path in paths:
        mine |= Q(region__path__startswith=path)
    visibility = Demand.objects.filter(mine)
    stuck = (
        visibility.open()
        .filter(
            Q(escalations__for_approval=False) | Q(escalates_at__lte=now) | Q(opened_at__lte=now - dt.timedelta(days=1))
        )
        .distinct()
        .shown()
        .annotate(times_escalated=Count("escalations", filter=Q(escalations__for_approval=False)))
        .order_by("opened_at", "pk")
    )
    by_province: dict[str, Wait] = {}
    for path in figures.outermost(paths):
        by_province |= waits(path)
    overall = by_province.pop("", None)
    names = places.names_of(by_province)
    context = {
        "regions": [organisation.region for organisation in user.organisations_with(Permission.WATCH_REGION)],
        "rows": [(items[key], row, figures.bars(row)) for key, row in ordered if key in items],
        "stuck": Paginator(stuck, _STUCK_A_PAGE).get_page(request.GET.get("page")),
        "counts": visibility.aggregate(
            open=Count("pk", filter=Q(state=DemandState.OPEN)),
            matched=Count("pk", filter=Q(state=DemandState.MATCHED)),
            fulfilled=Count("pk", filter=Q(state=DemandState.FULFILLED)),
            stale=Count("pk", filter=Q(state=DemandState.STALE)),
        ),
        "overall": overall,
        "waits": [(places.in_words(names.get(code)), wait) for code, wait in sorted(by_province.items())],
        "datasets": DATASETS,
        "tokens": own_tokens(request),
        "now": now,
    }
    return render(request, "portal/partner/dashboard.html", context)
