"""The verbs of duplicates: with `merging.py` the only writer of this app's tables."""

from collections.abc import Iterable
from typing import Final

from django.db import connection, transaction
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Organisation, User
from apps.accounts.permissions import Permission, can
from apps.core import audit
from apps.core.errors import RuleViolation
from apps.core.states import move
from apps.duplicates import search
from apps.duplicates.evidence import Likeness, compare
from apps.duplicates.models import DuplicateProposal, OrganisationKey, ProposalState

# The number of an advisory lock, "twins" in ASCII: of two searches at once, neither would see the keys of the other.
_LOCK: Final = 0x7477696E73


@transaction.atomic
def look_for_duplicates(limit: int = 200) -> int:
    """Compare organisations that are new or changed with those like them, and propose the pairs that are likely one.

    Returns how many organisations were looked at; 0 also while another worker looks.
    """
    if not _locked():
        return 0
    fresh = Q(pk__in=OrganisationKey.objects.filter(seen_at=F("organisation__updated_at")).values("organisation"))
    due = Organisation.objects.filter(merged_into=None).exclude(kind__in=search.KEPT_APART).exclude(fresh)
    organisations = list(due.order_by("pk")[:limit])
    if not organisations:
        return 0

    places = search.load_places()
    facts = {one.pk: search.facts_of(one, places) for one in organisations}
    keys = [search.key_of(one, facts[one.pk], places) for one in organisations]
    search.write_keys(keys)
    search.compare_by_name()
    # All keys are there before the first search, so a pair within this turn is found, too.
    found = {key.organisation_id: search.candidates_of(key, places) for key in keys}
    others = search.comparable({pk for pks in found.values() for pk in pks} - set(facts))
    facts |= {pk: search.facts_of(one, places) for pk, one in others.items()}
    pairs = {tuple(sorted((one, other))) for one, candidates in found.items() for other in candidates & set(facts)}
    compared = {pair: compare(facts[pair[0]], facts[pair[1]], places) for pair in sorted(pairs)}
    _propose(compared, looked_at=[one.pk for one in organisations])
    return len(organisations)


def _locked() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        return bool(cursor.fetchone()[0])


def _propose(compared: dict[tuple[int, ...], Likeness], *, looked_at: list[int]) -> None:
    """Propose the likely pairs. Open proposals about the organisations `looked_at` that are not likely any more go.

    What a coordinator proposed by hand stays, with the evidence as it is now.
    """
    likely = {pair: evidence for pair, evidence in compared.items() if evidence.is_likely}
    known = {
        (row.first_id, row.second_id): row
        for row in DuplicateProposal.objects.filter(Q(first__in=looked_at) | Q(second__in=looked_at))
    }
    new = [
        DuplicateProposal(first_id=first, second_id=second, score=evidence.score, findings=dict(evidence.findings))
        for (first, second), evidence in likely.items()
        if (first, second) not in known
    ]
    DuplicateProposal.objects.bulk_create(new)
    for pair, row in known.items():
        # What a coordinator has decided keeps the evidence that it was decided on.
        if row.state != ProposalState.OPEN:
            continue
        if row.proposed_by_id is None and pair not in likely:
            row.delete()
        elif pair in compared and row.findings != compared[pair].findings:
            row.score, row.findings = compared[pair].score, dict(compared[pair].findings)
            row.save(update_fields=["score", "findings"])


@transaction.atomic
def propose_pair(one: Organisation, other: Organisation, *, by: User, reason: str) -> DuplicateProposal:
    """Put two organisations before the desk as one, with the evidence that there is. Another coordinator decides.

    A pair that waits for a decision already stays as it is. Raises `own_organisation` and `not_in_charge` (403),
    `reason_missing`, `organisation_merged` and `kinds_differ`.
    """
    check_not_own((one, other), by)
    check_in_charge((one, other), by)
    if not reason.strip():
        raise RuleViolation("reason_missing", _("Say how you know that they are one."), field="reason")
    if one.pk == other.pk or one.is_merged or other.is_merged:
        raise RuleViolation("organisation_merged", _("Name two organisations that stand here side by side."))
    if {one.kind, other.kind} & set(search.KEPT_APART):
        raise RuleViolation("kinds_differ", _("Desks and government departments are not merged."))
    first, second = sorted((one, other), key=lambda organisation: organisation.pk)
    places = search.load_places()
    found = compare(search.facts_of(first, places), search.facts_of(second, places), places)
    facts = {"score": found.score, "findings": dict(found.findings), "proposed_by": by, "reason": reason.strip()}
    proposal, is_new = DuplicateProposal.objects.get_or_create(first=first, second=second, defaults=facts)
    if not is_new:
        if proposal.state == ProposalState.OPEN:
            return proposal
        move(proposal, ProposalState.OPEN, decided_by=None, note="", **facts)
    for organisation in (first, second):
        audit.record(by, "duplicate.proposed", organisation, proposal=proposal.pk, reason=proposal.reason)
    return proposal


@transaction.atomic
def dismiss_proposal(proposal: DuplicateProposal, *, by: User, note: str = "") -> None:
    """The two are two. The pair is not proposed again. Raises `own_organisation` for whoever belongs to one of them."""
    check_not_own((proposal.first, proposal.second), by)
    move(proposal, ProposalState.DISMISSED, decided_by=by, note=note.strip())
    for organisation in (proposal.first, proposal.second):
        audit.record(by, "duplicate.dismissed", organisation, proposal=proposal.pk, note=note.strip())


def check_in_charge(organisations: Iterable[Organisation], by: User) -> None:
    """Raise `not_in_charge` unless all of these are in regions that the user coordinates."""
    if not all(can(by, Permission.COORDINATE, organisation) for organisation in organisations):
        raise RuleViolation("not_in_charge", _("Both must be in a region that you coordinate."), status=403)


def check_not_own(organisations: Iterable[Organisation], by: User) -> None:
    """Raise `own_organisation`: who belongs to one of two organisations does not decide whether they are one."""
    own = {grant.organisation_id for grant in by.grants}
    if own & {organisation.pk for organisation in organisations}:
        raise RuleViolation(
            "own_organisation", _("You belong to one of the two. Another coordinator decides."), status=403
        )
