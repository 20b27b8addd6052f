"""Joining an organisation by consent: a manager invites by mail, and only the invited person makes it a membership.

The one who invites learns nothing of the address: the answer is the same whether it has an account here or not, and no
name is seen before the person accepts.
"""

import datetime as dt
from typing import Any, Final

from django.core import signing
from django.db import transaction
from django.db.models import F, Sum
from django.utils import timezone, translation
from django.utils.translation import gettext_lazy as _

from apps.accounts.membership import add_member, keep_default_organisation
from apps.accounts.models import Invitation, InvitationState, Language, Membership, Organisation, User
from apps.accounts.notices import tell
from apps.accounts.permissions import Permission, Role, can, check_manages
from apps.accounts.verification import check_not_merged
from apps.core import audit
from apps.core.errors import RuleViolation
from apps.core.retention import delete_in_batches
from apps.core.states import move

LASTS: Final = dt.timedelta(days=14)
# Mails to strangers carry a name that their sender chose, so an organisation sends few: invitations that may be open at
# once, and mails within a day.
OPEN_LIMIT: Final = 20
DAILY_LIMIT: Final = 20
# In 14 days, one organisation asks one address so often at most, and after a no not at all.
TIMES_SENT: Final = 3
# After the last day on which it could be answered. No limit looks further back.
KEEP: Final = dt.timedelta(days=90)

_SALT: Final = "apps.accounts.invitations"
# In characters. Longer input is refused before its signature is computed.
_LONGEST: Final = 100


def path_of(invitation_id: int) -> str:
    """The path of the page on which the invited person answers. It stands in the mail and is shown to nobody else."""
    # A dot survives in every mail program's idea of an address; Django's colon does not.
    return f"/invitation/{signing.Signer(sep='.', salt=_SALT).sign_object(invitation_id)}/"


def read_path(signed: str) -> Invitation:
    """The invitation of a signed path. Raises `invitation_invalid` (404), in words for people."""
    invalid = RuleViolation("invitation_invalid", _("This invitation is not valid."), status=404)
    if len(signed) > _LONGEST:
        raise invalid
    try:
        key = signing.Signer(sep=".", salt=_SALT).unsign_object(signed)
        return Invitation.objects.select_related("organisation__region", "invited_by").get(pk=key)
    except (signing.BadSignature, ValueError, TypeError, Invitation.DoesNotExist):
        raise invalid from None


@transaction.atomic
def invite(
    organisation: Organisation, email: str, *, role: str, by: User, now: dt.datetime | None = None
) -> Invitation:
    """Invite whoever reads the mail of this address.

    Raises `office_of_others`, `member_already`, `invitation_open`, `invitation_declined` and `invitations_too_many`.
    None of them depends on whether the address has an account.
    """
    check_manages(by, organisation)
    now, email = now or timezone.now(), email.strip().lower()
    _check_limits(organisation, now)
    if Membership.objects.filter(organisation=organisation, user__in=User.objects.with_address(email)).exists():
        # Its managers see the addresses of its people anyway.
        raise RuleViolation("member_already", _("This person belongs to the organisation already."), field="email")

    before = Invitation.objects.filter(organisation=organisation, email=email)
    before.run_out(now).update(state=InvitationState.EXPIRED)
    if before.open(now).exists():
        raise RuleViolation(
            "invitation_open", _("This address is invited already. You can send the invitation again."), field="email"
        )
    if before.filter(state=InvitationState.DECLINED, updated_at__gt=now - LASTS).exists():
        raise RuleViolation("invitation_declined", _("This invitation was declined lately."), field="email")

    if (before.filter(sent_at__gt=now - LASTS).aggregate(mails=Sum("times_sent"))["mails"] or 0) >= TIMES_SENT:
        raise _asked_enough()

    invitation = Invitation.objects.create(
        organisation=organisation, email=email, role=role, invited_by=by, expires_at=now + LASTS, sent_at=now
    )
    _send(invitation)
    audit.record(by, "member.invited", organisation, invitation=invitation.pk, email=email, role=role)
    return invitation


@transaction.atomic
def resend_invitation(invitation: Invitation, *, by: User, now: dt.datetime | None = None) -> None:
    """Send the mail again, for another 14 days: from now on `by` invites.

    Raises `invitation_over` and `invitations_too_many`.
    """
    check_manages(by, invitation.organisation)
    now = now or timezone.now()
    _check_limits(invitation.organisation, now, more_open=0)
    open_still = Invitation.objects.open(now).filter(pk=invitation.pk)
    if not open_still.exists():
        raise _over()
    # A conditional UPDATE: of two clicks at once each counts, and an answer in between is not undone.
    if not open_still.filter(times_sent__lt=TIMES_SENT).update(
        times_sent=F("times_sent") + 1, sent_at=now, expires_at=now + LASTS, invited_by=by
    ):
        raise _asked_enough()
    invitation.refresh_from_db(fields=["times_sent", "sent_at", "expires_at", "invited_by"])
    _send(invitation)
    audit.record(by, "member.invited", invitation.organisation, invitation=invitation.pk, times=invitation.times_sent)


@transaction.atomic
def withdraw_invitation(invitation: Invitation, *, by: User) -> None:
    """Take it back, and tell the invited person. Raises `state_changed` or `illegal_move` after an answer."""
    move(invitation, InvitationState.WITHDRAWN)
    tell(
        "invitation.withdrawn",
        invitation.email,
        describe(invitation),
        key=f"invitation.withdrawn:{invitation.pk}",
        language=_language_of(invitation),
    )
    audit.record(by, "invitation.withdrawn", invitation.organisation, invitation=invitation.pk)


@transaction.atomic
def accept_invitation(invitation: Invitation, *, by: User, now: dt.datetime | None = None) -> Membership:
    """The invited person joins. Both sides are told.

    Raises `invitation_not_yours` (403) for another address, `invitation_own` (403) for who has sent it,
    `invitation_over` once it ran out, was answered or taken back, and `member_already`.
    """
    _check_invited(invitation, by, now or timezone.now())
    # The person is locked: of two organisations that are joined at once, the second sees the first.
    User.objects.select_for_update(no_key=True).get(pk=by.pk)
    if Membership.objects.filter(organisation=invitation.organisation_id, user=by).exists():
        raise RuleViolation("member_already", _("You belong to this organisation already."))
    _answer(invitation, InvitationState.ACCEPTED)
    keep_default_organisation(by)
    membership = add_member(invitation.organisation, by, role=invitation.role, by=by, invitation=invitation)
    facts = {**describe(invitation), "person": str(by)}
    tell("invitation.accepted", invitation.organisation, facts, key=f"invitation.accepted:{invitation.pk}")
    tell("member.joined", by, facts, key=f"member.joined:{invitation.pk}")
    return membership


@transaction.atomic
def decline_invitation(invitation: Invitation, *, by: User, now: dt.datetime | None = None) -> None:
    """The invited person says no. The organisation is told, without a name. Raises as `accept_invitation` does."""
    _check_invited(invitation, by, now or timezone.now())
    _answer(invitation, InvitationState.DECLINED)
    tell(
        "invitation.declined",
        invitation.organisation,
        describe(invitation),
        key=f"invitation.declined:{invitation.pk}",
    )
    audit.record(by, "invitation.declined", invitation.organisation, invitation=invitation.pk)


def forget_old(*, now: dt.datetime | None = None) -> int:
    """Delete invitations, answered or not, that ran out longer ago than `KEEP`. Returns how many."""
    old = Invitation.objects.filter(expires_at__lt=(now or timezone.now()) - KEEP)
    return delete_in_batches(old.order_by("pk"))


def check_answerable(invitation: Invitation, *, by: User | None, now: dt.datetime | None = None) -> None:
    """Raise as `accept_invitation` does where `by` cannot answer; without a log-in (None), where nobody can."""
    _check_invited(invitation, by, now or timezone.now())


def describe(invitation: Invitation) -> dict[str, Any]:
    """The facts of an invitation for messages. Its one name is that of who invites."""
    return {
        "invitation_id": invitation.pk,
        "organisation_id": invitation.organisation_id,
        "organisation": invitation.organisation.name,
        "is_verified": invitation.organisation.is_verified,
        "invited_by": str(invitation.invited_by),
        "email": invitation.email,
        "role": _in_languages(invitation.role),
        "expires_at": invitation.expires_at.isoformat(),
    }


def _in_languages(role: str) -> dict[str, str]:
    texts = {}
    for language in Language.values:
        with translation.override(language):
            texts[language] = str(Role(role).label)
    return texts


def _language_of(invitation: Invitation) -> str:
    """The language of the mail: of the person with this address, if there is one, else of who invites."""
    person = User.objects.with_address(invitation.email).values_list("language", flat=True).first()
    return person or invitation.invited_by.language


def _send(invitation: Invitation) -> None:
    tell(
        "invitation.sent",
        invitation.email,
        describe(invitation),
        key=f"invitation.sent:{invitation.pk}:{invitation.times_sent}",
        language=_language_of(invitation),
    )


def _check_limits(organisation: Organisation, now: dt.datetime, *, more_open: int = 1) -> None:
    """Raise `invitations_too_many` if one more mail would be more than an organisation may send."""
    # Locked, so that two at once are counted one after the other.
    Organisation.objects.select_for_update(no_key=True).get(pk=organisation.pk)
    sent = Invitation.objects.filter(organisation=organisation)
    if sent.open(now).count() + more_open > OPEN_LIMIT:
        raise _too_many(_("So many invitations are open that no more can be sent. Withdraw one, or wait for answers."))
    # A row counts with all its mails if the last one is of today: rather too many than too few.
    today = sent.filter(sent_at__gt=now - dt.timedelta(days=1)).aggregate(mails=Sum("times_sent"))["mails"]
    if (today or 0) >= DAILY_LIMIT:
        raise _too_many(_("Today this organisation has sent as many invitations as it may. Try again tomorrow."))


def _too_many(message: Any) -> RuleViolation:
    return RuleViolation("invitations_too_many", message, field="email", status=429)


def _asked_enough() -> RuleViolation:
    return _too_many(_("This address was sent three invitations lately. Ask the person in another way."))


def _over() -> RuleViolation:
    return RuleViolation(
        "invitation_over", _("This invitation is over: it was answered, withdrawn or ran out."), status=410
    )


def _check_invited(invitation: Invitation, user: User | None, now: dt.datetime) -> None:
    if user and not user.owns_address(invitation.email):
        raise RuleViolation(
            "invitation_not_yours",
            _("This invitation is for another e-mail address. Log in with the address that got the mail."),
            status=403,
        )
    # Staff could otherwise give themselves the rights of any desk.
    if user and user.pk == invitation.invited_by_id:
        raise RuleViolation(
            "invitation_own", _("You have sent this invitation yourself: somebody else has to invite you."), status=403
        )
    if invitation.state != InvitationState.OPEN or invitation.expires_at <= now:
        raise _over()
    # It stays open: after an undo it can be answered.
    check_not_merged(invitation.organisation)
    if not _may_invite(invitation.invited_by, invitation.organisation):
        raise _over()


def _may_invite(user: User, organisation: Organisation) -> bool:
    """Whether the user manages the organisation, for itself or from the desk, or invites in the back office.

    Asked again when the invitation is answered: who lost the right meanwhile has nobody join.
    """
    is_clerk = user.is_staff and user.has_perm("accounts.add_invitation")
    return is_clerk or can(user, Permission.MANAGE_ORGANISATION, organisation)


def _answer(invitation: Invitation, answer: InvitationState) -> None:
    """Answer once: of two answers at once, or of an answer and a withdrawal, one wins and the other is over."""
    try:
        move(invitation, answer)
    except RuleViolation:
        raise _over() from None
