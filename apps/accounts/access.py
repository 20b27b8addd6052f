"""A person's own settings and ways in: tokens, sessions, and the account that is given back to its owner."""

import datetime as dt
from collections.abc import Iterable
from typing import Any, Final

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.accounts.membership import take_out_invited
from apps.accounts.models import ApiToken, Invitation, InvitationState, Membership, User
from apps.accounts.organisations import seen_name
from apps.accounts.restoring import restore_people
from apps.catalogue.models import Region
from apps.core import audit
from apps.core.errors import RuleViolation
from apps.core.models import AuditEntry
from apps.core.retention import delete_in_batches

# Their owner reads so long that a token has ended, and why a program is refused.
KEEP_ENDED_TOKENS: Final = dt.timedelta(days=30)


@transaction.atomic
def amend_user(user: User, **changes: Any) -> User:
    """Change a user's own settings: name, phone, language, time zone, default organisation.

    Raises `not_a_member` for a default organisation that the user does not belong to.
    """
    chosen = changes.get("default_organisation")
    if chosen and not Membership.objects.filter(user=user, organisation=chosen).exists():
        raise RuleViolation("not_a_member", _("You do not belong to this organisation."), field="default_organisation")
    if "name" in changes:
        changes["name"] = seen_name(changes["name"])
    for name, value in changes.items():
        setattr(user, name, value)
    # Only what was named is written: two pages that are open at once do not undo each other's changes.
    user.save(update_fields=list(changes))
    return user


@transaction.atomic
def issue_token(
    user: User,
    *,
    name: str,
    scopes: Iterable[str],
    lasts: dt.timedelta | None = None,
    region: Region | None = None,
) -> tuple[ApiToken, str]:
    """A new API token and its text, which is shown only once, as the database keeps a hash.

    It lasts for `TOKEN_TTL` of the settings unless `lasts` says otherwise.
    """
    audit.acting(user)
    token, text = ApiToken.objects.create(  # type: ignore[no-untyped-call]  # knox has no types
        user,
        expiry=lasts or settings.REST_KNOX["TOKEN_TTL"],
        name=name,
        # Sorted, so that the same scopes look the same in lists and in the audit trail.
        scopes=sorted(set(scopes)),
        region=region,
    )
    return token, text


@transaction.atomic
def revoke_token(token: ApiToken, *, by: User) -> None:
    """Delete the token. Requests with it are refused from now on."""
    audit.acting(by)
    token.delete()


def forget_ended_tokens(*, now: dt.datetime | None = None) -> int:
    """Delete tokens that ended longer ago than `KEEP_ENDED_TOKENS`. Returns how many."""
    ended = ApiToken.objects.filter(expiry__lt=(now or timezone.now()) - KEEP_ENDED_TOKENS)
    return delete_in_batches(ended.order_by("pk"))


@transaction.atomic
def end_access(user: User, *, by: User | None, now: dt.datetime | None = None) -> None:
    """End all sessions of the user, and delete all their tokens."""
    # Sessions are not rows that name their user. The middleware ends those that began before this time.
    audit.acting(by)
    user.access_ended_at = now or timezone.now()
    user.save(update_fields=["access_ended_at"])
    tokens, _by_table = ApiToken.objects.filter(user=user).delete()
    audit.record(by, "access.ended", user, tokens=tokens)


@transaction.atomic
def remove_factor(factor: Authenticator, *, by: User) -> None:
    """Remove a second factor that its owner has lost. Sessions and tokens end: the device may be in other hands."""
    end_access(factor.user, by=by)
    factor.delete()


@transaction.atomic
def freeze_account(user: User, *, address: str, since: dt.datetime, now: dt.datetime | None = None) -> bool:
    """Give the account back to the owner of `address`, who says that a change after `since` was not theirs.

    All access ends. Factors that were made after `since` go, as do invitations with whoever joined by them, and roles
    are as before. The password opens nothing until it is reset by mail to `address`. Returns False if another account
    has the address by now; then nobody may log in to this one.
    """
    end_access(user, by=None, now=now)
    user.set_unusable_password()
    EmailAddress.objects.filter(user=user).delete()
    Authenticator.objects.filter(user=user, created_at__gte=since).delete()
    invited = Invitation.objects.filter(invited_by=user, sent_at__gte=since, state=InvitationState.OPEN)
    invited.update(state=InvitationState.WITHDRAWN)
    # Before it takes people out itself.
    restore_people(user, since=since)
    take_out_invited(user, since=since, owner=user)
    user.is_active = is_free = not User.objects.with_address(address).exclude(pk=user.pk).exists()
    if is_free:
        user.email = address
        # Whoever sent the link got it by a mail to this address.
        EmailAddress.objects.filter(email=address.lower()).delete()
        EmailAddress.objects.create(user=user, email=address.lower(), primary=True, verified=True)
    user.save(update_fields=["password", "email", "is_active"])
    audit.record(user, "account.frozen", user, address=address, since=since.isoformat())
    return is_free


def was_frozen_before(user: User, moment: dt.datetime) -> bool:
    """Whether the owner froze the account and distrusts this moment: somebody else had the account then."""
    frozen = AuditEntry.objects.filter(
        event="account.frozen", target_type=user._meta.label_lower, target_id=str(user.pk), at__gte=moment
    )
    return any(dt.datetime.fromisoformat(entry.data["since"]) <= moment for entry in frozen)
