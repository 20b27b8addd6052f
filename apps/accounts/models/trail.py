"""What of accounts the database itself notes in the audit trail, whichever way it changes: page, API, back office, SQL.

Addresses and second factors are tables of allauth. Proxies of them carry our triggers.
"""

from typing import ClassVar, Final

import pgtrigger
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator

from apps.accounts.models.membership import Membership
from apps.accounts.models.organisations import Organisation
from apps.accounts.models.tokens import ApiToken
from apps.accounts.models.users import User
from apps.core.triggers import Trigger, notes_changes

_PERSON: Final = "accounts.user"
_ORGANISATION: Final = "accounts.organisation"


class NotedAddress(EmailAddress):
    """An address of a person, whose changes are noted."""

    class Meta:
        proxy = True
        default_permissions = ()
        triggers: ClassVar[list[Trigger]] = [
            notes_changes(
                "address", of=_PERSON, by="user_id", labels=("email",), columns=("email", "verified", "primary")
            )
        ]


class NotedFactor(Authenticator):
    """A second factor of a person, whose coming and going is noted."""

    class Meta:
        proxy = True
        default_permissions = ()
        # Using a factor changes its row too. Each use is noted as a log-in.
        triggers: ClassVar[list[Trigger]] = [notes_changes("factor", of=_PERSON, by="user_id", labels=("type",))]


# Language, time zone and the like are nobody's concern, and each log-in writes `last_login`.
pgtrigger.register(
    notes_changes(
        "user",
        of=_PERSON,
        by="id",
        labels=("email",),
        columns=("email", "password", "is_active", "is_staff", "is_superuser"),
    )
)(User)
pgtrigger.register(
    # A token of which more than its last use changes is one that somebody tampered with.
    notes_changes(
        "token",
        of=_PERSON,
        by="user_id",
        labels=("name", "token_key"),
        columns=("user_id", "scopes", "region_id", "expiry"),
    )
)(ApiToken)
# A membership that moves to another organisation is noted at the new one, with both.
pgtrigger.register(
    notes_changes(
        "member", of=_ORGANISATION, by="organisation_id", labels=("user_id",), columns=("role", "organisation_id")
    )
)(Membership)
# Services record why; here it is noted that it happened, also where no service did it. New rows are unverified.
pgtrigger.register(
    notes_changes(
        "verification",
        of=_ORGANISATION,
        by="id",
        columns=("state", "state_reason", "verified_by_id", "verified_until"),
        rows=None,
    )
)(Organisation)
