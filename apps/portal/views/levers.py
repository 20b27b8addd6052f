"""Levers: what one act would do for many needs of one's region, for coordinators and for those who watch it."""

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_http_methods

from apps.accounts.models import User
from apps.accounts.permissions import Permission
from apps.core.errors import RuleViolation
from apps.matching import services as matching
from apps.notifications.tasks import wake_senders
from apps.portal import levers, paging
from apps.portal.forms.desk import LeverForm
from apps.portal.web import done, refused, status_of, user_of


@login_required
@require_GET
def listed(request: HttpRequest) -> HttpResponse:
    """All levers that would help needs of one's region, and what was done there."""
    user = user_of(request)
    codes = levers.regions_of(user)
    if not codes:
        raise Http404
    page = paging.in_order(request, levers.ranked(codes), shown=levers.shown())
    context = {
        "page": page,
        "rows": levers.in_words(page.rows),
        "pulls": levers.done_lately(codes),
        "counted": matching.last_count_of_levers(),
        "may_pull": bool(_coordinated(user)),
    }
    return render(request, "portal/levers/list.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def pull(request: HttpRequest, pk: int) -> HttpResponse:
    """What would be asked of whom, then do it."""
    user = user_of(request)
    effect = levers.shown().filter(lever=pk, region__in=_coordinated(user)).order_by("-needs", "pk").first()
    if effect is None:
        raise Http404
    form = LeverForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            pulled = matching.pull_lever(effect.lever, by=user, region=effect.region, note=form.cleaned_data["note"])
        except RuleViolation as violation:
            return refused(request, violation, "levers")
        wake_senders()
        return done(request, "levers", levers.asked_in_words(pulled.asked))
    context = {
        "title": _("Ask for this change?"),
        "text": levers.explained(effect.lever),
        "submit": _("Ask them"),
        "form": form,
        "back": reverse("levers"),
        "facts": levers.facts_of(effect),
    }
    return render(request, "partials/confirm.html", context, status=status_of(form))


def _coordinated(user: User) -> list[str]:
    """Codes of the regions for which the user pulls levers."""
    return [organisation.region_id for organisation in user.organisations_with(Permission.COORDINATE)]
