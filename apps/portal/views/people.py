"""Who acts for an organisation: inviting, answering an invitation, roles, leaving."""

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts import invitations, services
from apps.accounts.models import Invitation, Membership, User
from apps.core.errors import RuleViolation
from apps.notifications.tasks import wake_senders
from apps.portal.forms.organisation import InvitationForm, LeaveForm, RoleForm
from apps.portal.views.organisation import managed, show
from apps.portal.web import blame, done, refused, require_password, status_of, user_of


@login_required
@require_POST
def invite(request: HttpRequest, pk: int) -> HttpResponse:
    organisation = managed(request, pk)
    # Whoever sits before an open session could otherwise make themselves a manager, and stay one.
    require_password(request)
    form = InvitationForm(request.POST, prefix="member")
    if form.is_valid():
        try:
            invitations.invite(
                organisation, form.cleaned_data["email"], role=form.cleaned_data["role"], by=user_of(request)
            )
        except RuleViolation as violation:
            blame(form, violation)
        else:
            wake_senders()
            said = _("Invited. The person gets a mail, and joins by accepting.")
            return done(request, "organisation", said, organisation.pk)
    return show(request, organisation, member_form=form)


@login_required
@require_POST
def invitation(request: HttpRequest, pk: int, invitation_pk: int) -> HttpResponse:
    """Send an open invitation again, or withdraw it."""
    organisation = managed(request, pk)
    sent = get_object_or_404(
        Invitation.objects.select_related("organisation", "invited_by"), organisation=organisation, pk=invitation_pk
    )
    try:
        if "withdraw" in request.POST:
            invitations.withdraw_invitation(sent, by=user_of(request))
            said = _("Withdrawn. The link in the mail no longer works.")
        else:
            invitations.resend_invitation(sent, by=user_of(request))
            said = _("Sent again.")
    except RuleViolation as violation:
        return refused(request, violation, "organisation", organisation.pk)
    wake_senders()
    return done(request, "organisation", said, organisation.pk)


@require_http_methods(["GET", "HEAD", "POST"])
def answer(request: HttpRequest, signed: str) -> HttpResponse:
    """The page of an invitation: GET shows who invites to what, POST accepts or declines.

    Mail scanners open every link, so GET changes nothing.
    """
    try:
        asked = invitations.read_path(signed)
        user = request.user if isinstance(request.user, User) else None
        if user and request.method == "POST":
            return _answer(request, asked, user)
        invitations.check_answerable(asked, by=user)
    except RuleViolation as violation:
        return render(request, "portal/people/over.html", {"text": violation.message}, status=violation.status)
    if request.method == "POST":
        return redirect(request.path)
    return render(request, "portal/people/invitation.html", {"invitation": asked})


def _answer(request: HttpRequest, asked: Invitation, user: User) -> HttpResponse:
    if "accept" in request.POST:
        invitations.accept_invitation(asked, by=user)
        wake_senders()
        return done(request, "organisation", _("Accepted. You can leave at any time."), asked.organisation_id)
    if "decline" in request.POST:
        invitations.decline_invitation(asked, by=user)
        wake_senders()
        return done(request, "account", _("Declined."))
    return redirect(request.path)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def member(request: HttpRequest, pk: int, member_pk: int) -> HttpResponse:
    """Another role for a person, or none."""
    organisation = managed(request, pk)
    membership = get_object_or_404(
        Membership.objects.select_related("user", "organisation"), organisation=organisation, pk=member_pk
    )
    form = RoleForm(request.POST if "change" in request.POST else None, initial={"role": membership.role})
    if request.method == "POST":
        require_password(request)
        try:
            if "remove" in request.POST and membership.user_id == user_of(request).pk:
                return redirect("organisation-leave", organisation.pk)
            if "remove" in request.POST:
                services.remove_member(membership, by=user_of(request))
                wake_senders()
                return done(request, "organisation", _("Removed."), organisation.pk)
            if form.is_valid():
                services.change_role(membership, form.cleaned_data["role"], by=user_of(request))
                return done(request, "organisation", _("Saved."), organisation.pk)
        except RuleViolation as violation:
            return refused(request, violation, "organisation-member", organisation.pk, membership.pk)
    return render(
        request,
        "portal/organisation/member.html",
        {"organisation": organisation, "membership": membership, "form": form},
        status=status_of(form),
    )


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def leave(request: HttpRequest, pk: int) -> HttpResponse:
    """Leave, after the page has said what it means. The last manager chooses who takes over, or nobody."""
    membership = (
        Membership.objects.filter(organisation=pk, user=user_of(request)).select_related("user", "organisation").first()
    )
    if membership is None:
        raise Http404
    form = LeaveForm(request.POST if request.method == "POST" else None, membership=membership)
    if form.is_valid():
        try:
            services.leave_organisation(membership, **form.answer)
        except RuleViolation as violation:
            blame(form, violation)
        else:
            wake_senders()
            return done(request, "account", _("You have left the organisation."))
    return render(
        request,
        "portal/people/leave.html",
        {"form": form, "organisation": membership.organisation},
        status=status_of(form),
    )
