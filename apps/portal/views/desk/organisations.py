"""An organisation at the desk: what its registration number tells, whom to call, verifying, registering a caller."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts import services as accounts
from apps.accounts.models import IdentifierKind, Organisation, User
from apps.catalogue import identifiers
from apps.catalogue.models import Region
from apps.core import audit
from apps.core.errors import RuleViolation
from apps.demands.models import Demand
from apps.duplicates.models import DuplicateProposal, OrganisationMerge
from apps.portal.forms.desk import RejectForm, VerifyForm
from apps.portal.forms.organisation import OrganisationForm
from apps.portal.forms.seen import seeing
from apps.portal.views.desk.charge import coordinator, in_charge_of, regions_of
from apps.portal.views.desk.duplicates import propose_form
from apps.portal.web import blame, done, refused, status_of, user_of
from apps.supply.models import Offer


def _organisation(user: User, pk: int) -> Organisation:
    rows = Organisation.objects.filter(in_charge_of(user, "region")).select_related(
        "region", "verified_by", "merged_into"
    )
    return get_object_or_404(rows, pk=pk)


def _identifier_says(organisation: Organisation) -> list[tuple[str, str | Promise]]:
    """What the registration number tells by its form, as (tone, words): questions for a person, not verdicts."""
    number = organisation.identifier
    if not number:
        return [("warn", _("No registration number was given: look at the documents."))]
    if organisation.identifier_kind == IdentifierKind.GLN:
        fits = identifiers.is_gln(number)
        return [("good", _("The check digit fits.")) if fits else ("bad", _("The check digit does not fit."))]
    if organisation.identifier_kind != IdentifierKind.USCC:
        return [("quiet", _("This register gives no check digit: look it up."))]
    if not identifiers.is_uscc(number):
        return [("bad", _("The check character does not fit: mistyped or invented."))]

    says: list[tuple[str, str | Promise]] = [("good", _("The check character fits."))]
    # The first characters of the code name the authority: a hospital under “companies” is worth a call.
    if not identifiers.is_plausible_for(number, organisation.kind):
        says.append(("warn", _("Such an organisation is usually registered in another sector: ask.")))
    place = Region.objects.filter(pk=identifiers.uscc_region(number)).first()
    if place is None:
        says.append(("quiet", _("The place of registration in the number is not known.")))
    # By province: a branch in the next city is common.
    elif place.path.split("/")[1] != organisation.region.path.split("/")[1]:
        says.append(("warn", _("Registered in another province: %(place)s.") % {"place": place.label}))
    twins = Organisation.objects.filter(identifier=number).exclude(pk=organisation.pk)[:3]
    says += [("bad", _("“%(name)s” gives the same number.") % {"name": twin.name}) for twin in twins]
    return says


@login_required
@require_GET
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    return _organisation_page(request, _organisation(coordinator(request), pk))


def _organisation_page(request: HttpRequest, subject: Organisation, **more: Any) -> HttpResponse:
    merges = OrganisationMerge.objects.filter(Q(merged=subject) | Q(survivor=subject))
    context = {
        "organisation": subject,
        "duplicates": DuplicateProposal.objects.about(subject).shown().order_by("-score")[:10],
        "propose_form": propose_form(user_of(request), one=subject),
        "merges": merges.select_related("merged", "survivor", "merged_by", "undone_by").order_by("-pk")[:10],
        "says": _identifier_says(subject),
        "evidence": subject.evidence.select_related("uploaded_by").order_by("-pk"),
        "members": subject.memberships.select_related("user").order_by("pk")[:20],
        "needs": Demand.objects.filter(organisation=subject).shown().order_by("-pk")[:10],
        "offers": Offer.objects.filter(organisation=subject).shown().order_by("-pk")[:10],
        "verify_form": VerifyForm(prefix="verify", initial={"seen": seeing(subject.updated_at)}),
        "reject_form": RejectForm(prefix="reject", initial={"seen": seeing(subject.updated_at)}),
        "has_acted": accounts.has_acted_for(user_of(request), subject),
        "contact": None,
        **more,
    }
    return render(
        request,
        "portal/desk/organisation.html",
        context,
        status=status_of(context["verify_form"], context["reject_form"]),
    )


@login_required
@require_POST
def contact(request: HttpRequest, pk: int) -> HttpResponse:
    """Whom to call. Shown on demand, because it is written down who saw it."""
    user = coordinator(request)
    subject = _organisation(user, pk)
    audit.record(user, "contact.seen", subject)
    return _organisation_page(request, subject, contact=subject.contact)


@login_required
@require_POST
def verify(request: HttpRequest, pk: int) -> HttpResponse:
    user = coordinator(request)
    subject = _organisation(user, pk)
    form = VerifyForm(request.POST, prefix="verify")
    if not form.is_valid():
        return _organisation_page(request, subject, verify_form=form)
    try:
        accounts.verify_organisation(subject, by=user, **form.cleaned_data)
    except RuleViolation as violation:
        if violation.errors:
            blame(form, violation)
            return _organisation_page(request, subject, verify_form=form)
        return refused(request, violation, "desk-organisation", subject.pk)
    return done(request, "desk-organisation", _("Verified. The organisation is told."), subject.pk)


@login_required
@require_POST
def reject(request: HttpRequest, pk: int) -> HttpResponse:
    user = coordinator(request)
    subject = _organisation(user, pk)
    form = RejectForm(request.POST, prefix="reject")
    if not form.is_valid():
        return _organisation_page(request, subject, reject_form=form)
    try:
        accounts.reject_organisation(subject, by=user, **form.cleaned_data)
    except RuleViolation as violation:
        return refused(request, violation, "desk-organisation", subject.pk)
    return done(request, "desk-organisation", _("Rejected. The organisation is told why."), subject.pk)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def register_caller(request: HttpRequest) -> HttpResponse:
    """Somebody calls who has no account: their organisation, then their need."""
    user = coordinator(request)
    form = OrganisationForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        region = form.cleaned_data["region"]
        # A coordinator could otherwise register an organisation and then not see it.
        if not any(region.is_within(mine) for mine in regions_of(user)):
            form.add_error("region", _("This place is not in your charge."))
        else:
            try:
                made = accounts.register_organisation(by=user, joins=False, **form.cleaned_data)
            except RuleViolation as violation:
                blame(form, violation)
            else:
                return done(request, "desk-organisation", _("Registered. Verify it, then post its need."), made.pk)
    return render(request, "portal/desk/caller.html", {"form": form}, status=status_of(form))
