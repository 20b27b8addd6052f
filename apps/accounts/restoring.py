"""What is undone in the organisations of an account that somebody else had: roles, and who was taken out."""

import datetime as dt
from contextlib import suppress

from apps.accounts.invitations import invite
from apps.accounts.membership import change_role
from apps.accounts.models import Membership, Organisation, User
from apps.accounts.permissions import Permission
from apps.core.errors import RuleViolation
from apps.core.models import AuditEntry


def restore_people(owner: User, *, since: dt.datetime) -> None:
    """Give back the roles that the account of `owner` changed since then, and invite anew whom it took out.

    Only where the owner manages still: who was dismissed meanwhile brings nobody back. The audit trail says how it was.
    """
    managed = {str(one.pk): one for one in owner.organisations_with(Permission.MANAGE_ORGANISATION)}
    about = AuditEntry.objects.filter(
        target_type=Organisation._meta.label_lower, target_id__in=managed, at__gte=since
    ).order_by("pk")
    # Who joined since then was nobody before.
    joined = {(one.target_id, one.data["user_id"]) for one in about.filter(event="member.added")}
    before: dict[tuple[str, int], str] = {}
    for entry in about.filter(actor=owner, event__in=["member.changed", "member.removed"]):
        # The first entry about a person says how it was before all others.
        before.setdefault((entry.target_id, entry.data["user_id"]), entry.data["from"]["role"])
    for (organisation, person), role in before.items():
        if (organisation, person) not in joined and person != owner.pk:
            # Where a limit of invitations is reached, the managers do it by hand: they are told.
            with suppress(RuleViolation):
                _give_back(managed[organisation], person, role, by=owner)


def _give_back(organisation: Organisation, person: int, role: str, *, by: User) -> None:
    if membership := Membership.objects.filter(organisation=organisation, user=person).first():
        change_role(membership, role, by=by)
    elif user := User.objects.filter(pk=person, is_active=True).first():
        # Not added at once: who was taken out may not want to come back.
        invite(organisation, user.email, role=role, by=by)
