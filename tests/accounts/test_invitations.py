"""Invitations and leaving, below the pages: limits, and two who do something at once."""

import datetime as dt

import pytest
from django.utils import timezone

from apps.accounts import invitations, services
from apps.accounts.models import Invitation, InvitationState, Membership, Organisation, OrganisationState, User
from apps.accounts.permissions import Role
from apps.core.errors import RuleViolation
from tests.factories import OrganisationFactory, UserFactory, member
from tests.matching.holds.test_races import at_once, won


def invite(organisation: Organisation, email: str, by: User, **more: dt.datetime) -> Invitation:
    return invitations.invite(organisation, email, role=Role.MEMBER, by=by, **more)


@pytest.mark.django_db
def test_an_organisation_has_few_invitations_open_and_sends_few_a_day(hospital: Organisation, buyer: User) -> None:
    now = timezone.now()
    sent = [invite(hospital, f"p{n}@example.org", buyer, now=now) for n in range(invitations.OPEN_LIMIT)]
    with pytest.raises(RuleViolation) as refused:
        invite(hospital, "one.more@example.org", buyer, now=now)
    assert refused.value.code == "invitations_too_many"

    # Withdrawing makes room, but not for more mails today.
    invitations.withdraw_invitation(sent[0], by=buyer)
    with pytest.raises(RuleViolation) as refused:
        invite(hospital, "one.more@example.org", buyer, now=now)
    assert refused.value.code == "invitations_too_many"
    invite(hospital, "one.more@example.org", buyer, now=now + dt.timedelta(days=2))


@pytest.mark.django_db
def test_an_address_cannot_be_sent_mails_by_inviting_and_withdrawing(hospital: Organisation, buyer: User) -> None:
    for _ in range(invitations.TIMES_SENT):
        invitations.withdraw_invitation(invite(hospital, "nurse@example.org", buyer), by=buyer)
    with pytest.raises(RuleViolation, match="three invitations lately"):
        invite(hospital, "nurse@example.org", buyer)


@pytest.mark.django_db
def test_an_invitation_runs_out_and_can_be_made_anew(hospital: Organisation, buyer: User) -> None:
    now = timezone.now()
    nurse = UserFactory.create(email="nurse@example.org")
    old = invite(hospital, nurse.email, buyer, now=now - invitations.LASTS - dt.timedelta(minutes=1))
    with pytest.raises(RuleViolation) as refused:
        invitations.accept_invitation(old, by=nurse)
    assert refused.value.code == "invitation_over"

    new = invite(hospital, nurse.email, buyer)
    old.refresh_from_db()
    assert (old.state, new.state) == (InvitationState.EXPIRED, InvitationState.OPEN)
    with pytest.raises(RuleViolation, match="invited already"):
        invite(hospital, nurse.email.upper(), buyer)


@pytest.mark.django_db
def test_a_member_is_not_invited_and_keeps_the_role(hospital: Organisation, buyer: User) -> None:
    with pytest.raises(RuleViolation, match="belongs to the organisation already"):
        invite(hospital, buyer.email, buyer)

    # By another address of the same person: accepting must not make the last manager a member.
    nurse = member(hospital, Role.MEMBER)
    aside = invite(hospital, "aside@example.org", buyer)
    Invitation.objects.update(email=nurse.email)
    aside.refresh_from_db()
    with pytest.raises(RuleViolation) as refused:
        invitations.accept_invitation(aside, by=nurse)
    assert refused.value.code == "member_already"


@pytest.mark.django_db
@pytest.mark.parametrize("end", ["removed", "demoted", "left", "locked out"])
def test_nobody_joins_by_an_invitation_of_who_was_taken_out(hospital: Organisation, buyer: User, end: str) -> None:
    rogue = member(hospital, Role.MANAGER)
    accomplice = UserFactory.create()
    invitation = invite(hospital, accomplice.email, rogue)
    if end == "removed":
        services.remove_member(rogue.memberships.get(), by=buyer)
    elif end == "demoted":
        services.change_role(rogue.memberships.get(), Role.VIEWER, by=buyer)
    elif end == "left":
        services.leave_organisation(rogue.memberships.get())
    else:
        User.objects.filter(pk=rogue.pk).update(is_active=False)

    invitation = Invitation.objects.get()
    with pytest.raises(RuleViolation) as refused:
        invitations.accept_invitation(invitation, by=accomplice)
    assert refused.value.code == "invitation_over"


@pytest.mark.django_db
def test_an_invitation_of_the_desk_ends_with_the_seat_there(hospital: Organisation, coordinator: User) -> None:
    accomplice = UserFactory.create()
    invite(hospital, accomplice.email, coordinator)
    desk = coordinator.memberships.get()
    boss = member(desk.organisation, Role.MANAGER)
    services.remove_member(desk, by=boss)

    invitation = Invitation.objects.get()
    with pytest.raises(RuleViolation) as refused:
        invitations.accept_invitation(invitation, by=accomplice)
    assert refused.value.code == "invitation_over"

    # Somebody who may invite stands for it by sending it again.
    invitations.resend_invitation(invitation, by=member(hospital, Role.MANAGER))
    assert invitations.accept_invitation(Invitation.objects.get(), by=accomplice).organisation == hospital


@pytest.mark.django_db
def test_a_changed_or_taken_identity_does_not_wake_as_verified() -> None:
    body = OrganisationFactory.create(identifier="91330100799655058B")
    boss, clerk = member(body), member(body, Role.MEMBER)
    services.leave_organisation(boss.memberships.get(), goes_dormant=True)
    OrganisationFactory.create(identifier="91330100799655058B")

    services.change_role(clerk.memberships.get(), Role.MANAGER, by=clerk)
    body.refresh_from_db()
    assert (body.state, body.is_dormant) == (OrganisationState.UNVERIFIED, False)

    other = OrganisationFactory.create()
    boss, clerk = member(other), member(other, Role.MEMBER)
    services.leave_organisation(boss.memberships.get(), goes_dormant=True)
    services.amend_organisation(other, by=clerk, name="Ministry of Health")
    services.change_role(clerk.memberships.get(), Role.MANAGER, by=clerk)
    other.refresh_from_db()
    assert (other.state, other.is_dormant) == (OrganisationState.UNVERIFIED, False)


@pytest.mark.django_db
def test_who_leaves_no_longer_acts_for_the_default_organisation(hospital: Organisation, buyer: User) -> None:
    member(hospital)
    services.amend_user(buyer, default_organisation=hospital)
    services.leave_organisation(buyer.memberships.get())
    buyer.refresh_from_db()
    assert buyer.default_organisation is None


@pytest.mark.django_db(transaction=True)
def test_of_two_acceptances_at_once_one_makes_one_membership(hospital: Organisation, buyer: User) -> None:
    nurse = UserFactory.create()
    invitation = invite(hospital, nurse.email, buyer)

    results = at_once(
        *[lambda: invitations.accept_invitation(Invitation.objects.get(pk=invitation.pk), by=nurse) for _i in range(4)]
    )

    assert len(won(results)) == 1
    assert Membership.objects.filter(user=nurse).count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_an_acceptance_and_a_withdrawal_at_once_one_wins(hospital: Organisation, buyer: User) -> None:
    nurse = UserFactory.create()
    stale = [invite(hospital, nurse.email, buyer)] * 2

    results = at_once(
        lambda: invitations.accept_invitation(Invitation.objects.get(pk=stale[0].pk), by=nurse),
        lambda: invitations.withdraw_invitation(Invitation.objects.get(pk=stale[1].pk), by=buyer),
    )

    assert len(won(results)) == 1
    state = Invitation.objects.get().state
    assert Membership.objects.filter(user=nurse).exists() == (state == InvitationState.ACCEPTED)


@pytest.mark.django_db(transaction=True)
def test_two_last_managers_who_leave_at_once_do_not_both_go_unasked(hospital: Organisation, buyer: User) -> None:
    other = member(hospital)

    results = at_once(
        lambda: services.leave_organisation(buyer.memberships.get()),
        lambda: services.leave_organisation(other.memberships.get()),
    )

    assert len(won(results)) == 1
    assert Membership.objects.filter(organisation=hospital).count() == 1
