"""Offers from a sheet: every row is shown as it was understood before anything is saved."""

import csv
import datetime as dt
from typing import Any, Final

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.accounts import limits
from apps.accounts.permissions import Permission, can
from apps.catalogue.models import Item, Region
from apps.core.errors import RuleViolation
from apps.notifications.tasks import wake
from apps.portal.access import organisation_for
from apps.portal.forms.supply import SheetForm
from apps.portal.web import blame, network_address, refused, status_of, user_of
from apps.supply import importing
from apps.supply.models import SheetImport
from apps.supply.sheets import HEADERS
from apps.supply.tasks import import_sheets

# More than that, and the sheet as a whole is wrong.
FAULTS_SHOWN: Final = 50


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def import_sheet(request: HttpRequest) -> HttpResponse:
    """Choose a sheet. A worker reads it, and its own page shows how far it is."""
    user = user_of(request)
    organisation = organisation_for(request, user, Permission.PUBLISH_OFFERS)
    if organisation is None:
        return render(request, "portal/requester/no_organisation.html", {"for_what": "offers"})
    form = SheetForm(request.POST, request.FILES) if request.method == "POST" else SheetForm()
    if form.is_valid():
        try:
            limits.count_drafts(organisation, network_address(request), limits.DRAFTS_OF_A_SHEET)
            asked = importing.request_import(
                organisation,
                form.cleaned_data["file"].read(),
                by=user,
                language=request.LANGUAGE_CODE,
                publish=form.cleaned_data["publish"],
            )
        except RuleViolation as violation:
            blame(form, violation)
        else:
            wake(import_sheets)
            return redirect("supply-sheet", asked.pk)
    context = {
        "organisation": organisation,
        "on_behalf": organisation.pk not in {grant.organisation_id for grant in user.grants},
        "form": form,
        "under_way": SheetImport.objects.visible_to(user).under_way().filter(organisation=organisation).first(),
    }
    return render(request, "portal/supplier/import.html", context, status=status_of(form))


@login_required
@require_safe
def sheet(request: HttpRequest, pk: int) -> HttpResponse:
    """One sheet on its way: how far it is, what was understood, what is wrong, what was saved."""
    asked = get_object_or_404(SheetImport.objects.visible_to(user_of(request)).defer("data"), pk=pk)
    good = [row for row in asked.rows if not row["errors"]]
    context = {
        "asked": asked,
        "form": SheetForm(initial={"publish": asked.publish}),
        "may_change": can(user_of(request), Permission.PUBLISH_OFFERS, asked.organisation),
        "faults": _faults(asked.rows, is_chinese=request.LANGUAGE_CODE.startswith("zh"))[:FAULTS_SHOWN],
        "rows": _with_names(good[:FAULTS_SHOWN]),
        "good": len(good),
        "more": max(0, len(good) - FAULTS_SHOWN),
    }
    return render(request, "portal/supplier/sheet.html", context)


@login_required
@require_POST
def confirm_sheet(request: HttpRequest, pk: int) -> HttpResponse:
    """Have the offers of a checked sheet saved."""
    try:
        importing.confirm_import(_mine(request, pk), by=user_of(request), publish="publish" in request.POST)
    except RuleViolation as violation:
        return refused(request, violation, "supply-sheet", pk)
    wake(import_sheets)
    return redirect("supply-sheet", pk)


@login_required
@require_POST
def cancel_sheet(request: HttpRequest, pk: int) -> HttpResponse:
    """Stop a sheet that is being read or waits to be confirmed."""
    try:
        importing.cancel_import(_mine(request, pk))
    except RuleViolation as violation:
        return refused(request, violation, "supply-sheet", pk)
    return redirect("supply-sheet", pk)


def _mine(request: HttpRequest, pk: int) -> SheetImport:
    asked = get_object_or_404(SheetImport.objects.visible_to(user_of(request)), pk=pk)
    if not can(user_of(request), Permission.PUBLISH_OFFERS, asked.organisation):
        raise Http404
    return asked


def _faults(rows: list[dict[str, Any]], *, is_chinese: bool) -> list[tuple[int, str, str]]:
    """Every fault as (number of the row, name of the column as the reader would write it, words)."""
    return [
        (row["row"], _heading(HEADERS.get(column, (column,)), is_chinese=is_chinese), text)
        for row in rows
        for column, texts in row["errors"].items()
        for text in texts
    ]


def _with_names(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with items and regions instead of their codes."""
    items = Item.objects.select_related("unit").in_bulk([row["item"] for row in rows], field_name="key")
    regions = Region.objects.in_bulk([row["origin_region"] for row in rows])
    return [
        {**row, "item": items[row["item"]], "origin_region": regions[row["origin_region"]]}
        for row in rows
        if row["item"] in items and row["origin_region"] in regions
    ]


@login_required
def template(request: HttpRequest) -> HttpResponse:
    """A sheet to fill in: the columns, in the language of the page, and one row as an example."""
    is_chinese = request.LANGUAGE_CODE.startswith("zh")
    item = Item.objects.listed().filter(key="mask.surgical").first() or Item.objects.listed().first()
    valid = (timezone.localdate() + dt.timedelta(days=365)).isoformat()
    example = {
        "item": item.label if item else "",
        "standard": "",
        "quantity": "10000",
        "daily_capacity": "2000",
        "minimum_order": "100",
        "lead_time_days": "2",
        "unit_price": "0.85",
        "currency": "CNY",
        "is_donation": "否" if is_chinese else "no",
        "origin_region": "",
        "ships_to": "",
        "certificate_number": "",
        "certificate_valid_until": valid,
        "note": "",
    }
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="cosmomatch-offers.csv"'
    response.write("\ufeff")  # Excel takes it for UTF-8 only with this
    writer = csv.writer(response)
    writer.writerow([_heading(names, is_chinese=is_chinese) for names in HEADERS.values()])
    writer.writerow([example.get(column, "") for column in HEADERS])
    return response


def _heading(names: tuple[str, ...], *, is_chinese: bool) -> str:
    """The name of a column as the template and the preview write it."""
    return next((name for name in names if not name.isascii()), names[0]) if is_chinese else names[0]


urlpatterns = [
    path("supply/import/", import_sheet, name="supply-import"),
    path("supply/import/template.csv", template, name="supply-template"),
    path("supply/import/<int:pk>/", sheet, name="supply-sheet"),
    path("supply/import/<int:pk>/confirm/", confirm_sheet, name="supply-sheet-confirm"),
    path("supply/import/<int:pk>/cancel/", cancel_sheet, name="supply-sheet-cancel"),
]
