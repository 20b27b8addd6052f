"""Merging two organisations that are one, and taking it back exactly.

A merge changes to whom rows belong and nothing else of them: a need, its matches and its orders go on as they are,
under the survivor. The merged organisation stays as an address that leads to the survivor. The rows that were moved
are kept by key, so an undo moves back these and no others; what happened to them since stays.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from django.db import IntegrityError, models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from apps.accounts.models import Membership, Organisation, OrganisationState, PendingNotice, User
from apps.accounts.permissions import KINDS, Role
from apps.accounts.verification import NO_VERIFICATION, clear_verification
from apps.core import audit
from apps.core.errors import RuleViolation
from apps.core.posts import STALE, Post, change_states
from apps.core.states import move
from apps.demands import services as demands
from apps.demands.models import Demand, DemandState, DemandStateCode
from apps.duplicates.models import DuplicateProposal, OrganisationKey, OrganisationMerge, ProposalState
from apps.duplicates.search import KEPT_APART
from apps.duplicates.services import check_in_charge, check_not_own
from apps.matching.models import Match, MatchState
from apps.notifications.models import WebhookEndpoint
from apps.notifications.services import MAX_WEBHOOKS, queue
from apps.supply.models import Offer, OfferState


@dataclass(frozen=True)
class OwnedRelation:
    """Rows that point at their organisation, and go with it to the survivor."""

    name: str
    model: type[models.Model]
    field: str
    with_people: bool = False  # only if its people come along


# In this order rows are locked: demands, then offers (decision 0006).
RELATIONS: Final = (
    OwnedRelation("demands", Demand, "organisation"),
    OwnedRelation("offers", Offer, "organisation"),
    OwnedRelation("merged", Organisation, "merged_into"),
    OwnedRelation("members", Membership, "organisation", with_people=True),
    OwnedRelation("defaults", User, "default_organisation", with_people=True),
    OwnedRelation("webhooks", WebhookEndpoint, "organisation", with_people=True),
    OwnedRelation("notices", PendingNotice, "organisation", with_people=True),
)
# What else points at an organisation stays with the merged one, for these reasons. A test names a relation that stands
# in neither list.
STAYING: Final = {
    "accounts.Invitation.organisation": "the invited agree to one organisation; it can be answered after an undo",
    "accounts.Evidence.organisation": "a document proves the facts of the organisation that it was given for",
    "notifications.Message.organisation": "it is written already, to the addresses of that time",
    "supply.SheetImport.organisation": "whoever sent a sheet sees it; the offers that it still saves follow",
    "matching.Escalation.organisation": "it went to a coordinator, and coordinators are not merged",
    "matching.SupplierRecord.organisation": "it is counted anew from matches every hour",
    "reports.AbuseReport.accused": "it is about what that organisation did; an appeal is made after an undo",
    "duplicates.OrganisationKey.organisation": "nobody looks for what is merged; an undo makes it anew",
    "duplicates.DuplicateProposal.first": "it is about the pair",
    "duplicates.DuplicateProposal.second": "it is about the pair",
    "duplicates.OrganisationMerge.survivor": "history",
    "duplicates.OrganisationMerge.merged": "history",
}
# The posts that are matched, and the code of those that wait for somebody to confirm them.
_OPEN: Final = (("demands", Demand, DemandState.OPEN), ("offers", Offer, OfferState.PUBLISHED))
_UNCONFIRMED: Final = DemandStateCode.NOBODY_CONFIRMED
# The columns of the merged organisation that a merge changes.
_CHANGED: Final = ("state", "state_reason", "announced_state")


@transaction.atomic
def merge_organisations(
    merged: Organisation,
    survivor: Organisation,
    *,
    by: User,
    with_people: bool,
    note: str = "",
    seen: Iterable[dt.datetime] = (),
    now: dt.datetime | None = None,
) -> OrganisationMerge:
    """Take `merged` for `survivor`: its needs and offers move, and with `with_people` its members and webhooks.

    Without its people nothing goes on unseen: drafts that waited for its verification stay drafts, and what is open is
    suspended until the survivor's people confirm it, with its address. Both sides are told. `seen` are the
    `updated_at` of the two, in this order, that the coordinator looked at. Raises `own_organisation`,
    `not_in_charge` and `needs_other_eyes` (403), `organisation_merged`, `kinds_differ`, `survivor_unverified`,
    `organisations_trade` and `state_changed`.
    """
    now = now or timezone.now()
    check_not_own((merged, survivor), by)
    merged, survivor = _locked(merged, survivor)
    check_in_charge((merged, survivor), by)
    _check_other_eyes(merged, survivor, by)
    _check_can_be_one(merged, survivor)
    if (times := list(seen)) and times != [merged.updated_at, survivor.updated_at]:
        raise RuleViolation("state_changed", _("One of the two has just changed. Check them and try again."))

    merge = OrganisationMerge.objects.create(
        merged=merged,
        survivor=survivor,
        merged_by=by,
        with_people=with_people,
        note=note.strip(),
        before={name: getattr(merged, name) for name in _CHANGED},
        was_managed=_is_managed(merged),
    )
    # Before anybody moves: each side is told through its own people, and a member of both once, by the key.
    for organisation in (merged, survivor):
        _tell("organisation.merged", organisation, merge)
    merge.moved = {
        relation.name: _move(_rows_of(relation, merged, survivor), relation, survivor, now)
        for relation in RELATIONS
        if with_people or not relation.with_people
    }
    Organisation.objects.filter(pk=merged.pk).update(
        merged_into=survivor,
        # Its verification rests, as that of a dormant one: an undo brings it back without verifying anew.
        state=OrganisationState.UNVERIFIED,
        state_reason="",
        # The merge is told, and not that the verification is gone.
        announced_state=OrganisationState.UNVERIFIED,
    )
    OrganisationKey.objects.filter(organisation=merged).delete()
    _settle_proposals(merged, survivor, by)
    if not with_people:
        _leave_to_survivor(merge, merge.moved, now)
    elif survivor.is_verified:
        demands.open_awaiting([survivor], now=now)
    merge.save(update_fields=["moved", "suspended"])
    for organisation, other in ((merged, survivor), (survivor, merged)):
        audit.record(by, "organisation.merged", organisation, merge=merge.pk, other=other.pk, note=merge.note)
    return merge


@transaction.atomic
def undo_merge(merge: OrganisationMerge, *, by: User, now: dt.datetime | None = None) -> None:
    """Take a merge back: what it moved, and is the survivor's still, is the merged organisation's again.

    One that nobody manages any more is to be verified again. Both sides are told. Raises `own_organisation`,
    `not_in_charge`, and `merge_undone` where it was undone already, or
    where the survivor itself was merged since.
    """
    now = now or timezone.now()
    check_not_own((merge.merged, merge.survivor), by)
    merged, survivor = _locked(merge.merged, merge.survivor)
    check_in_charge((merged, survivor), by)
    if not OrganisationMerge.objects.in_force().filter(pk=merge.pk).update(undone_at=now, undone_by=by):
        raise RuleViolation("merge_undone", _("This merge was undone already."))
    if merged.merged_into_id != survivor.pk or survivor.is_merged:
        raise RuleViolation("merge_undone", _("The survivor was merged since. Undo that first."))
    merge.refresh_from_db()

    _restore(merged, merge.before)
    for relation in RELATIONS:
        rows = relation.model._default_manager.filter(
            pk__in=merge.moved.get(relation.name, ()), **{relation.field: survivor}
        )
        _move(rows, relation, merged, now)
    _go_on(merge, now)
    merged.refresh_from_db()
    if merge.was_managed and merged.is_verified and not _is_managed(merged):
        clear_verification(merged, by=by, reason=gettext_noop("Nobody manages this organisation any more."))
    proposals = DuplicateProposal.objects.about(merged).about(survivor)
    proposals.filter(state=ProposalState.MERGED).update(state=ProposalState.OPEN, decided_by=None)
    # After the people are back, so that each side is told through its own.
    for organisation in (merged, survivor):
        _tell("organisation.merge_undone", organisation, merge)
    for organisation, other in ((merged, survivor), (survivor, merged)):
        audit.record(by, "organisation.merge_undone", organisation, merge=merge.pk, other=other.pk)


@transaction.atomic
def follow_merges(*, now: dt.datetime | None = None) -> int:
    """Move needs and offers that were posted for a merged organisation while it was merged. Returns how many."""
    now = now or timezone.now()
    posts = [relation for relation in RELATIONS if issubclass(relation.model, Post)]
    late: set[int] = set()
    for relation in posts:
        rows = relation.model._default_manager.filter(organisation__merged_into__isnull=False)
        late.update(rows.values_list("organisation", flat=True)[:100])
    followed = 0
    for merge in OrganisationMerge.objects.in_force().filter(merged__in=late).order_by("pk"):
        merged, survivor = _locked(merge.merged, merge.survivor)
        # A survivor that was merged itself has all that follows in its own merge.
        late_keys = {
            relation.name: _move(_rows_of(relation, merged, survivor), relation, survivor, now) for relation in posts
        }
        if not merge.with_people:
            _leave_to_survivor(merge, late_keys, now)
        for name, keys in late_keys.items():
            merge.moved.setdefault(name, []).extend(keys)
            followed += len(keys)
        merge.save(update_fields=["moved", "suspended"])
    return followed


# --- What may be merged -----------------------------------------------------------------------------------------------


def _locked(*organisations: Organisation) -> list[Organisation]:
    """The rows of these organisations, locked by key, in the order in which they were given."""
    keys = [organisation.pk for organisation in organisations]
    rows = Organisation.objects.select_related("region").select_for_update(of=["self"], no_key=True)
    found = {organisation.pk: organisation for organisation in rows.filter(pk__in=keys).order_by("pk")}
    return [found[pk] for pk in keys]


def _check_other_eyes(merged: Organisation, survivor: Organisation, by: User) -> None:
    pair = DuplicateProposal.objects.about(merged).about(survivor)
    if pair.filter(proposed_by=by, state=ProposalState.OPEN).exists():
        raise RuleViolation(
            "needs_other_eyes", _("You proposed that these are one: another coordinator decides."), status=403
        )


def _check_can_be_one(merged: Organisation, survivor: Organisation) -> None:
    if merged.pk == survivor.pk or merged.is_merged or survivor.is_merged:
        raise RuleViolation("organisation_merged", _("One of the two is merged already."))
    if {merged.kind, survivor.kind} & set(KEPT_APART) or not KINDS[merged.kind] <= KINDS[survivor.kind]:
        raise RuleViolation("kinds_differ", _("The survivor must be of a kind that may do all that the other does."))
    if merged.is_verified and not survivor.is_verified:
        raise RuleViolation("survivor_unverified", _("Keep the verified one, or verify the other first."))
    pair = (merged, survivor)
    # Needs and offers of one organisation are never matched, and goods on their way between two are no error of ours.
    between = Match.objects.filter(demand__organisation__in=pair, offer__organisation__in=pair)
    if between.filter(state__in=[MatchState.HELD, MatchState.STANDBY, MatchState.ACCEPTED]).exists():
        raise RuleViolation("organisations_trade", _("One of the two supplies the other, so they are two."))


# --- Moving rows ------------------------------------------------------------------------------------------------------


def _rows_of(relation: OwnedRelation, merged: Organisation, survivor: Organisation) -> models.QuerySet[Any]:
    rows = relation.model._default_manager.filter(**{relation.field: merged})
    if relation.name == "members":
        # Who belongs to both already keeps both: the second row would be double there.
        return rows.exclude(user__in=Membership.objects.filter(organisation=survivor).values("user"))
    if relation.name == "webhooks":
        room = MAX_WEBHOOKS - WebhookEndpoint.objects.filter(organisation=survivor).count()
        return rows.filter(pk__in=list(rows.order_by("pk").values_list("pk", flat=True)[: max(0, room)]))
    return rows


def _move(rows: models.QuerySet[Any], relation: OwnedRelation, to: Organisation, now: dt.datetime) -> list[int]:
    """Give the rows to another organisation, locked by key. Returns their keys."""
    keys = list(rows.select_for_update(of=["self"], no_key=True).order_by("pk").values_list("pk", flat=True))
    moved = relation.model._default_manager.filter(pk__in=keys)
    moved.update(**{relation.field: to})
    if issubclass(relation.model, Post):
        # The survivor may be verified where the other was not, and has offers of its own that must not serve its needs.
        moved.filter(state__in=relation.model.LIVE).update(match_requested_at=now)
    return keys


def _leave_to_survivor(merge: OrganisationMerge, moved: dict[str, list[int]], now: dt.datetime) -> None:
    """Leave it to the survivor's people which of these posts go on: address and contact are those of the others.

    Whoever registered its name may have posted them, with an address of their own.
    """
    drafts = Demand.objects.filter(pk__in=moved["demands"], state=DemandState.DRAFT)
    drafts.filter(state_code=DemandStateCode.ORGANISATION_UNVERIFIED).update(state_code="")
    for name, model, state in _OPEN:
        posts: list[Post] = list(model._default_manager.filter(pk__in=moved[name], state=state).order_by("pk"))
        merge.suspended.setdefault(name, []).extend(post.pk for post in posts)
        change_states(posts, STALE, now=now, code=_UNCONFIRMED)


def _go_on(merge: OrganisationMerge, now: dt.datetime) -> None:
    """Open again what the merge suspended and nobody has confirmed, or ended, since."""
    for name, model, state in _OPEN:
        suspended = model._default_manager.filter(pk__in=merge.suspended.get(name, ()), organisation=merge.merged)
        waiting: list[Post] = list(suspended.filter(state=STALE, state_code=_UNCONFIRMED))
        change_states(waiting, state, now=now, code="")


def _is_managed(organisation: Organisation) -> bool:
    return organisation.memberships.filter(role=Role.MANAGER).exists()


def _restore(merged: Organisation, before: dict[str, Any]) -> None:
    """The merged organisation as it was. Without its verification if another has its number by now."""
    rows = Organisation.objects.filter(pk=merged.pk)
    try:
        with transaction.atomic():
            rows.update(merged_into=None, **before)
    except IntegrityError:
        rows.update(merged_into=None, **NO_VERIFICATION)


def _settle_proposals(merged: Organisation, survivor: Organisation, by: User) -> None:
    """The proposal of the pair is done; other open ones about the merged organisation are about nothing now."""
    about = DuplicateProposal.objects.about(merged)
    for proposal in about.about(survivor):
        if proposal.state != ProposalState.OPEN:
            move(proposal, ProposalState.OPEN)
        move(proposal, ProposalState.MERGED, decided_by=by)
    about.waiting().delete()


def _tell(event: str, organisation: Organisation, merge: OrganisationMerge) -> None:
    """Tell one side. Each is told of its own row: its people may not see the other one's facts."""
    facts = {
        "merge_id": merge.pk,
        "organisation_id": organisation.pk,
        "survivor": merge.survivor.name,
        "merged_id": merge.merged_id,
        "merged": merge.merged.name,
        "with_people": merge.with_people,
    }
    queue(event, organisation, facts, key=f"{event}:{merge.pk}")
