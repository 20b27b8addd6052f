"""An organisation's own pages: facts, evidence, verification, systems."""

from pathlib import Path

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.forms import BaseForm
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts import limits, services
from apps.accounts.models import Evidence, Organisation, User
from apps.accounts.permissions import Permission, can
from apps.core import audit
from apps.core.errors import RuleViolation
from apps.fulfilment import destinations
from apps.notifications import services as outbox
from apps.notifications.models import WebhookEndpoint
from apps.notifications.tasks import wake_senders
from apps.portal.entrance.adapter import warn
from apps.portal.forms.organisation import EvidenceForm, InvitationForm, OrganisationForm, WebhookForm
from apps.portal.web import blame, done, network_address, refused, require_password, status_of, user_of

_DELIVERIES_SHOWN = 5


def visible(request: HttpRequest, pk: int) -> Organisation:
    return get_object_or_404(
        Organisation.objects.visible_to(user_of(request)).select_related("region", "verified_by"), pk=pk
    )


def managed(request: HttpRequest, pk: int) -> Organisation:
    """The organisation, if the user may change it; 404 if they may not even see it, 403 if they may only see it."""
    organisation = visible(request, pk)
    if not can(user_of(request), Permission.MANAGE_ORGANISATION, organisation):
        raise PermissionDenied
    return organisation


def is_insider(user: User, organisation: Organisation) -> bool:
    """Members and the coordinators in charge see contacts, people and evidence; who merely watches does not."""
    return can(user, Permission.VIEW, organisation)


def note_look(user: User, organisation: Organisation) -> None:
    """Write down that somebody from outside, a coordinator, is shown the contact."""
    belongs = any(grant.organisation_id == organisation.pk for grant in user.grants)
    if is_insider(user, organisation) and not belongs:
        audit.record(user, "contact.seen", organisation)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def create(request: HttpRequest) -> HttpResponse:
    """The second page of registering."""
    user = user_of(request)
    mine = {"contact_name": user.name, "contact_email": user.email, "contact_phone": user.phone}
    form = OrganisationForm(request.POST or None, initial=mine)
    if request.method == "POST" and form.is_valid():
        try:
            limits.count_organisation(network_address(request))
            organisation = services.register_organisation(by=user, **form.cleaned_data)
        except RuleViolation as violation:
            blame(form, violation)
        else:
            return done(request, "organisation", _("Saved. Now have it verified."), organisation.pk)
    return render(request, "portal/organisation/create.html", {"form": form}, status=status_of(form))


@login_required
@require_GET
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    organisation = visible(request, pk)
    if organisation.merged_into_id:
        survivor = Organisation.objects.visible_to(user_of(request)).filter(pk=organisation.merged_into_id).first()
        if survivor is None:
            return render(request, "portal/organisation/merged.html", {"organisation": organisation})
        text = _("“%(name)s” was merged into this organisation.") % {"name": organisation.name}
        messages.info(request, text)
        return redirect("organisation", survivor.pk)
    note_look(user_of(request), organisation)
    return show(request, organisation)


def show(request: HttpRequest, organisation: Organisation, **forms: BaseForm) -> HttpResponse:
    user = user_of(request)
    insider = is_insider(user, organisation)
    manages = can(user, Permission.MANAGE_ORGANISATION, organisation)
    endpoints: list[WebhookEndpoint] = []
    if insider:
        endpoints = list(WebhookEndpoint.objects.visible_to(user).filter(organisation=organisation).order_by("pk"))
    deliveries = {
        endpoint.pk: list(endpoint.messages.order_by("-pk")[:_DELIVERIES_SHOWN]) for endpoint in endpoints[:10]
    }
    context = {
        "organisation": organisation,
        "insider": insider,
        "manages": manages,
        "coordinates": can(user, Permission.COORDINATE, organisation),
        "evidence": organisation.evidence.order_by("-pk") if insider else [],
        "members": organisation.memberships.select_related("user").order_by("pk") if insider else [],
        "endpoints": [(endpoint, deliveries.get(endpoint.pk, [])) for endpoint in endpoints],
        "evidence_form": EvidenceForm(prefix="evidence"),
        "invitations": organisation.invitations.open(timezone.now()).order_by("pk") if manages else [],
        "belongs": any(grant.organisation_id == organisation.pk for grant in user.grants),
        "member_form": InvitationForm(prefix="member"),
        "webhook_form": WebhookForm(prefix="webhook"),
        **forms,
    }
    return render(request, "portal/organisation/detail.html", context, status=status_of(*forms.values()))


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    organisation = managed(request, pk)
    note_look(user_of(request), organisation)
    form = OrganisationForm(request.POST or None, organisation=organisation)
    if request.method == "POST" and form.is_valid():
        if organisation.changes_contact(form.cleaned_data):
            require_password(request)
        try:
            destinations.amend_organisation(organisation, by=user_of(request), **form.cleaned_data)
        except RuleViolation as violation:
            blame(form, violation)
        else:
            return done(request, "organisation", _("Saved."), organisation.pk)
    return render(
        request, "portal/organisation/edit.html", {"form": form, "organisation": organisation}, status=status_of(form)
    )


@login_required
@require_POST
def submit(request: HttpRequest, pk: int) -> HttpResponse:
    organisation = managed(request, pk)
    try:
        services.submit_for_verification(organisation, by=user_of(request))
    except RuleViolation as violation:
        return refused(request, violation, "organisation", organisation.pk)
    return done(request, "organisation", _("Submitted. A coordinator will look at it."), organisation.pk)


@login_required
@require_POST
def upload(request: HttpRequest, pk: int) -> HttpResponse:
    organisation = managed(request, pk)
    form = EvidenceForm(request.POST, request.FILES, prefix="evidence")
    if form.is_valid():
        try:
            services.add_evidence(
                organisation, form.cleaned_data["document"], by=user_of(request), note=form.cleaned_data["note"]
            )
        except RuleViolation as violation:
            blame(form, violation)
        except ValidationError as error:
            form.add_error("document", error.messages)
        else:
            return done(request, "organisation", _("The document is kept."), organisation.pk)
    return show(request, organisation, evidence_form=form)


@login_required
@require_GET
def evidence(request: HttpRequest, pk: int, evidence_pk: int) -> FileResponse:
    """The document itself, as a download: only for members and the coordinators in charge."""
    organisation = visible(request, pk)
    if not is_insider(user_of(request), organisation):
        raise Http404
    found = get_object_or_404(Evidence, organisation=organisation, pk=evidence_pk)
    document = found.document
    try:
        content = document.open("rb")
    except FileNotFoundError as error:
        raise Http404 from error
    audit.record(user_of(request), "evidence.opened", organisation, evidence=found.pk, note=found.note)
    suffix = Path(document.name or "").suffix
    response = FileResponse(content, as_attachment=True, filename=f"evidence-{evidence_pk}{suffix}")
    response["X-Content-Type-Options"] = "nosniff"
    return response


@login_required
@require_POST
def add_webhook(request: HttpRequest, pk: int) -> HttpResponse:
    organisation = managed(request, pk)
    require_password(request)
    form = WebhookForm(request.POST, prefix="webhook")
    if form.is_valid():
        try:
            with transaction.atomic():
                endpoint = outbox.add_webhook(organisation, by=user_of(request), **form.cleaned_data)
                warn(request, user_of(request), "webhook")
        except RuleViolation as violation:
            blame(form, violation)
        else:
            # The only page that ever shows the secret.
            return render(
                request,
                "portal/organisation/webhook_made.html",
                {"organisation": organisation, "endpoint": endpoint},
            )
    return show(request, organisation, webhook_form=form)


def _endpoint(request: HttpRequest, organisation: Organisation, endpoint_pk: int) -> WebhookEndpoint:
    return get_object_or_404(
        WebhookEndpoint.objects.visible_to(user_of(request)), organisation=organisation, pk=endpoint_pk
    )


@login_required
@require_POST
def test_webhook(request: HttpRequest, pk: int, endpoint_pk: int) -> HttpResponse:
    organisation = managed(request, pk)
    outbox.test_webhook(_endpoint(request, organisation, endpoint_pk), by=user_of(request))
    wake_senders()
    return done(request, "organisation", _("A test message is on its way; it appears below."), organisation.pk)


@login_required
@require_POST
def resume_webhook(request: HttpRequest, pk: int, endpoint_pk: int) -> HttpResponse:
    organisation = managed(request, pk)
    try:
        outbox.resume_webhook(_endpoint(request, organisation, endpoint_pk), by=user_of(request))
    except RuleViolation as violation:
        return refused(request, violation, "organisation", organisation.pk)
    wake_senders()
    return done(request, "organisation", _("Resumed: what it missed is sent now."), organisation.pk)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def delete_webhook(request: HttpRequest, pk: int, endpoint_pk: int) -> HttpResponse:
    organisation = managed(request, pk)
    endpoint = _endpoint(request, organisation, endpoint_pk)
    if request.method == "POST":
        outbox.remove_webhook(endpoint, by=user_of(request))
        return done(request, "organisation", _("Removed."), organisation.pk)
    context = {
        "title": _("Remove this webhook?"),
        "text": _("Nothing more is sent to this address."),
        "facts": [(_("Address"), endpoint.url)],
        "submit": _("Remove"),
        "danger": True,
        "back": reverse("organisation", args=[organisation.pk]),
    }
    return render(request, "partials/confirm.html", context)
