"""The same done to many needs of a queue: what hurts is asked about once more, and what was refused is said."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from apps.accounts import services as accounts
from apps.accounts.models import Organisation
from apps.core.errors import RuleViolation
from apps.demands.models import Demand
from apps.desk import services
from apps.desk.services import MOST_AT_ONCE, BulkAct
from apps.matching.tasks import sweep, watch_verifications
from apps.notifications.tasks import wake
from apps.portal.forms.queues import BulkForm, VerifyManyForm
from apps.portal.forms.seen import SeenField
from apps.portal.views.desk.charge import coordinator, in_charge_of

# Refusals that are told one by one.
_TOLD = 5


@login_required
@require_POST
def act(request: HttpRequest) -> HttpResponse:
    user = coordinator(request)
    form = BulkForm(request.POST)
    keys = {int(key) for key in request.POST.getlist("need") if key.isascii() and key.isdigit() and len(key) < 19}
    found = Demand.objects.filter(in_charge_of(user, "region"), pk__in=keys).shown().order_by("pk")
    demands = list(found[:MOST_AT_ONCE])
    back = _back(request)
    if not demands:
        messages.error(request, _("Tick at least one need."))
        return back
    if not form.is_valid():
        messages.error(request, _("Choose what to do, and keep the note under 500 characters."))
        return back
    chosen, note = form.cleaned_data["act"], form.cleaned_data["note"]
    if chosen == BulkAct.PAUSE and "sure" not in request.POST:
        context = {"demands": demands, "note": note, "back": back.url, "query": request.POST.get("query", "")}
        return render(request, "portal/desk/pause_many.html", context)
    outcome = services.act_on_many(demands, chosen, by=user, note=note)
    wake(sweep)
    if outcome.done:
        said = ngettext("Done for %(count)d need.", "Done for %(count)d needs.", outcome.done)
        messages.success(request, said % {"count": outcome.done})
    for demand, violation in outcome.refused[:_TOLD]:
        messages.error(request, f"{demand.reference} {demand.item.label}: {violation.message}")
    if left := len(outcome.refused) - _TOLD if len(outcome.refused) > _TOLD else 0:
        said = ngettext("And %(count)d more could not be done.", "And %(count)d more could not be done.", left)
        messages.error(request, said % {"count": left})
    return back


@login_required
@require_POST
def verify(request: HttpRequest) -> HttpResponse:
    """Verify the organisations that are ticked, each as it was shown. Those that cannot be are said."""
    user = coordinator(request)
    name = "verify" if request.POST.get("queue") == "verify" else "imported"
    form = VerifyManyForm(request.POST)
    keys = {int(key) for key in request.POST.getlist("body") if key.isascii() and key.isdigit() and len(key) < 19}
    found = Organisation.objects.filter(in_charge_of(user, "region"), pk__in=keys).select_related("region")
    bodies = list(found.order_by("pk")[:MOST_AT_ONCE])
    if not bodies or not form.is_valid():
        messages.error(request, _("Tick at least one organisation."))
        return redirect("desk-waiting", name)
    done = 0
    for body in bodies:
        try:
            accounts.verify_organisation(
                body,
                by=user,
                call_back=form.cleaned_data["call_back"] if body.needs_proof else "",
                seen=SeenField().clean(request.POST.get(f"seen-{body.pk}")),
            )
            done += 1
        except RuleViolation as violation:
            messages.error(request, f"{body.name}: {violation.message}")
    if done:
        said = ngettext("%(count)d organisation verified.", "%(count)d organisations verified.", done)
        messages.success(request, said % {"count": done})
        messages.info(request, _("Their needs go out now."))
        wake(watch_verifications)
    return redirect("desk-waiting", name)


def _back(request: HttpRequest) -> HttpResponseRedirect:
    """The queue as it was narrowed down, at its first page."""
    name = "clock" if request.POST.get("queue") == "clock" else "escalated"
    query = QueryDict(request.POST.get("query", ""), mutable=True)
    query.pop("after", None)
    address = reverse("desk-waiting", args=[name])
    return HttpResponseRedirect(f"{address}?{query.urlencode()}" if query else address)
