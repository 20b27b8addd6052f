"""Posting needs: one form of several lines, which asks back before it posts what is doubtful."""

from typing import Any

from django.contrib import messages
from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.utils import timezone
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from apps.accounts import limits
from apps.accounts.models import Organisation, User
from apps.accounts.permissions import Permission
from apps.catalogue.models import Region
from apps.core.errors import RuleViolation
from apps.core.posts import LIKELY_DUPLICATE_WITHIN
from apps.demands import services
from apps.demands.models import Demand
from apps.demands.outcomes import LineOutcome, PostOutcome
from apps.policy.models import Policy
from apps.portal import kept
from apps.portal.access import organisation_for
from apps.portal.forms.items import ItemChoices
from apps.portal.forms.needs import (
    DetailsForm,
    LineFormSet,
    alike_for,
    lines_of,
    page_token,
    typed_lines,
)
from apps.portal.forms.regions import RegionWidget
from apps.portal.web import blame, done, network_address, user_of
from apps.portal.wording import waits_because


@require_http_methods(["GET", "HEAD", "POST"])
@kept.over_login
def new(request: HttpRequest) -> HttpResponse:
    user = user_of(request)
    typed = kept.take(request)
    if typed is not None:
        # As if the form had just been sent with “search”: nothing is judged, all is shown.
        request.POST = typed  # type: ignore[assignment]  # immutable too, being read from text
    organisation = organisation_for(request, user, Permission.POST_DEMANDS)
    if organisation is None:
        return render(request, "portal/requester/no_organisation.html", {"for_what": "needs"})
    item_choices = ItemChoices(organisation)
    if typed is not None:
        return _again(request, organisation, item_choices)
    if request.method == "POST":
        return _posted(request, user, organisation, item_choices)

    chosen = item_choices.item(request.GET.get("item"))
    first = {"item": str(chosen.pk) if chosen else "", "find": request.GET.get("find", "")[:200]}
    lines = LineFormSet(prefix="lines", initial=[first], form_kwargs={"item_choices": item_choices})
    return _page(request, organisation, lines, DetailsForm(organisation=organisation))


def _posted(request: HttpRequest, user: User, organisation: Organisation, item_choices: ItemChoices) -> HttpResponse:
    data = request.POST
    lines = LineFormSet(data, prefix="lines", form_kwargs={"item_choices": item_choices})
    details = DetailsForm(data, organisation=organisation)
    # Without a script each of these buttons sends the whole form, faults and all.
    if "search" in data or "add" in data or "remove" in data or not lines.forms:
        return _again(request, organisation, item_choices)
    # Both are judged, not only the first, so that all faults are named at once.
    if not (lines.is_valid() & details.is_valid()):
        return _page(request, organisation, lines, details, status=400)

    items = [form.cleaned_data["item"] for form in lines.filled]
    alike = alike_for(organisation, items, timezone.now() - LIKELY_DUPLICATE_WITHIN)
    token = page_token(data.get("token"))
    if already := _posted_before(user, token):
        messages.info(request, _("This was posted already: here it is."))
        return _to_posted(already)
    # After the token: whoever sends the page twice must not be asked whether it is the same need.
    if alike and "post_anyway" not in data:
        return _page(request, organisation, lines, details, alike=alike, ask_alike=True)
    try:
        limits.count_drafts(organisation, network_address(request), len(lines.filled))
        posted = services.post_needs(
            organisation,
            lines_of(lines, details, token),
            by=user,
            confirmed=[index for index, form in enumerate(lines.filled) if form.is_confirmed],
        )
    except RuleViolation as violation:
        blame(details, violation)
        return _page(request, organisation, lines, details, status=400)
    except IntegrityError:
        # The same page was sent twice at the same time: the other one won.
        if already := _posted_before(user, token):
            return _to_posted(already)
        raise
    if _asks_about_quantities(lines, posted):
        return _page(request, organisation, lines, details, alike=alike, ask_quantity=True)
    say_what_became(request, posted)
    return done(request, _url_of([line.demand for line in posted]))


def _again(request: HttpRequest, organisation: Organisation, item_choices: ItemChoices) -> HttpResponse:
    """The form with all that was typed, unjudged: after a search, or with a line more or less."""
    data = request.POST
    typed = typed_lines(data)
    if "add" in data:
        typed.append({})
    remove = data.get("remove", "")
    # The last line stays: a form without one could not be filled in.
    if remove.isascii() and remove.isdigit() and len(typed) > 1 and int(remove[:4]) < len(typed):
        typed.pop(int(remove[:4]))
    for line in typed:
        if line.get("find") and not line.get("item"):
            found = item_choices.found(str(line["find"]))
            # One hit is chosen at once. It saves a choice on the phone, and stays open to change.
            if len(found) == 1:
                line["item"] = str(found[0].pk)
    lines = LineFormSet(
        prefix="lines", initial=typed[: LineFormSet.max_num], form_kwargs={"item_choices": item_choices}
    )
    names = DetailsForm.base_fields
    typed_details: dict[str, Any] = {name: data[name] for name in names if name in data}
    if "region" in data:
        typed_details["region"] = RegionWidget().value_from_datadict(data, request.FILES, "region")
    details = DetailsForm(organisation=organisation, initial=typed_details)
    items = [form.chosen for form in lines.forms if form.chosen is not None]
    alike = alike_for(organisation, items, timezone.now() - LIKELY_DUPLICATE_WITHIN) if items else []
    return _page(request, organisation, lines, details, alike=alike)


def _page(
    request: HttpRequest,
    organisation: Organisation,
    lines: LineFormSet,
    details: DetailsForm,
    *,
    status: int = 200,
    **more: Any,
) -> HttpResponse:
    # Phases are declared for regions, and goods may go to another region than the organisation's.
    named = details.cleaned_data.get("region") if details.is_bound and hasattr(details, "cleaned_data") else None
    code, phase = Policy.objects.current().values.phase_of((named or organisation.region).path)
    context = {
        "organisation": organisation,
        "phase": phase,
        "phase_place": Region.objects.filter(pk=code).first() if code else None,
        "on_behalf": organisation.pk not in {grant.organisation_id for grant in user_of(request).grants},
        "lines": lines,
        "details": details,
        "token": page_token(request.POST.get("token")),
        "post_anyway": "post_anyway" in request.POST,
        "can_add": len(lines.forms) < LineFormSet.max_num,
        **more,
    }
    return render(request, "portal/requester/need_new.html", context, status=status)


def _posted_before(user: User, token: str) -> list[Demand]:
    found = Demand.objects.visible_to(user).filter(source="portal", source_key__startswith=f"{token}:")
    return list(found.order_by("pk"))


def _url_of(demands: list[Demand]) -> str:
    if len(demands) == 1:
        return reverse("need", args=[demands[0].pk])
    return f"{reverse('needs')}?q={demands[0].reference}"


def _to_posted(demands: list[Demand]) -> HttpResponse:
    return redirect(_url_of(demands))


def _asks_about_quantities(lines: LineFormSet, posted: list[LineOutcome]) -> bool:
    """Whether quantities are to be confirmed before anything is posted; the question then stands at its line."""
    asked = [index for index, line in enumerate(posted) if line.outcome is PostOutcome.NEEDS_CONFIRMATION]
    for index in asked:
        violation = posted[index].violation
        lines.filled[index].question = str(violation)  # type: ignore[attr-defined]  # for the template
    return bool(asked)


def say_what_became(request: HttpRequest, posted: list[LineOutcome]) -> None:
    """What became of the lines, each thing once."""
    opened = sum(line.outcome is PostOutcome.OPENED for line in posted)
    if opened:
        text = ngettext(
            "Posted. We are asking suppliers right now.",
            "Posted: %(count)d needs. We are asking suppliers right now.",
            opened,
        )
        messages.success(request, text % {"count": opened})
    # Twenty lines that wait for the same thing are one message.
    for text in dict.fromkeys(filter(None, map(_kept_back, posted))):
        messages.warning(request, text)


def _kept_back(line: LineOutcome) -> str:
    """Why a line is not out, for its owner; nothing where it is."""
    match line.outcome:
        case PostOutcome.WAITS_FOR_VERIFICATION:
            text = _("Your need is saved. It goes out as soon as “%(name)s” is verified.")
            return text % {"name": line.demand.organisation}
        case PostOutcome.NEEDS_ITEM:
            text = _("“%(what)s” is saved and not sent out: choose an item from the catalogue first.")
            return text % {"what": Truncator(line.demand.note).chars(60)}
        case PostOutcome.HELD_FOR_REVIEW:
            return waits_because(line.demand)
    return ""


urlpatterns = [path("needs/new/", new, name="need-new")]
