"""Whether an organisation is what it says: its evidence, and what coordinators decide about it."""

import datetime as dt
from typing import Any, Final

from django.core.files.uploadedfile import UploadedFile
from django.db import IntegrityError, transaction
from django.db.models import BooleanField, Func, Value
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from apps.accounts import documents
from apps.accounts.models import Evidence, Organisation, OrganisationState, User
from apps.core import audit, confined
from apps.core.errors import RuleViolation
from apps.core.states import move

# Registers are public and change: after a year a coordinator looks again.
VERIFICATION_LASTS = dt.timedelta(days=365)
# With it an organisation keeps at most 100 MB.
MAX_DOCUMENTS: Final = 20
NO_VERIFICATION: Final[dict[str, Any]] = {
    "verified_at": None,
    "verified_by": None,
    "verified_until": None,
    "call_back": "",
}
# A note without as many digits names no telephone number.
_DIGITS_OF_A_PHONE: Final = 5


def add_evidence(organisation: Organisation, document: UploadedFile[bytes], *, by: User, note: str = "") -> Evidence:
    """Keep a document that proves facts of the organisation, cleaned.

    Raises what `documents.cleaned` raises, `too_many_documents`, `busy` (503), and `OSError` where it cannot be kept.
    """
    # Before the transaction, because it may take seconds and the store may be on another machine.
    with confined.place(organisation.pk):
        _check_room(organisation)
        kept = documents.cleaned(document)
    evidence = Evidence(organisation=organisation, document=kept, note=note, uploaded_by=by)
    evidence.full_clean()
    evidence.document.save(str(kept.name), kept, save=False)
    try:
        with transaction.atomic():
            # The lock makes two uploads at once count one after the other.
            Organisation.objects.select_for_update(no_key=True).get(pk=organisation.pk)
            _check_room(organisation)
            evidence.save()
            audit.record(by, "evidence.added", organisation, evidence=evidence.pk)
    except RuleViolation:
        # After any other error the row may be there all the same, and must have its file.
        evidence.document.delete(save=False)
        raise
    return evidence


def _check_room(organisation: Organisation) -> None:
    if organisation.evidence.count() >= MAX_DOCUMENTS:
        raise RuleViolation(
            "too_many_documents",
            _("An organisation keeps at most %(most)s documents.") % {"most": MAX_DOCUMENTS},
            field="document",
        )


@transaction.atomic
def submit_for_verification(organisation: Organisation, *, by: User) -> None:
    """Ask the coordinators to verify. Raises `evidence_missing` without an identifier or a document."""
    check_not_merged(organisation)
    # An identifier can be looked up in its public register, so it is something to verify by itself.
    if not organisation.identifier and not organisation.evidence.exists():
        raise RuleViolation(
            "evidence_missing",
            _("Give a registration number or upload a document, so that there is something to verify."),
            field="identifier",
        )
    # The reason of an earlier rejection is gone: they say that they have mended it.
    move(organisation, OrganisationState.PENDING, state_reason="")
    audit.record(by, "organisation.submitted", organisation)


def check_not_merged(organisation: Organisation) -> None:
    """Raise `organisation_merged`: nobody acts for it any more, and what was its own is the survivor's."""
    if organisation.merged_into_id is not None:
        raise RuleViolation(
            "organisation_merged",
            _("“%(name)s” was merged into another organisation.") % {"name": organisation.name},
            merged_into=str(organisation.merged_into_id),
        )


@transaction.atomic
def verify_organisation(
    organisation: Organisation,
    *,
    by: User,
    until: dt.date | None = None,
    call_back: str = "",
    seen: dt.datetime | None = None,
    now: dt.datetime | None = None,
) -> None:
    """Verify: a coordinator has seen the evidence. It lasts a year unless `until` says otherwise.

    `seen` is the `updated_at` that the coordinator looked at. A hospital needs a document, or the note of a `call_back`
    to a number from a public register. Raises `state_changed` if the facts changed since, `organisation_merged`,
    `needs_other_eyes` (403) for who has acted for the organisation, `evidence_missing` and `call_back_vague`, and
    `identifier_taken` if another verified organisation has the same registration number. Triggers hold the rules of
    eyes and proof too.
    """
    now, call_back = now or timezone.now(), call_back.strip()
    _check_seen(organisation, seen)
    check_not_merged(organisation)
    if has_acted_for(by, organisation):
        raise RuleViolation(
            "needs_other_eyes",
            _("You registered this organisation, changed it or belonged to it: somebody else has to verify it."),
            status=403,
        )
    _check_proof(organisation, call_back)
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
    # The triggers see what changed since the other looks.
    try:
        with transaction.atomic():
            move(
                organisation,
                OrganisationState.VERIFIED,
                state_reason="",
                verified_at=now,
                verified_by=by,
                verified_until=until or (now + VERIFICATION_LASTS).date(),
                call_back=call_back,
            )
    except IntegrityError as error:
        if "organisation_verified_identifier_once" not in str(error):
            raise _changed() from error
        raise RuleViolation(
            "identifier_taken", _("Another organisation was verified with the same registration number a moment ago.")
        ) from error
    audit.record(by, "organisation.verified", organisation, until=str(organisation.verified_until), call_back=call_back)


def has_acted_for(user: User, organisation: Organisation) -> bool:
    """Whether the user registered the organisation, belonged to it, or gave facts since it was last verified."""
    if not user.pk:
        return False
    acted = Func("pk", Value(user.pk), function="accounts_acted_for", output_field=BooleanField())
    answer: bool = Organisation.objects.filter(pk=organisation.pk).values_list(acted, flat=True).get()
    return answer


def _check_proof(organisation: Organisation, call_back: str) -> None:
    if call_back and sum(character.isdigit() for character in call_back) < _DIGITS_OF_A_PHONE:
        raise RuleViolation(
            "call_back_vague", _("Note which number was called, and in which register it stands."), field="call_back"
        )
    if organisation.needs_proof and not call_back and not organisation.evidence.exists():
        raise RuleViolation(
            "evidence_missing",
            _("A hospital needs a document, or a call-back to a number from a public register. Note the call."),
            field="call_back",
        )


def _check_seen(organisation: Organisation, seen: dt.datetime | None) -> None:
    """Raise `state_changed` if the facts changed after the coordinator looked at them.

    Otherwise somebody could rename a clinic to a ministry a moment before the click.
    """
    if seen is None:
        return
    locked = Organisation.objects.select_for_update(no_key=True).filter(pk=organisation.pk)
    if locked.values_list("updated_at", flat=True).get() != seen:
        raise _changed()


def _changed() -> RuleViolation:
    return RuleViolation("state_changed", _("This organisation has just changed. Check it and try again."))


@transaction.atomic
def reject_organisation(organisation: Organisation, *, by: User, reason: str, seen: dt.datetime | None = None) -> None:
    """Reject, with a reason. The organisation may correct its facts and submit again.

    Raises `reason_missing`, `illegal_move` where there is nothing to reject, and `state_changed` if the facts changed
    since the coordinator had `seen` them.
    """
    _check_seen(organisation, seen)
    if not organisation.can_be_rejected:
        raise RuleViolation(
            "illegal_move",
            _("This is not possible any more: it is “%(state)s”.") % {"state": organisation.get_state_display()},
            state=organisation.state,
        )
    if not reason.strip():
        raise RuleViolation("reason_missing", _("Say why, so that they can correct it."), field="reason")
    # What was verified goes with it. If it is verified again, a coordinator has looked at it anew.
    move(
        organisation,
        OrganisationState.REJECTED,
        state_reason=reason.strip(),
        **NO_VERIFICATION,
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


def clear_verification(organisation: Organisation, *, by: User | None, reason: str) -> None:
    """Make the organisation unverified. Its needs and offers stay, but are not matched until it is verified again."""
    move(organisation, OrganisationState.UNVERIFIED, state_reason=reason, **NO_VERIFICATION)
    audit.record(by, "organisation.verification_cleared", organisation, reason=reason)
