"""Offers from a sheet: every row is shown as it was understood before anything is saved."""

import csv
import datetime as dt
from typing import Any, Final

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from apps.accounts.models import Organisation, User
from apps.accounts.permissions import Permission
from apps.catalogue.models import Item
from apps.core.errors import RuleViolation
from apps.portal.access import organisation_for
from apps.portal.forms.needs import page_token
from apps.portal.forms.supply import SheetForm
from apps.portal.web import blame, done, refused, user_of
from apps.supply import services
from apps.supply.reading import ReadSheet, read_rows
from apps.supply.sheets import HEADERS

# More than that, and the sheet as a whole is wrong.
FAULTS_SHOWN: Final = 50


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def import_sheet(request: HttpRequest) -> HttpResponse:
    """Upload, see every row as it was understood, then confirm: the same sheet comes back and is checked again."""
    user = user_of(request)
    organisation = organisation_for(request, user, Permission.PUBLISH_OFFERS)
    if organisation is None:
        return render(request, "portal/requester/no_organisation.html", {"for_what": "offers"})
    context: dict[str, Any] = {
        "organisation": organisation,
        "on_behalf": organisation.pk not in {grant.organisation_id for grant in user.grants},
        "form": SheetForm(),
    }
    if request.method != "POST":
        return render(request, "portal/supplier/import.html", context)

    context["form"] = form = SheetForm(request.POST, request.FILES)
    if not form.is_valid():
        return render(request, "portal/supplier/import.html", context, status=400)
    try:
        sheet = read_rows(organisation, form.cleaned_data["bytes"], by=user, publish=form.cleaned_data["publish"])
    except RuleViolation as violation:
        blame(form, violation)
        return render(request, "portal/supplier/import.html", context, status=400)

    if "confirm" in request.POST and not sheet.faulty:
        return _imported(request, user, organisation, sheet, publish=form.cleaned_data["publish"])
    context |= {
        "sheet": sheet,
        "faulty": _faults(sheet, is_chinese=request.LANGUAGE_CODE.startswith("zh"))[:FAULTS_SHOWN],
        "rows": [row for row in sheet.rows if not row.errors][:FAULTS_SHOWN],
        "good": len(sheet.rows) - len(sheet.faulty),
        "more": max(0, len(sheet.rows) - len(sheet.faulty) - FAULTS_SHOWN),
        "content": form.encoded,
        "token": page_token(request.POST.get("token")),
    }
    return render(request, "portal/supplier/import_preview.html", context, status=400 if sheet.faulty else 200)


def _faults(sheet: ReadSheet, *, is_chinese: bool) -> list[tuple[int, str, str]]:
    """Every fault as (number of the row, name of the column as the reader would write it, words)."""
    return [
        (row.number, _heading(HEADERS.get(column, (column,)), is_chinese=is_chinese), str(text))
        for row in sheet.faulty
        for column, texts in row.errors.items()
        for text in texts
    ]


def _imported(
    request: HttpRequest, user: User, organisation: Organisation, sheet: ReadSheet, *, publish: bool
) -> HttpResponse:
    token = page_token(request.POST.get("token"))
    # The token of the page, with the number of the row: the same page sent twice finds its own rows.
    facts = [{**row.facts, "source": "portal", "source_key": f"{token}:{row.number}"} for row in sheet.rows]
    # The rows of an unverified organisation are kept, not refused: a sheet is much work.
    wants_publishing = publish and organisation.is_verified
    try:
        offers = services.create_offers(organisation, facts, by=user, publish=wants_publishing)
    except IntegrityError:
        messages.info(request, _("This sheet was imported already."))
        return redirect("supply")
    except RuleViolation as violation:
        return refused(request, violation, "supply-import")
    if publish and not wants_publishing:
        messages.warning(
            request,
            _("They are saved as drafts: they can be published once “%(name)s” is verified.") % {"name": organisation},
        )
    text = ngettext("%(count)s offer imported.", "%(count)s offers imported.", len(offers)) % {"count": len(offers)}
    return done(request, "supply", text)


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
]
