"""Registering organisations, importing them, and changing their facts."""

import unicodedata
from typing import Any, Final

from django.db import transaction
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from apps.accounts.membership import add_member, keep_default_organisation
from apps.accounts.models import IdentifierKind, Organisation, OrganisationState, User
from apps.accounts.permissions import OPEN_KINDS, Role, check_manages
from apps.accounts.verification import NO_VERIFICATION, clear_verification
from apps.catalogue import identifiers
from apps.catalogue.models import Region
from apps.core import audit
from apps.core.errors import RuleViolation

# Categories of Unicode: what controls, and what formats without being seen. Some scripts need the two joiners.
_UNSEEN: Final = {"Cc", "Cf"}
_JOINERS: Final = "\u200c\u200d"


def check_identifier(kind: str, identifier: str) -> str:
    """The identifier in its normal form. Raises `identifier_invalid`: too long, or a wrong check character."""
    identifier = identifier.strip().upper()
    if not identifier:
        return ""
    # Capitals may be longer than what was typed: ŉ becomes two signs.
    if len(identifier) > (Organisation._meta.get_field("identifier").max_length or 0):
        raise RuleViolation("identifier_invalid", _("This is too long."), field="identifier")
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


def seen_name(name: str) -> str:
    """The name on one line, as it is seen: without control characters and signs that hide, or turn what follows."""
    line = " ".join(name.split())
    return "".join(sign for sign in line if unicodedata.category(sign) not in _UNSEEN or sign in _JOINERS).strip()


def _check_name(name: str) -> str:
    """The name as it is seen. Raises `name_invalid` for one without a letter or digit."""
    name = seen_name(name)
    if not any(sign.isalnum() for sign in name):
        raise RuleViolation("name_invalid", _("Some of the information is not valid."), field="name")
    return name


@transaction.atomic
def register_organisation(
    *, by: User, name: str, kind: str, region: Region, joins: bool = True, **facts: Any
) -> Organisation:
    """Register an unverified organisation: anyone may, and may draft needs and offers with it.

    `by` becomes its manager, unless a coordinator registers it for a caller (`joins=False`). `facts` are the other
    fields that people fill in. Raises `kind_closed`, `name_invalid` and `identifier_invalid`.
    """
    # Coordinators decide about others, so nobody makes a coordinator of themselves.
    if kind not in OPEN_KINDS:
        raise RuleViolation("kind_closed", _("Coordinators are set up in the back office."), field="kind")

    facts["identifier"] = check_identifier(
        facts.get("identifier_kind", IdentifierKind.USCC), facts.get("identifier", "")
    )
    organisation = Organisation.objects.create(name=_check_name(name), kind=kind, region=region, **facts)
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

    A new one has no members and is unverified. An existing one is left alone, as people may have corrected it since;
    for one that was merged it is the survivor.
    """
    if kind not in OPEN_KINDS:
        raise RuleViolation("kind_closed", _("Coordinators are set up in the back office."), field="kind")

    # Two imports at once: the unique constraint lets one create the row, and the other gets it.
    organisation, made = Organisation.objects.get_or_create(
        source=source, source_key=source_key, defaults={"name": name, "kind": kind, "region": region, **facts}
    )
    if made:
        audit.record(by, "organisation.imported", organisation, source=source)
    return organisation.merged_into or organisation, made


@transaction.atomic
def amend_organisation(organisation: Organisation, *, by: User, **changes: Any) -> Organisation:
    """Change facts of an organisation. Changing a verified fact clears the verification. Raises `office_of_others`."""
    check_manages(by, organisation)
    # Locked, so that a verification at the same moment sees either the old facts or the new ones, and not a mixture.
    organisation = Organisation.objects.select_for_update(of=["self"], no_key=True).get(pk=organisation.pk)
    if "identifier" in changes or "identifier_kind" in changes:
        changes["identifier"] = check_identifier(
            changes.get("identifier_kind", organisation.identifier_kind),
            changes.get("identifier", organisation.identifier),
        )
    if "name" in changes:
        changes["name"] = _check_name(changes["name"])
    if "kind" in changes and changes["kind"] not in OPEN_KINDS | {organisation.kind}:
        raise RuleViolation("kind_closed", _("Coordinators are set up in the back office."), field="kind")

    changed = {name: value for name, value in changes.items() if getattr(organisation, name) != value}
    for name, value in changed.items():
        setattr(organisation, name, value)
    organisation.save(update_fields=list(changed))

    touched = sorted(set(changed) & set(Organisation.VERIFIED_FACTS))
    looked_at = organisation.state in {OrganisationState.VERIFIED, OrganisationState.PENDING}
    if touched and organisation.has_resting_verification:
        # What rests is the verification of the old facts.
        Organisation.objects.filter(pk=organisation.pk).update(**NO_VERIFICATION)
    elif touched and looked_at:
        clear_verification(organisation, by=by, reason=gettext_noop("Facts that were verified have changed."))
    if changed:
        audit.record(by, "organisation.amended", organisation, fields=sorted(changed))
    return organisation
