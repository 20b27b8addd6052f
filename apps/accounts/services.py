"""The verbs of who acts: the only writer of this app's tables."""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any, Final

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from apps.accounts.models import (
    ApiToken,
    Evidence,
    IdentifierKind,
    Invitation,
    InvitationState,
    Language,
    Membership,
    Organisation,
    OrganisationState,
    PendingNotice,
    User,
)
from apps.accounts.permissions import OPEN_KINDS, Role
from apps.catalogue import identifiers
from apps.catalogue.models import Region
from apps.core import audit
from apps.core.errors import RuleViolation
from apps.core.models import AuditEntry
from apps.core.states import move

# Registers are public and change: after a year a coordinator looks again.
VERIFICATION_LASTS = dt.timedelta(days=365)
# A photo of a licence from a phone fits; in bytes.
EVIDENCE_LIMIT = 5 * 1024 * 1024
_NO_VERIFICATION: Final[dict[str, Any]] = {"verified_at": None, "verified_by": None, "verified_until": None}


def check_identifier(kind: str, identifier: str) -> str:
    """The identifier in its normal form. Raises `identifier_invalid` if its check character is wrong."""
    identifier = identifier.strip().upper()
    if not identifier:
        return ""
    if kind == IdentifierKind.USCC and not identifiers.is_uscc(identifier):
        raise RuleViolation(
            "identifier_invalid",
            _("This is not a valid unified social credit code: 18 characters, and the last one must fit the others."),
            field="identifier",
        )
    if kind == IdentifierKind.GLN and not identifiers.is_gln(identifier):
        raise RuleViolation(
            "identifier_invalid",
            _("This is not a valid GLN: 13 digits, and the last one must fit the others."),
            field="identifier",
        )
    return identifier


@transaction.atomic
def register_organisation(
    *, by: User, name: str, kind: str, region: Region, joins: bool = True, **facts: Any
) -> Organisation:
    """Register an unverified organisation: anyone may, and may draft needs and offers with it.

    `by` becomes its manager, unless a coordinator registers it for a caller (`joins=False`). `facts` are the other
    fields that people fill in. Raises `kind_closed` and `identifier_invalid`.
    """
    if kind not in OPEN_KINDS:
        raise RuleViolation("kind_closed", _("Coordinators are set up in the back office."), field="kind")

    facts["identifier"] = check_identifier(
        facts.get("identifier_kind", IdentifierKind.USCC), facts.get("identifier", "")
    )
    organisation = Organisation.objects.create(name=name.strip(), kind=kind, region=region, **facts)
    if joins:
        keep_default_organisation(by)
        add_member(organisation, by, role=Role.MANAGER, by=by)
    audit.record(by, "organisation.registered", organisation)
    return organisation


@transaction.atomic
def import_organisation(
    *, source: str, source_key: str, name: str, kind: str, region: Region, by: User | None = None, **facts: Any
) -> tuple[Organisation, bool]:
    """Get or create the organisation that another system knows by `source_key`; also returns whether it is new.

    A new one has no members and is unverified. An existing one is left alone, as people may have corrected it since.
    """
    if kind not in OPEN_KINDS:
        raise RuleViolation("kind_closed", _("Coordinators are set up in the back office."), field="kind")

    # Two imports at once: the unique constraint lets one create the row, and the other gets it.
    organisation, made = Organisation.objects.get_or_create(
        source=source, source_key=source_key, defaults={"name": name, "kind": kind, "region": region, **facts}
    )
    if made:
        audit.record(by, "organisation.imported", organisation, source=source)
    return organisation, made


@transaction.atomic
def amend_organisation(organisation: Organisation, *, by: User, **changes: Any) -> Organisation:
    """Change facts of an organisation. Changing a verified fact clears the verification."""
    # Locked, so that a verification at the same moment sees either the old facts or the new ones, and not a mixture.
    organisation = Organisation.objects.select_for_update(of=["self"], no_key=True).get(pk=organisation.pk)
    if "identifier" in changes or "identifier_kind" in changes:
        changes["identifier"] = check_identifier(
            changes.get("identifier_kind", organisation.identifier_kind),
            changes.get("identifier", organisation.identifier),
        )
    if "kind" in changes and changes["kind"] not in OPEN_KINDS | {organisation.kind}:
        raise RuleViolation("kind_closed", _("Coordinators are set up in the back office."), field="kind")

    changed = {name: value for name, value in changes.items() if getattr(organisation, name) != value}
    for name, value in changed.items():
        setattr(organisation, name, value)
    organisation.save(update_fields=list(changed))

    touched = sorted(set(changed) & set(Organisation.VERIFIED_FACTS))
    looked_at = organisation.state in {OrganisationState.VERIFIED, OrganisationState.PENDING}
    if touched and organisation.is_dormant:
        # What rests is the verification of the old facts.
        Organisation.objects.filter(pk=organisation.pk).update(**_NO_VERIFICATION)
    elif touched and looked_at:
        clear_verification(organisation, by=by, reason=gettext_noop("Facts that were verified have changed."))
    if changed:
        audit.record(by, "organisation.amended", organisation, fields=sorted(changed))
    return organisation


def clear_verification(organisation: Organisation, *, by: User | None, reason: str) -> None:
    """Make the organisation unverified. Its needs and offers stay, but are not matched until it is verified again."""
    move(organisation, OrganisationState.UNVERIFIED, state_reason=reason, **_NO_VERIFICATION)
    audit.record(by, "organisation.verification_cleared", organisation, reason=reason)


@transaction.atomic
def add_evidence(organisation: Organisation, document: UploadedFile[bytes], *, by: User, note: str = "") -> Evidence:
    """Keep a document that proves facts of the organisation. Raises `document_too_large` above 5 MB."""
    if (document.size or 0) > EVIDENCE_LIMIT:
        raise RuleViolation("document_too_large", _("The document is larger than 5 MB."), field="document")
    evidence = Evidence(organisation=organisation, document=document, note=note, uploaded_by=by)
    # Models check their validators only here: the kind of file is one of them.
    evidence.full_clean()
    evidence.save()
    audit.record(by, "evidence.added", organisation, evidence=evidence.pk)
    return evidence


@transaction.atomic
def submit_for_verification(organisation: Organisation, *, by: User) -> None:
    """Ask the coordinators to verify. Raises `evidence_missing` without an identifier or a document."""
    # An identifier can be looked up in its public register, so it is something to verify by itself.
    if not organisation.identifier and not organisation.evidence.exists():
        raise RuleViolation(
            "evidence_missing",
            _("Give a registration number or upload a document, so that there is something to verify."),
            field="identifier",
        )
    move(organisation, OrganisationState.PENDING, state_reason="")
    audit.record(by, "organisation.submitted", organisation)


def _check_seen(organisation: Organisation, seen: dt.datetime | None) -> None:
    """Raise `state_changed` if the facts changed after the coordinator looked at them.

    Otherwise somebody could rename a clinic to a ministry a moment before the click.
    """
    if seen is None:
        return
    locked = Organisation.objects.select_for_update(no_key=True).filter(pk=organisation.pk)
    if locked.values_list("updated_at", flat=True).get() != seen:
        raise RuleViolation("state_changed", _("This organisation has just changed. Check it and try again."))


@transaction.atomic
def verify_organisation(
    organisation: Organisation,
    *,
    by: User,
    until: dt.date | None = None,
    seen: dt.datetime | None = None,
    now: dt.datetime | None = None,
) -> None:
    """Verify: a coordinator has seen the evidence. It lasts a year unless `until` says otherwise.

    `seen` is the `updated_at` that the coordinator looked at. Raises `state_changed` if the facts changed since, and
    `identifier_taken` if another verified organisation has the same registration number.
    """
    now = now or timezone.now()
    _check_seen(organisation, seen)
    if organisation.identifier:
        twin = (
            Organisation.objects.verified()
            .filter(identifier_kind=organisation.identifier_kind, identifier=organisation.identifier)
            .exclude(pk=organisation.pk)
            .first()
        )
        if twin:
            raise RuleViolation(
                "identifier_taken",
                _("“%(name)s” is already verified with the same registration number.") % {"name": twin.name},
            )
    # Two coordinators may verify twins at the same moment: then the unique constraint decides, and not the look above.
    try:
        with transaction.atomic():
            move(
                organisation,
                OrganisationState.VERIFIED,
                state_reason="",
                verified_at=now,
                verified_by=by,
                verified_until=until or (now + VERIFICATION_LASTS).date(),
            )
    except IntegrityError as error:
        raise RuleViolation(
            "identifier_taken", _("Another organisation was verified with the same registration number a moment ago.")
        ) from error
    audit.record(by, "organisation.verified", organisation, until=str(organisation.verified_until))


@transaction.atomic
def reject_organisation(organisation: Organisation, *, by: User, reason: str) -> None:
    """Reject, with a reason. The organisation may correct its facts and submit again. Raises `reason_missing`."""
    if not reason.strip():
        raise RuleViolation("reason_missing", _("Say why, so that they can correct it."), field="reason")
    move(
        organisation,
        OrganisationState.REJECTED,
        state_reason=reason.strip(),
        **_NO_VERIFICATION,
    )
    audit.record(by, "organisation.rejected", organisation, reason=reason.strip())


@transaction.atomic
def expire_verifications(*, now: dt.datetime | None = None) -> list[Organisation]:
    """Clear verifications whose last day has passed, at most 500 at once. Returns their organisations."""
    now = now or timezone.now()
    expired = list(
        # The limit keeps the transaction short. The next sweep goes on.
        Organisation.objects.verification_run_out(now.date()).select_for_update(skip_locked=True, no_key=True)[:500]
    )
    for organisation in expired:
        clear_verification(organisation, by=None, reason=gettext_noop("The verification has run out."))
    return expired


def take_unannounced(limit: int = 200) -> list[Organisation]:
    """Take organisations whose people must be told of a new state, in the transaction of the caller, which tells them.

    Rows that another worker has taken are skipped.
    """
    due = Organisation.objects.unannounced().select_related("region").order_by("pk")
    organisations = list(due.select_for_update(of=["self"], skip_locked=True, no_key=True)[:limit])
    Organisation.objects.filter(pk__in=[one.pk for one in organisations]).update(announced_state=F("state"))
    return organisations


def tell(
    event: str,
    recipient: Organisation | User | str,
    context: Mapping[str, Any],
    *,
    key: str,
    language: str = Language.ENGLISH,
) -> None:
    """Leave word for the outbox, in the transaction of the caller: `recipient` is told of `event` within seconds.

    A recipient that is a text is an e-mail address, which may belong to nobody here; `language` is for it alone.
    """
    PendingNotice.objects.create(
        event=event,
        key=key,
        context=dict(context),
        organisation=recipient if isinstance(recipient, Organisation) else None,
        user=recipient if isinstance(recipient, User) else None,
        email=recipient if isinstance(recipient, str) else "",
        language=language if isinstance(recipient, str) else "",
    )


def take_pending_notices(limit: int = 200) -> list[PendingNotice]:
    """Take what is to be told, oldest first, in the transaction of the caller, which tells it.

    Rows that another worker has taken are skipped.
    """
    due = PendingNotice.objects.select_related("organisation", "user").order_by("pk")
    notices = list(due.select_for_update(of=["self"], skip_locked=True)[:limit])
    PendingNotice.objects.filter(pk__in=[notice.pk for notice in notices]).delete()
    return notices


@transaction.atomic
def amend_user(user: User, **changes: Any) -> User:
    """Change a user's own settings: name, phone, language, time zone, default organisation.

    Raises `not_a_member` for a default organisation that the user does not belong to.
    """
    chosen = changes.get("default_organisation")
    if chosen and not Membership.objects.filter(user=user, organisation=chosen).exists():
        raise RuleViolation("not_a_member", _("You do not belong to this organisation."), field="default_organisation")
    for name, value in changes.items():
        setattr(user, name, value)
    user.save(update_fields=list(changes))
    return user


def keep_default_organisation(user: User) -> None:
    """Before a person joins a second organisation: the first stays the one that they act for without saying it.

    Programs that name no organisation would otherwise stop, or post for another one.
    """
    own = list(Membership.objects.filter(user=user).values_list("organisation_id", flat=True)[:2])
    if len(own) == 1 and not user.default_organisation_id:
        user.default_organisation_id = own[0]
        user.save(update_fields=["default_organisation"])


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


@transaction.atomic
def add_member(organisation: Organisation, user: User, *, role: str, by: User) -> Membership:
    """Give `user` a role in the organisation, or another role than before; its last manager stays one.

    This asks nobody. Edges call `invitations.invite`, and `change_role` for those who belong to it already.
    """
    if role != Role.MANAGER:
        _keep_a_manager(organisation, user.pk)
    # A second call changes the role, so a person never has two roles in one organisation.
    membership, made = Membership.objects.update_or_create(
        user=user, organisation=organisation, defaults={"role": role}
    )
    _forget_grants(user)
    audit.record(by, "member.added" if made else "member.changed", organisation, user=user.pk, role=role)
    if role == Role.MANAGER:
        _wake_organisation(organisation, by=by)
    return membership


@transaction.atomic
def change_role(membership: Membership, role: str, *, by: User) -> None:
    """Give a member another role; the last manager stays one. The invitations of who manages no longer end."""
    if role != Role.MANAGER:
        _keep_a_manager(membership.organisation, membership.user_id)
    if not Membership.objects.filter(pk=membership.pk).update(role=role):
        raise RuleViolation("state_changed", _("Somebody else has just changed this. Check it and try again."))
    membership.role = role
    _forget_grants(membership.user)
    audit.record(by, "member.changed", membership.organisation, user=membership.user_id, role=role)
    if role == Role.MANAGER:
        _wake_organisation(membership.organisation, by=by)
    else:
        _end_invitations_by(membership)


@transaction.atomic
def remove_member(membership: Membership, *, by: User) -> None:
    """Take a person out of an organisation, and tell the person; its last manager stays."""
    _keep_a_manager(membership.organisation, membership.user_id)
    _end_invitations_by(membership)
    tell("member.removed", membership.user, _about(membership), key=f"member.removed:{membership.pk}")
    audit.record(by, "member.removed", membership.organisation, user=membership.user_id)
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
    audit.record(person, "member.left", organisation, user=person.pk)
    _end(membership)
    if last and not successor:
        _rest_organisation(organisation, by=person)
    facts = {
        **_about(membership),
        "is_dormant": organisation.is_dormant,
        "successor": str(successor.user) if last and successor else "",
    }
    tell("member.left", organisation, facts, key=f"member.left:{membership.pk}")


def _about(membership: Membership) -> dict[str, Any]:
    return {
        "organisation_id": membership.organisation_id,
        "organisation": membership.organisation.name,
        "person": str(membership.user),
    }


def _end(membership: Membership) -> None:
    User.objects.filter(pk=membership.user_id, default_organisation=membership.organisation_id).update(
        default_organisation=None
    )
    _forget_grants(membership.user)
    # By its key: Django forgets the key of an object that it deletes, and notices still name it.
    Membership.objects.filter(pk=membership.pk).delete()


def _forget_grants(user: User) -> None:
    user.__dict__.pop("grants", None)  # cached on the object, and out of date now


def _end_invitations_by(membership: Membership) -> None:
    """Who is taken out, or manages no longer, has nobody join by an invitation that is still open."""
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
    elif organisation.state == OrganisationState.PENDING:
        clear_verification(organisation, by=by, reason=reason)


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
    Organisation.objects.filter(pk=organisation.pk).update(**_NO_VERIFICATION)


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
    token, text = ApiToken.objects.create(  # type: ignore[no-untyped-call]  # knox has no types
        user,
        expiry=lasts or settings.REST_KNOX["TOKEN_TTL"],
        name=name,
        # Sorted, so that the same scopes look the same in lists and in the audit trail.
        scopes=sorted(set(scopes)),
        region=region,
    )
    audit.record(user, "token.issued", user, key=token.token_key, scopes=token.scopes)
    return token, text


@transaction.atomic
def revoke_token(token: ApiToken, *, by: User) -> None:
    """Delete the token. Requests with it are refused from now on."""
    audit.record(by, "token.revoked", token.user, key=token.token_key)
    token.delete()


@transaction.atomic
def end_access(user: User, *, by: User | None, now: dt.datetime | None = None) -> None:
    """End all sessions of the user, and delete all their tokens."""
    # Sessions are not rows that name their user. The middleware ends those that began before this time.
    user.access_ended_at = now or timezone.now()
    user.save(update_fields=["access_ended_at"])
    tokens, _by_table = ApiToken.objects.filter(user=user).delete()
    audit.record(by, "access.ended", user, tokens=tokens)


@transaction.atomic
def freeze_account(user: User, *, address: str, since: dt.datetime, now: dt.datetime | None = None) -> bool:
    """Give the account back to the owner of `address`, who says that a change after `since` was not theirs.

    All access ends, factors that were added after `since` go, and the password opens nothing until it is reset by mail
    to `address`. Returns False if another account has the address by now; then nobody may log in to this one.
    """
    end_access(user, by=None, now=now)
    user.set_unusable_password()
    EmailAddress.objects.filter(user=user).delete()
    Authenticator.objects.filter(user=user, created_at__gte=since).delete()
    user.is_active = is_free = not User.objects.filter(email__iexact=address).exclude(pk=user.pk).exists()
    if is_free:
        user.email = address
        # Whoever sent the link got it by a mail to this address.
        EmailAddress.objects.filter(email__iexact=address).delete()
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
