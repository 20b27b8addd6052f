"""A need at the desk, with all that was tried, and what a coordinator does in place of its owner."""

import datetime as dt
from collections.abc import Callable
from typing import Any, Final

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_http_methods

from apps.accounts.models import User
from apps.core.errors import RuleViolation
from apps.core.posts import last_return
from apps.demands import decisions, review
from apps.demands import services as demands
from apps.demands.models import Demand, DemandState
from apps.desk import services as desk
from apps.desk.models import Handling
from apps.matching.desks.asking import who_could_help
from apps.matching.explanation.outlook import outlook
from apps.matching.explanation.shortfalls import shortfall_of
from apps.matching.models import Match
from apps.portal.asked import asked_for
from apps.portal.forms.desk import NoteForm, OptionalReasonForm, RequiredReasonForm, TakeForm
from apps.portal.forms.seen import SeenForm, seeing
from apps.portal.views.desk.charge import coordinator, in_charge_of
from apps.portal.web import done, refused, status_of
from apps.portal.wording import asked

# Notes and calls that a page shows, the latest first.
_NOTES: Final = 50


def _demand(user: User, pk: int) -> Demand:
    return get_object_or_404(Demand.objects.filter(in_charge_of(user, "region")).shown(), pk=pk)


@login_required
@require_GET
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """A need with all that was tried, and what can be done."""
    user = coordinator(request)
    subject = _demand(user, pk)
    now = timezone.now()
    is_short = subject.state == DemandState.OPEN and subject.quantity_remaining > 0
    is_searching = subject.state == DemandState.OPEN and subject.match_requested_at is not None
    context = {
        "demand": subject,
        "asked": asked_for(subject, Match.objects.all(), now=now),
        "is_searching": is_searching,
        "escalations": subject.escalations.select_related("organisation").order_by("pk"),
        "outlook": outlook(subject, now=now) if is_short and not is_searching else None,
        "shortfall": None if is_searching else shortfall_of(subject),
        "returned": last_return(subject),
        "helpers": who_could_help(subject, now=now) if is_short and not is_searching else [],
        "handling": Handling.objects.filter(demand=subject).select_related("owner").first(),
        "notes": subject.desk_notes.select_related("by", "offer__organisation", "offer__item__unit").order_by("-pk")[
            :_NOTES
        ],
        "note_form": NoteForm(),
        "judgement": review.judge_quantity(subject) if subject.state == DemandState.DRAFT else None,
    }
    return render(request, "portal/desk/need.html", context)


_STEPS: Final[dict[str, tuple[str | Promise, str | Promise, str | Promise]]] = {
    "open": (_("Open this need?"), _("Suppliers are asked at once."), _("Open the need")),
    "return": (
        _("Return this need to the requester?"),
        _("It is not sent out. The requester is told why, and can correct it and send it again."),
        _("Return the need"),
    ),
    "resume": (_("Resume this need?"), _("Suppliers are asked at once."), _("Resume")),
    "take": (_("See to this need?"), _("Colleagues see that you have it."), _("I see to it")),
    "leave": (_("Leave this need to colleagues?"), _("Nobody has it then."), _("I do not see to it any more")),
    "extend": (
        _("Two hours more?"),
        _("The next coordinators are told two hours later."),
        _("Two hours more"),
    ),
    "note": (_("Write a note"), _("Colleagues read it, the requester does not."), _("Add the note")),
    "confirm": (_("Is this still needed?"), _("It counts as confirmed today."), _("Still needed")),
    "pause": (
        _("Pause this need?"),
        _("No new suppliers are asked, and unanswered requests are withdrawn."),
        _("Pause"),
    ),
    "cancel": (
        _("Cancel this need?"),
        _("Unanswered requests are withdrawn. Existing orders stand. This cannot be undone."),
        _("Cancel the need"),
    ),
}


_OF_COLLEAGUES: Final[dict[str, Callable[..., object]]] = {
    "take": desk.take_need,
    "leave": desk.leave_need,
    "note": desk.write_note,
    "extend": decisions.give_more_time,
}


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def step_in(request: HttpRequest, pk: int, step: str) -> HttpResponse:
    """Do for the organisation what it could do itself; say why."""
    user = coordinator(request)
    subject = _demand(user, pk)
    if step not in _STEPS:
        raise Http404
    title, text, submit = _STEPS[step]
    # Opening asks for no reason, but for what was seen: the draft may have been amended meanwhile.
    forms = {
        "note": NoteForm,
        "take": TakeForm,
        "open": SeenForm,
        "pause": OptionalReasonForm,
        "cancel": RequiredReasonForm,
        "return": RequiredReasonForm,
    }
    typed, shown = request.POST if request.method == "POST" else None, {"seen": seeing(subject.updated_at)}
    form = forms[step](typed, initial=shown) if step in forms else None
    if request.method == "POST" and (form is None or form.is_valid()):
        try:
            _take(step, subject, user, **(form.cleaned_data if form else {}))
        except RuleViolation as violation:
            return refused(request, violation, "desk-need", subject.pk)
        return done(request, "desk-need", _("Done."), subject.pk)
    context = {
        "title": title,
        "text": text,
        "submit": submit,
        "form": form,
        "danger": step in {"pause", "cancel"},
        "back": reverse("desk-need", args=[subject.pk]),
        "facts": [
            (_("Reference"), subject.reference),
            (_("Organisation"), subject.organisation.name),
            (_("Item"), subject.item.label),
            (_("Requested"), asked(subject)),
        ],
    }
    return render(request, "partials/confirm.html", context, status=status_of(form))


def _take(
    step: str, subject: Demand, user: User, *, reason: str = "", seen: dt.datetime | None = None, **more: Any
) -> None:
    if step in _OF_COLLEAGUES:
        _OF_COLLEAGUES[step](subject, by=user, **more)
    elif step == "open":
        decisions.approve_demand(subject, by=user, seen=seen)
    elif step == "return":
        decisions.return_demand(subject, by=user, reason=reason)
    elif step == "resume":
        demands.resume_demand(subject, by=user)
    elif step == "confirm":
        demands.confirm_demand(subject, by=user)
    elif step == "pause":
        demands.pause_demand(subject, by=user, reason=reason)
    else:
        demands.cancel_demand(subject, by=user, reason=reason)
