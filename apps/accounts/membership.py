"""Who belongs to an organisation: roles, leaving, and the rest that follows when nobody manages it any more."""

import datetime as dt
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from apps.accounts.models import Invitation, InvitationState, Membership, Organisation, OrganisationState, User
from apps.accounts.notices import tell
from apps.accounts.permissions import Role, check_manages
from apps.accounts.verification import NO_VERIFICATION, clear_verification
from apps.core import audit
from apps.core.errors import RuleViolation
from apps.core.states import move


def keep_default_organisation(user: User) -> None:
    """Before a person joins a second organisation: the first stays the one that they act for without saying it.

    Programs that name no organisation would otherwise stop, or post for another one.
    """
    own = list(Membership.objects.filter(user=user).values_list("organisation_id", flat=True)[:2])
    if len(own) == 1 and not user.default_organisation_id:
        user.default_organisation_id = own[0]
        user.save(update_fields=["default_organisation"])


@transaction.atomic
def add_member(
    organisation: Organisation, user: User, *, role: str, by: User, invitation: Invitation | None = None
) -> Membership:
    """Give `user` a role in the organisation, or another role than before; its last manager stays one.

    This asks nobody. Edges call `invitations.invite`, and `change_role` for those who belong to it already.
    """
    if role != Role.MANAGER:
        _keep_a_manager(organisation, user.pk)
    audit.acting(by)
    # A second call changes the role, so a person never has two roles in one organisation.
    membership, _made = Membership.objects.update_or_create(
        user=user,
        organisation=organisation,
        defaults={"role": role},
        create_defaults={"role": role, "invitation": invitation},
    )
    _forget_grants(user)
    if role == Role.MANAGER:
        _wake_organisation(organisation, by=by)
    return membership


@transaction.atomic
def change_role(membership: Membership, role: str, *, by: User) -> None:
    """Give a member another role; the last manager stays one. The invitations of who manages no longer end."""
    check_manages(by, membership.organisation)
    if role != Role.MANAGER:
        _keep_a_manager(membership.organisation, membership.user_id)
    audit.acting(by)
    if not Membership.objects.filter(pk=membership.pk).update(role=role):
        raise RuleViolation("state_changed", _("Somebody else has just changed this. Check it and try again."))
    membership.role = role
    _forget_grants(membership.user)
    if role == Role.MANAGER:
        _wake_organisation(membership.organisation, by=by)
    else:
        _end_invitations_by(membership)


@transaction.atomic
def remove_member(membership: Membership, *, by: User) -> None:
    """Take a person out of an organisation, and tell the person; its last manager stays."""
    check_manages(by, membership.organisation)
    _keep_a_manager(membership.organisation, membership.user_id)
    _take_out(membership, by=by)


@transaction.atomic
def take_out_invited(by: User, *, since: dt.datetime, owner: User, organisation: Organisation | None = None) -> None:
    """Take out whom `by` has let in by an invitation since then, and in turn whom those have let in there.

    The `owner` of the account that somebody else had stays. The organisation may go dormant by it.
    """
    joined = Membership.objects.filter(invitation__invited_by=by, invitation__sent_at__gte=since).exclude(user=owner)
    if organisation:
        joined = joined.filter(organisation=organisation)
    for membership in joined.select_related("user", "organisation__region").order_by("pk"):
        last = _is_last_manager(membership.organisation, membership.user_id)
        # Before those whom it let in are looked at: two that invited each other end here.
        _take_out(membership, by=owner)
        if last:
            _rest_organisation(membership.organisation, by=owner)
        take_out_invited(membership.user, since=since, owner=owner, organisation=membership.organisation)


def _take_out(membership: Membership, *, by: User) -> None:
    tell("member.removed", membership.user, _about(membership), key=f"member.removed:{membership.pk}")
    audit.acting(by)
    _end(membership)


@transaction.atomic
def leave_organisation(
    membership: Membership, *, successor: Membership | None = None, goes_dormant: bool = False
) -> None:
    """The person leaves, as everybody may at any time. Its people are told.

    The last manager names a `successor` among the colleagues, who becomes manager, or says that the organisation goes
    dormant. Raises `last_manager` without either, and `not_a_member` for a successor from elsewhere.
    """
    # Locked, so that somebody who becomes manager at this moment is seen here, or sees here what this did.
    organisation = Organisation.objects.select_for_update(no_key=True).get(pk=membership.organisation_id)
    person = membership.user
    if successor and (successor.organisation_id != organisation.pk or successor.pk == membership.pk):
        raise RuleViolation("not_a_member", _("This person does not belong to the organisation."), field="successor")

    last = _is_last_manager(organisation, person.pk)
    if last and successor:
        change_role(successor, Role.MANAGER, by=person)
    elif last and not goes_dormant:
        raise RuleViolation(
            "last_manager",
            _("You are the last manager. Choose a colleague who takes over, or let the organisation go dormant."),
            field="successor",
        )
    audit.acting(person)
    _end(membership)
    if last and not successor:
        _rest_organisation(organisation, by=person)
    facts = {
        **_about(membership),
        "is_dormant": organisation.is_dormant,
        "successor": str(successor.user) if last and successor else "",
    }
    tell("member.left", organisation, facts, key=f"member.left:{membership.pk}")


def _is_last_manager(organisation: Organisation, user_id: int) -> bool:
    """Whether this person is the only manager of the organisation.

    The managers are locked: two who remove each other at once would otherwise leave none.
    """
    managers = Membership.objects.select_for_update(no_key=True).filter(organisation=organisation, role=Role.MANAGER)
    return [manager.user_id for manager in managers.order_by("pk")] == [user_id]


def _keep_a_manager(organisation: Organisation, user_id: int) -> None:
    """Raise `last_manager` if this person is the only manager of the organisation."""
    if _is_last_manager(organisation, user_id):
        raise RuleViolation("last_manager", _("This is the last manager. Make somebody else a manager first."))


def _about(membership: Membership) -> dict[str, Any]:
    return {
        "organisation_id": membership.organisation_id,
        "organisation": membership.organisation.name,
        "person": str(membership.user),
    }


def _end(membership: Membership) -> None:
    _end_invitations_by(membership)
    User.objects.filter(pk=membership.user_id, default_organisation=membership.organisation_id).update(
        default_organisation=None
    )
    _forget_grants(membership.user)
    # By its key: Django forgets the key of an object that it deletes, and notices still name it.
    Membership.objects.filter(pk=membership.pk).delete()


def _forget_grants(user: User) -> None:
    user.__dict__.pop("grants", None)  # cached on the object, and out of date now


def _end_invitations_by(membership: Membership) -> None:
    """Who is taken out, leaves, or manages no longer, has nobody join by an invitation that is still open."""
    sent = Invitation.objects.filter(
        organisation=membership.organisation_id, invited_by=membership.user_id, state=InvitationState.OPEN
    )
    sent.update(state=InvitationState.WITHDRAWN)


def _rest_organisation(organisation: Organisation, *, by: User) -> None:
    """Nobody manages it any more: it goes dormant, and its needs and offers rest. Its verification is kept."""
    reason = gettext_noop("Nobody manages this organisation any more.")
    if organisation.is_verified:
        move(organisation, OrganisationState.UNVERIFIED, state_reason=reason)
        audit.record(by, "organisation.dormant", organisation)
        _tell_desk(organisation)
    elif organisation.state == OrganisationState.PENDING:
        clear_verification(organisation, by=by, reason=reason)


def _tell_desk(organisation: Organisation) -> None:
    """The nearest desk hears of it, so that it finds somebody who answers for the needs and offers."""
    desk = Organisation.objects.coordinating(organisation.region).first()
    if desk:
        facts = {
            "organisation_id": organisation.pk,
            "organisation": organisation.name,
            "region": organisation.region.full_names,
        }
        # The time is part of the key, because an organisation may go dormant several times.
        key = f"organisation.dormant:{organisation.pk}:{timezone.now():%Y%m%d%H%M%S}"
        tell("organisation.dormant", desk, facts, key=key)


def _wake_organisation(organisation: Organisation, *, by: User) -> None:
    """A manager is there again: a dormant organisation is verified as before, if its verification has not run out."""
    organisation = Organisation.objects.select_for_update(no_key=True).get(pk=organisation.pk)
    if not organisation.is_dormant:
        return
    try:
        with transaction.atomic():
            if organisation.verified_until and organisation.verified_until >= timezone.now().date():
                move(organisation, OrganisationState.VERIFIED, state_reason="")
                audit.record(by, "organisation.woken", organisation)
                return
    except IntegrityError:
        # Another organisation was verified with its number meanwhile. A coordinator has to look at it.
        pass
    Organisation.objects.filter(pk=organisation.pk).update(**NO_VERIFICATION)
