"""Whether an organisation is what it says: its evidence, and what coordinators decide about it."""

import datetime as dt
from typing import Any, Final

from django.core.files.uploadedfile import UploadedFile
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from apps.accounts.models import Evidence, Organisation, OrganisationState, User
from apps.core import audit
from apps.core.errors import RuleViolation
from apps.core.states import move

# Registers are public and change: after a year a coordinator looks again.
VERIFICATION_LASTS = dt.timedelta(days=365)
# A photo of a licence from a phone fits; in bytes.
EVIDENCE_LIMIT = 5 * 1024 * 1024
NO_VERIFICATION: Final[dict[str, Any]] = {"verified_at": None, "verified_by": None, "verified_until": None}


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
    check_not_merged(organisation)
    # An identifier can be looked up in its public register, so it is something to verify by itself.
    if not organisation.identifier and not organisation.evidence.exists():
        raise RuleViolation(
            "evidence_missing",
            _("Give a registration number or upload a document, so that there is something to verify."),
            field="identifier",
        )
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
    seen: dt.datetime | None = None,
    now: dt.datetime | None = None,
) -> None:
    """Verify: a coordinator has seen the evidence. It lasts a year unless `until` says otherwise.

    `seen` is the `updated_at` that the coordinator looked at. Raises `state_changed` if the facts changed since,
    `organisation_merged`, and `identifier_taken` if another verified organisation has the same registration number.
    """
    now = now or timezone.now()
    _check_seen(organisation, seen)
    check_not_merged(organisation)
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
def reject_organisation(organisation: Organisation, *, by: User, reason: str) -> None:
    """Reject, with a reason. The organisation may correct its facts and submit again. Raises `reason_missing`."""
    if not reason.strip():
        raise RuleViolation("reason_missing", _("Say why, so that they can correct it."), field="reason")
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
