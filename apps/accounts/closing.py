"""Closing an account for good: what names the person goes, and what others rely on stays without a name."""

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import Model, Q
from django.db.models.functions import Lower

from apps.accounts.access import end_access
from apps.accounts.membership import leave_organisation
from apps.accounts.models import Invitation, InvitationState, Organisation, User
from apps.core import audit
from apps.core.models import AuditEntry


@transaction.atomic
def close_account(user: User, *, by: User | None) -> None:
    """Take the person out of everything, and every fact about them off the account. Nobody logs in to it any more.

    The row stays, without a name: needs, answers and the audit trail refer to it. An organisation that the person alone
    managed goes dormant.
    """
    audit.acting(by)
    invited = Invitation.objects.filter(email__in=addresses_of(user))
    _forget_in_office(user, *user.memberships.all(), *invited)
    for membership in user.memberships.select_related("user", "organisation").order_by("pk"):
        leave_organisation(membership, goes_dormant=True)
    Invitation.objects.filter(invited_by=user, state=InvitationState.OPEN).update(state=InvitationState.WITHDRAWN)
    invited.delete()

    audit.acting(by)
    end_access(user, by=by)
    for session in UserSession.objects.filter(user=user):
        session.end()
    Authenticator.objects.filter(user=user).delete()
    EmailAddress.objects.filter(user=user).delete()
    user.groups.clear()
    user.user_permissions.clear()

    user.email = f"closed-{user.pk}@account.invalid"  # RFC 2606: no mail ever goes there
    user.name = user.phone = ""
    user.is_active = user.is_staff = user.is_superuser = False
    user.default_organisation = None
    user.set_unusable_password()
    user.save()
    audit.record(by, "account.closed", user)


def addresses_of(user: User) -> set[str]:
    """All addresses of the person, today's and earlier ones, in small letters. Without what is another's by now."""
    entries = AuditEntry.objects.filter(target_type=user._meta.label_lower, target_id=str(user.pk))
    changes = entries.filter(event="user.changed", data__from__has_key="email").values_list(
        "data__from__email", flat=True
    )
    confirmed = EmailAddress.objects.filter(user=user, verified=True).values_list("email", flat=True)
    own = {address.lower() for address in (user.email, *changes, *confirmed)}
    others = User.objects.exclude(pk=user.pk).alias(address=Lower("email")).filter(address__in=own)
    return own - {address.lower() for address in others.values_list("email", flat=True)}


def _forget_in_office(*rows: Model) -> None:
    """Take the names of these rows out of the log of the back office, which keeps them beside each change."""
    for row in rows:
        kind = ContentType.objects.get_for_model(row)
        LogEntry.objects.filter(content_type=kind, object_id=str(row.pk)).update(object_repr="")


def organisations_naming(address: str) -> list[Organisation]:
    """Organisations whose contact is this address. It is theirs to change: others reach them by it."""
    return list(Organisation.objects.filter(contact_email__iexact=address).order_by("pk")) if address else []


def left_without_manager(user: User) -> list[Organisation]:
    """Organisations that would go dormant if this person left."""
    own = [grant.organisation for grant in user.grants if grant.role == "manager"]
    return [one for one in own if not one.memberships.filter(~Q(user=user), role="manager").exists()]
