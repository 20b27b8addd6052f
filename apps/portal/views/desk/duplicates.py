"""Two organisations that are likely one: side by side, merged, kept apart, or parted again."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.models import Organisation, User
from apps.core.errors import RuleViolation
from apps.duplicates import merging, services
from apps.duplicates.models import DuplicateProposal, OrganisationMerge
from apps.portal.forms.desk import DismissForm, MergeForm, ProposePairForm
from apps.portal.likeness import says
from apps.portal.views.desk.charge import coordinator, in_charge_of
from apps.portal.web import blame, done, refused, status_of, user_of


def _proposal(user: User, pk: int) -> DuplicateProposal:
    return get_object_or_404(
        DuplicateProposal.objects.shown().filter(
            in_charge_of(user, "first__region"), in_charge_of(user, "second__region")
        ),
        pk=pk,
    )


def propose_form(user: User, typed: Any = None, one: Organisation | None = None) -> ProposePairForm:
    """The form by which a coordinator says that two organisations are one; `one` is filled in."""
    return ProposePairForm(
        typed,
        prefix="propose",
        among=Organisation.objects.filter(in_charge_of(user, "region"), merged_into=None).select_related("region"),
        initial={"one": str(one.pk)} if one else None,
    )


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def propose(request: HttpRequest) -> HttpResponse:
    """Put two organisations before another coordinator as one."""
    user = coordinator(request)
    form = propose_form(user, request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            proposal = services.propose_pair(**form.cleaned_data, by=user)
        except RuleViolation as violation:
            blame(form, violation)
        else:
            return done(request, "desk-duplicate", _("Proposed. Another coordinator decides."), proposal.pk)
    context = {"propose_form": form}
    return render(request, "portal/desk/duplicates/new.html", context, status=status_of(form))


@login_required
@require_GET
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    return _page(request, _proposal(coordinator(request), pk))


def _page(request: HttpRequest, proposal: DuplicateProposal, **forms: Any) -> HttpResponse:
    pair = [proposal.first, proposal.second]
    counted = Organisation.objects.filter(pk__in=[one.pk for one in pair]).annotate(
        people=Count("memberships", distinct=True),
        needs=Count("demands", distinct=True),
        offered=Count("offers", distinct=True),
    )
    counts = {one.pk: one for one in counted}
    context = {
        "proposal": proposal,
        "says": says(proposal),
        "pair": [(one, counts[one.pk]) for one in pair],
        "is_mine": proposal.proposed_by_id == user_of(request).pk,
        "is_own": any(grant.organisation_id in counts for grant in user_of(request).grants),
        "merge_form": MergeForm(pair=pair, prefix="merge"),
        "dismiss_form": DismissForm(prefix="dismiss"),
        **forms,
    }
    return render(request, "portal/desk/duplicates/pair.html", context, status=status_of(*forms.values()))


@login_required
@require_POST
def merge(request: HttpRequest, pk: int) -> HttpResponse:
    user = coordinator(request)
    proposal = _proposal(user, pk)
    form = MergeForm(request.POST, pair=[proposal.first, proposal.second], prefix="merge")
    if not form.is_valid():
        return _page(request, proposal, merge_form=form)
    survivor, merged = form.cleaned_data["survivor"], form.cleaned_data["merged"]
    try:
        merging.merge_organisations(
            merged,
            survivor,
            by=user,
            with_people=form.cleaned_data["with_people"],
            note=form.cleaned_data["note"],
            seen=form.cleaned_data["seen"],
        )
    except RuleViolation as violation:
        return refused(request, violation, "desk-duplicate", pk)
    return done(request, "desk-organisation", _("Merged. Both sides are told, and you can undo it here."), survivor.pk)


@login_required
@require_POST
def dismiss(request: HttpRequest, pk: int) -> HttpResponse:
    user = coordinator(request)
    proposal = _proposal(user, pk)
    form = DismissForm(request.POST, prefix="dismiss")
    if not form.is_valid():
        return _page(request, proposal, dismiss_form=form)
    try:
        services.dismiss_proposal(proposal, by=user, note=form.cleaned_data["note"])
    except RuleViolation as violation:
        return refused(request, violation, "desk-duplicate", pk)
    return done(request, "desk", _("Noted: these are two. They are not proposed again."))


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def undo(request: HttpRequest, pk: int) -> HttpResponse:
    """Part two organisations that were merged."""
    user = coordinator(request)
    rows = OrganisationMerge.objects.select_related("merged", "survivor", "merged_by").filter(
        in_charge_of(user, "merged__region"), in_charge_of(user, "survivor__region")
    )
    found = get_object_or_404(rows, pk=pk)
    if request.method == "POST":
        try:
            merging.undo_merge(found, by=user)
        except RuleViolation as violation:
            return refused(request, violation, "desk-organisation", found.survivor_id)
        return done(request, "desk-organisation", _("Undone. Both sides are told."), found.merged_id)
    context = {
        "title": _("Undo this merge?"),
        "text": _("What was moved goes back as it is now. What was posted since stays with the survivor."),
        "submit": _("Undo the merge"),
        "danger": True,
        "back": reverse("desk-organisation", args=[found.survivor_id]),
        "facts": [
            (_("Merged"), found.merged.name),
            (_("Into"), found.survivor.name),
            (_("Needs"), len(found.moved.get("demands", ()))),
            (_("Offers"), len(found.moved.get("offers", ()))),
            (_("People"), len(found.moved.get("members", ()))),
            (_("By"), str(found.merged_by)),
            (_("Note"), found.note),
        ],
    }
    return render(request, "partials/confirm.html", context)
