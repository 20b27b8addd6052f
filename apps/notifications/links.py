"""One-click answers from mail: signed, expiring, good for one use.

A link acts as the user it was made for, without a log-in. Its page shows what will happen (GET). On POST it calls
`use_link` and the service of the action, in one transaction. The edge knows which service that is and checks that the
user may still do it, because this app knows neither needs nor offers.

A link bears the moment of its message. A row that is younger is not the one that the message told of: its key was given
again after the database was restored. The edge asks `link.is_about`.
"""

import datetime as dt
import hashlib
import math
import secrets
from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings
from django.core import signing
from django.db import IntegrityError, models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.core.errors import RuleViolation
from apps.core.models import Restore, TimeStamped
from apps.notifications.models import UsedLink

_SALT: Final = "apps.notifications.links"
# In characters. Longer input is refused before its signature is computed.
_LONGEST: Final = 600
# How long a link lasts if the event gives no deadline.
LASTS: Final = dt.timedelta(days=14)


class OneClickAction(models.TextChoices):
    """What a link may do. The first word says whether the target is a match, a demand, an offer or a message."""

    # The values stand in links that were mailed, so they cannot be renamed while a link may still be opened.

    MATCH_ACCEPT = "match.accept", _("Accept all")
    MATCH_DECLINE = "match.decline", _("Decline")
    DEMAND_CONFIRM = "demand.confirm", _("Still needed")
    DEMAND_CLOSE = "demand.close", _("No longer needed")
    OFFER_CONFIRM = "offer.confirm", _("Still available")
    OFFER_WITHDRAW = "offer.withdraw", _("No longer available")
    ACCOUNT_FREEZE = "account.freeze", _("This was not me")


@dataclass(frozen=True, kw_only=True)
class OneClickLink:
    """A link with our signature that has not expired and had not been used when it was read.

    `user` is active and is the one who acts. The view that carries it out checks that they may do `action`.
    """

    action: OneClickAction
    target_id: int
    user: User
    expires_at: dt.datetime
    told_at: dt.datetime
    digest: str

    def is_about(self, row: TimeStamped) -> bool:
        """Whether the message could tell of this row."""
        return row.created_at <= self.told_at


def make_link(
    action: str,
    target_id: int,
    user: User,
    expires_at: dt.datetime,
    *,
    nonce: str = "",
    told_at: dt.datetime | None = None,
) -> str:
    """The absolute URL of a one-click answer, for a message that was written at `told_at`, or now.

    A message that is sent again passes the same `nonce` and gets the same link, which still works only once.
    """
    payload = [
        OneClickAction(action).value,
        target_id,
        user.pk,
        # Whole seconds keep the link short.
        int(expires_at.timestamp()),
        nonce or secrets.token_urlsafe(9),
        # Upwards: the row and its message may be of the same second.
        math.ceil((told_at or timezone.now()).timestamp()),
    ]
    return f"{settings.SITE_URL}/a/{_signer().sign_object(payload)}/"


def read_link(signed: str, *, now: dt.datetime | None = None) -> OneClickLink:
    """What a link says. Raises `link_invalid`, `link_used` or `link_expired`, in words for people."""
    now = now or timezone.now()
    invalid = RuleViolation("link_invalid", _("This link is not valid. Log in to answer."), status=404)
    if len(signed) > _LONGEST:
        raise invalid
    try:
        action, target_id, user_id, expires, nonce, *told = _signer().unsign_object(signed)
        link = OneClickLink(
            action=OneClickAction(action),
            target_id=int(target_id),
            user=User.objects.get(pk=user_id, is_active=True),
            expires_at=dt.datetime.fromtimestamp(expires, dt.UTC),
            # Links of version 0.2.0 do not say it.
            told_at=dt.datetime.fromtimestamp(told[0] if told else expires, dt.UTC),
            # The expiry is not in it: two links that differ only in their expiry are one answer.
            digest=hashlib.sha256(f"{action}:{target_id}:{user_id}:{nonce}".encode()).hexdigest(),
        )
    except (signing.BadSignature, ValueError, TypeError, User.DoesNotExist):
        raise invalid from None

    # First whether it was used: a person who has answered learns that, and not that the time is over.
    if UsedLink.objects.filter(digest=link.digest).exists():
        raise _used()
    if Restore.since(link.told_at):
        text = _("The data of this site was restored since this link was sent. Log in to see how things stand now.")
        raise RuleViolation("link_expired", text, status=410)
    if link.expires_at <= now:
        raise RuleViolation("link_expired", _("This link has expired. Log in to see how things stand now."), status=410)
    return link


def use_link(link: OneClickLink) -> None:
    """Mark the link as used, in the transaction of the caller. Raises `link_used` if it was used before.

    Of two requests at once, the second waits for the first to commit or to roll back: the digest is a primary key.
    """
    try:
        with transaction.atomic():
            UsedLink.objects.create(digest=link.digest, user=link.user)
    except IntegrityError:
        raise _used() from None


def _used() -> RuleViolation:
    return RuleViolation("link_used", _("This link has been used. Log in to see how things stand now."), status=410)


def _signer() -> Any:
    # A dot survives in every mail program's idea of an address; Django's colon does not.
    return signing.Signer(sep=".", salt=_SALT)
