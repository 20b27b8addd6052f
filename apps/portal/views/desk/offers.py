"""An offer at the desk: what is doubtful about it, and what a coordinator decides."""

import datetime as dt
from typing import Final

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
from apps.portal.forms.desk import RequiredReasonForm
from apps.portal.forms.seen import SeenForm, seeing
from apps.portal.forms.supply import destinations
from apps.portal.views.desk.charge import coordinator, in_charge_of
from apps.portal.web import done, refused, status_of
from apps.portal.wording import quantity
from apps.supply import services
from apps.supply.models import Offer
from apps.supply.review import doubts_now


def _offer(user: User, pk: int) -> Offer:
    return get_object_or_404(Offer.objects.filter(in_charge_of(user, "origin_region")).shown(), pk=pk)


@login_required
@require_GET
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """An offer with what is doubtful about it, and what can be done."""
    subject = _offer(coordinator(request), pk)
    context = {
        "offer": subject,
        "doubts": doubts_now(subject, timezone.now()),
        "returned": last_return(subject),
        "ships_to": destinations(subject.ships_to),
        "today": timezone.localdate(),
        "escalations": subject.escalations.select_related("organisation").order_by("pk"),
    }
    return render(request, "portal/desk/offer.html", context)


_STEPS: Final[dict[str, tuple[str | Promise, str | Promise, str | Promise]]] = {
    "publish": (_("Publish this offer?"), _("From now on needs are matched with it."), _("Approve: publish it")),
    "return": (
        _("Return this offer to the supplier?"),
        _("It is not published. The supplier is told why, and can correct it and publish it again."),
        _("Return the offer"),
    ),
}


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def step_in(request: HttpRequest, pk: int, step: str) -> HttpResponse:
    """Approve a doubtful offer as it was seen, or return it with a reason."""
    user = coordinator(request)
    subject = _offer(user, pk)
    if step not in _STEPS or not subject.awaits_review:
        raise Http404
    title, text, submit = _STEPS[step]
    typed, shown = request.POST if request.method == "POST" else None, {"seen": seeing(subject.updated_at)}
    form = (SeenForm if step == "publish" else RequiredReasonForm)(typed, initial=shown)
    if request.method == "POST" and form.is_valid():
        try:
            _take(step, subject, user, **form.cleaned_data)
        except RuleViolation as violation:
            return refused(request, violation, "desk-offer", subject.pk)
        return done(request, "desk-offer", _("Done."), subject.pk)
    context = {
        "title": title,
        "text": text,
        "submit": submit,
        "form": form,
        "back": reverse("desk-offer", args=[subject.pk]),
        "facts": [
            (_("Supplier"), subject.organisation.name),
            (_("Item"), subject.item.label),
            (_("Offered"), quantity(subject.quantity, subject.item)),
        ],
    }
    return render(request, "partials/confirm.html", context, status=status_of(form))


def _take(step: str, subject: Offer, user: User, *, reason: str = "", seen: dt.datetime | None = None) -> None:
    if step == "publish":
        services.approve_offer(subject, by=user, seen=seen)
    else:
        services.return_offer(subject, by=user, reason=reason)
