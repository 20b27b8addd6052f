"""Merging two organisations that are one, and taking it back exactly."""

import datetime as dt
from typing import Any

import pytest
from django.db import connection, models
from django.utils import timezone

from apps.accounts import invitations
from apps.accounts import services as accounts
from apps.accounts.models import Membership, Organisation, OrganisationState, User
from apps.accounts.permissions import OrganisationKind, Permission, Role, can
from apps.core.errors import RuleViolation
from apps.core.models import AuditEntry
from apps.demands.lines import DemandLine
from apps.demands.models import Demand, DemandState
from apps.demands.services import open_awaiting, post_demands
from apps.duplicates.merging import RELATIONS, STAYING, follow_merges, merge_organisations, undo_merge
from apps.duplicates.models import DuplicateProposal, OrganisationMerge, ProposalState
from apps.duplicates.services import look_for_duplicates
from apps.fulfilment import services as fulfilment
from apps.matching.services import sweep
from apps.notifications.models import Message, WebhookEndpoint
from apps.notifications.services import add_webhook, queue_pending_notices
from apps.ops.data.invariants import INVARIANTS
from apps.supply.models import Offer
from tests.factories import (
    DemandFactory,
    ItemFactory,
    MatchFactory,
    MembershipFactory,
    OfferFactory,
    OrganisationFactory,
    SupplierFactory,
    UserFactory,
    member,
    region,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def twin(db: None) -> Organisation:
    """A second registration of the maker, verified like the first."""
    return SupplierFactory.create(name="Shenzhen Maker Ltd", identifier="T1")


@pytest.fixture
def clerk(twin: Organisation) -> User:
    return member(twin, Role.MANAGER, email="clerk@example.org", name="Clerk")


def rows() -> dict[str, list[tuple[Any, ...]]]:
    """All rows of what a merge may touch, but for the time of their change."""
    kinds = (Organisation, Membership, User, Demand, Offer, WebhookEndpoint)
    left_out = {"updated_at", "updated_hour", "match_requested_at", "last_login"}
    return {
        kind.__name__: list(
            kind._default_manager.order_by("pk").values_list(
                *[field.attname for field in kind._meta.concrete_fields if field.name not in left_out]
            )
        )
        for kind in kinds
    }


def broken() -> list[str]:
    with connection.cursor() as cursor:
        return [name for name, query in INVARIANTS.items() if cursor.execute(query).fetchall()]


def refusal(*args: Any, **kwargs: Any) -> str:
    with pytest.raises(RuleViolation) as refused:
        merge_organisations(*args, **{"with_people": False, **kwargs})
    return refused.value.code


def test_needs_and_offers_move_with_their_matches_and_orders(
    maker: Organisation, twin: Organisation, hospital: Organisation, clerk: User, coordinator: User
) -> None:
    offer = OfferFactory.create(organisation=twin, quantity=5_000)
    held = MatchFactory.create(demand=DemandFactory.create(organisation=hospital), offer=offer)
    order = fulfilment.accept_match(
        MatchFactory.create(demand=DemandFactory.create(organisation=hospital), offer=offer), by=clerk
    )
    need = DemandFactory.create(organisation=twin)

    merge = merge_organisations(twin, maker, by=coordinator, with_people=True, note="One licence.")

    assert Offer.objects.get(pk=offer.pk).organisation == maker
    assert Demand.objects.get(pk=need.pk).organisation == maker
    held.refresh_from_db()
    order.refresh_from_db()
    assert (held.state, held.offer.organisation, order.match.offer.organisation) == ("held", maker, maker)
    assert merge.moved["offers"] == [offer.pk]
    assert merge.moved["demands"] == [need.pk]
    assert broken() == []
    fulfilment.ship_order(order, by=User.objects.get(pk=clerk.pk))
    sweep()
    assert broken() == []
    twin.refresh_from_db()
    assert (twin.merged_into, twin.state, twin.is_dormant) == (maker, OrganisationState.UNVERIFIED, False)
    noted = AuditEntry.objects.filter(event="organisation.merged").values_list("target_id", "data__note")
    assert set(noted) == {(str(maker.pk), "One licence."), (str(twin.pk), "One licence.")}


@pytest.mark.parametrize("with_people", [True, False])
def test_an_undo_puts_every_row_back(
    with_people: bool, maker: Organisation, twin: Organisation, supplier: User, clerk: User, coordinator: User
) -> None:
    both = member(maker, Role.VIEWER)
    MembershipFactory.create(user=both, organisation=twin, role=Role.MANAGER)
    accounts.amend_user(clerk, default_organisation=twin)
    add_webhook(twin, url="https://twin.example.org/hook", by=clerk)
    earlier = OrganisationFactory.create(kind=OrganisationKind.SUPPLIER, name="Earlier")
    merge_organisations(earlier, twin, by=coordinator, with_people=False)
    for organisation in (maker, twin):
        DemandFactory.create(organisation=organisation)
        DemandFactory.create(organisation=organisation, draft=True)
        OfferFactory.create(organisation=organisation)
    before = rows()

    merge = merge_organisations(twin, maker, by=coordinator, with_people=with_people)
    assert rows() != before
    earlier.refresh_from_db()
    assert earlier.merged_into == maker
    undo_merge(merge, by=coordinator)

    assert rows() == before
    assert (merge.undone_by, merge.undone_at is not None) == (coordinator, True)


def test_what_happened_since_stays_after_an_undo(
    maker: Organisation, twin: Organisation, supplier: User, clerk: User, coordinator: User
) -> None:
    offer = OfferFactory.create(organisation=twin, quantity=100)
    merge = merge_organisations(twin, maker, by=coordinator, with_people=True)
    Offer.objects.filter(pk=offer.pk).update(quantity=250)
    own = OfferFactory.create(organisation=maker)
    accounts.remove_member(clerk.memberships.get(), by=supplier)
    undo_merge(merge, by=coordinator)
    offer.refresh_from_db()
    assert (offer.organisation, offer.quantity) == (twin, 250)
    assert Offer.objects.get(pk=own.pk).organisation == maker
    assert not Membership.objects.filter(user=clerk).exists()


def test_people_come_along_once_and_with_their_role(
    maker: Organisation, twin: Organisation, supplier: User, clerk: User, coordinator: User
) -> None:
    both = member(twin, Role.MANAGER)
    MembershipFactory.create(user=both, organisation=maker, role=Role.VIEWER)
    viewer = member(twin, Role.VIEWER)
    merge_organisations(twin, maker, by=coordinator, with_people=True)
    roles = dict(Membership.objects.filter(organisation=maker).values_list("user", "role"))
    assert roles == {supplier.pk: "manager", clerk.pk: "manager", both.pk: "viewer", viewer.pk: "viewer"}


def test_people_who_stay_behind_see_and_do_nothing_more(
    maker: Organisation, twin: Organisation, clerk: User, coordinator: User
) -> None:
    add_webhook(twin, url="https://twin.example.org/hook", by=clerk)
    merge_organisations(twin, maker, by=coordinator, with_people=False)
    clerk = User.objects.get(pk=clerk.pk)
    twin.refresh_from_db()
    assert not can(clerk, Permission.VIEW, maker)
    assert [permission for permission in Permission if can(clerk, permission, twin)] == [Permission.VIEW]
    assert WebhookEndpoint.objects.get().organisation == twin
    assert not can(User.objects.get(pk=coordinator.pk), Permission.POST_DEMANDS, twin)


def test_no_more_webhooks_come_than_an_organisation_may_have(
    maker: Organisation, twin: Organisation, supplier: User, clerk: User, coordinator: User
) -> None:
    for number in range(9):
        add_webhook(maker, url=f"https://maker.example.org/{number}", by=supplier)
    for number in range(3):
        add_webhook(twin, url=f"https://twin.example.org/{number}", by=clerk)
    merge_organisations(twin, maker, by=coordinator, with_people=True)
    assert (maker.webhooks.count(), twin.webhooks.count()) == (10, 2)


def test_an_invitation_of_the_merged_one_rests_until_an_undo(
    maker: Organisation, twin: Organisation, clerk: User, coordinator: User
) -> None:
    invitation = invitations.invite(twin, "nurse@example.org", role=Role.MEMBER, by=clerk)
    merge = merge_organisations(twin, maker, by=coordinator, with_people=True)
    nurse = UserFactory.create(email="nurse@example.org")
    invitation = type(invitation).objects.get(pk=invitation.pk)
    with pytest.raises(RuleViolation) as refused:
        invitations.accept_invitation(invitation, by=nurse)
    assert refused.value.code == "organisation_merged"
    undo_merge(merge, by=coordinator)
    invitation = type(invitation).objects.get(pk=invitation.pk)
    assert invitations.accept_invitation(invitation, by=nurse).organisation == twin


def test_both_sides_are_told_and_nobody_twice(
    maker: Organisation, twin: Organisation, supplier: User, clerk: User, coordinator: User
) -> None:
    both = member(twin)
    MembershipFactory.create(user=both, organisation=maker)
    merge = merge_organisations(twin, maker, by=coordinator, with_people=True)
    undo_merge(merge, by=coordinator)
    queue_pending_notices()
    for event in ("organisation.merged", "organisation.merge_undone"):
        told = Message.objects.filter(event=event).values_list("address", flat=True)
        assert sorted(told) == sorted([supplier.email, clerk.email, both.email])


def test_a_member_of_either_does_not_merge_or_undo(maker: Organisation, twin: Organisation, coordinator: User) -> None:
    merge = merge_organisations(twin, maker, by=coordinator, with_people=False)
    MembershipFactory.create(user=coordinator, organisation=maker)
    coordinator = User.objects.get(pk=coordinator.pk)
    with pytest.raises(RuleViolation) as refused:
        undo_merge(merge, by=coordinator)
    assert refused.value.code == "own_organisation"
    assert refusal(SupplierFactory.create(), maker, by=coordinator) == "own_organisation"


def test_only_a_coordinator_of_both_regions_merges(maker: Organisation, twin: Organisation, supplier: User) -> None:
    wuhan = OrganisationFactory.create(kind=OrganisationKind.COORDINATOR, region=region("420100"))
    clinic = OrganisationFactory.create(kind=OrganisationKind.SUPPLIER)
    local = member(wuhan)
    assert refusal(twin, maker, by=local) == "not_in_charge"
    assert refusal(clinic, maker, by=local) == "not_in_charge"
    stranger = UserFactory.create()
    assert refusal(twin, maker, by=stranger) == "not_in_charge"


def test_what_cannot_be_one_is_not_merged(
    maker: Organisation, twin: Organisation, hospital: Organisation, coordinator: User, partner: User
) -> None:
    unverified = SupplierFactory.create(unverified=True)
    office = partner.memberships.get().organisation
    other_office = OrganisationFactory.create(kind=OrganisationKind.GOVERNMENT)
    assert refusal(maker, maker, by=coordinator) == "organisation_merged"
    assert refusal(maker, unverified, by=coordinator) == "survivor_unverified"
    assert refusal(maker, hospital, by=coordinator) == "kinds_differ"
    assert refusal(office, other_office, by=coordinator) == "kinds_differ"
    MatchFactory.create(demand=DemandFactory.create(organisation=maker), offer=OfferFactory.create(organisation=twin))
    assert refusal(twin, maker, by=coordinator) == "organisations_trade"
    merge_organisations(unverified, maker, by=coordinator, with_people=False)
    assert refusal(unverified, twin, by=coordinator) == "organisation_merged"
    assert refusal(twin, unverified, by=coordinator) == "organisation_merged"


def test_facts_that_changed_since_the_page_was_shown_stop_it(
    maker: Organisation, twin: Organisation, coordinator: User
) -> None:
    seen = [Organisation.objects.get(pk=one.pk).updated_at for one in (twin, maker)]
    Organisation.objects.filter(pk=twin.pk).update(name="Ministry of Masks")
    assert refusal(twin, maker, by=coordinator, seen=seen) == "state_changed"


def test_a_merge_is_undone_once_and_from_the_last(maker: Organisation, twin: Organisation, coordinator: User) -> None:
    third = SupplierFactory.create()
    first = merge_organisations(twin, maker, by=coordinator, with_people=False)
    second = merge_organisations(maker, third, by=coordinator, with_people=False)
    with pytest.raises(RuleViolation):
        undo_merge(first, by=coordinator)
    undo_merge(second, by=coordinator)
    undo_merge(first, by=coordinator)
    with pytest.raises(RuleViolation) as refused:
        undo_merge(first, by=coordinator)
    assert refused.value.code == "merge_undone"
    twin.refresh_from_db()
    assert twin.merged_into is None


def test_a_merged_organisation_is_not_verified_and_its_number_is_free(
    maker: Organisation, twin: Organisation, coordinator: User
) -> None:
    merge = merge_organisations(twin, maker, by=coordinator, with_people=False)
    twin.refresh_from_db()
    with pytest.raises(RuleViolation) as refused:
        accounts.verify_organisation(twin, by=coordinator)
    assert refused.value.code == "organisation_merged"
    other = SupplierFactory.create(identifier="T1")
    undo_merge(merge, by=coordinator)
    twin.refresh_from_db()
    # Another is verified with the number by now, so the undo leaves it to a coordinator.
    assert (twin.state, other.state) == (OrganisationState.UNVERIFIED, OrganisationState.VERIFIED)


def test_drafts_that_waited_for_verification_go_out_with_the_survivor(
    hospital: Organisation, coordinator: User
) -> None:
    twin = OrganisationFactory.create(unverified=True)
    waiting = DemandFactory.create(organisation=twin, draft=True, state_code="organisation_unverified")
    merge_organisations(twin, hospital, by=coordinator, with_people=True)
    waiting.refresh_from_db()
    assert (waiting.organisation, waiting.state) == (hospital, DemandState.OPEN)


def test_nothing_goes_out_for_people_who_stay_behind(hospital: Organisation, coordinator: User) -> None:
    # An impostor: the name of the hospital, and the goods to another door.
    twin = OrganisationFactory.create(unverified=True, name=hospital.name)
    facts: dict[str, Any] = {"draft": True, "state_code": "organisation_unverified", "address": "7 Thief Road"}
    waiting = DemandFactory.create(organisation=twin, **facts)
    merge_organisations(twin, hospital, by=coordinator, with_people=False)
    late = DemandFactory.create(organisation=twin, **facts)
    follow_merges()
    # The next verification of the hospital is about the hospital.
    open_awaiting([hospital], now=timezone.now())
    for need in (waiting, late):
        need.refresh_from_db()
        assert (need.organisation, need.state) == (hospital, DemandState.DRAFT)


def test_facts_that_change_during_a_merge_are_verified_anew(
    maker: Organisation, twin: Organisation, coordinator: User
) -> None:
    merge = merge_organisations(twin, maker, by=coordinator, with_people=False)
    accounts.amend_organisation(twin, by=UserFactory.create(is_staff=True), name="Ministry of Masks")
    undo_merge(merge, by=coordinator)
    twin.refresh_from_db()
    assert (twin.name, twin.state) == ("Ministry of Masks", OrganisationState.UNVERIFIED)


def test_what_is_posted_for_a_merged_one_follows(
    hospital: Organisation, coordinator: User, django_assert_num_queries: Any
) -> None:
    twin = OrganisationFactory.create()
    merge = merge_organisations(twin, hospital, by=coordinator, with_people=False)
    # As a program does that read the organisation a moment before the merge.
    [late] = post_demands(twin, [DemandLine(item=ItemFactory.create(), quantity=10)], by=None)
    assert (follow_merges(), follow_merges()) == (1, 0)
    late.refresh_from_db()
    merge.refresh_from_db()
    assert (late.organisation, merge.moved["demands"]) == (hospital, [late.pk])


def test_the_next_import_of_a_board_finds_the_survivor(hospital: Organisation, coordinator: User) -> None:
    facts: dict[str, Any] = {"name": "Twin", "kind": "hospital", "region": hospital.region}
    twin, _made = accounts.import_organisation(source="board", source_key="1", **facts)
    merge_organisations(twin, hospital, by=coordinator, with_people=False)
    found, made = accounts.import_organisation(source="board", source_key="1", **facts)
    assert (found, made) == (hospital, False)


def test_a_merge_settles_the_proposal_and_an_undo_opens_it_again(coordinator: User) -> None:
    names = ("武昌医院", "武汉市武昌医院", "武漢武昌醫院")
    one, two, three = (OrganisationFactory.create(name=name, address="", contact_phone="") for name in names)
    look_for_duplicates()
    assert DuplicateProposal.objects.count() == 3
    merge = merge_organisations(two, one, by=coordinator, with_people=False)
    look_for_duplicates()
    states = {(row.first, row.second): row.state for row in DuplicateProposal.objects.all()}
    assert states == {(one, two): ProposalState.MERGED, (one, three): ProposalState.OPEN}
    undo_merge(merge, by=coordinator)
    look_for_duplicates()
    assert set(DuplicateProposal.objects.values_list("state", flat=True)) == {ProposalState.OPEN}
    assert DuplicateProposal.objects.count() == 3


def test_every_row_that_points_at_an_organisation_is_thought_of() -> None:
    """A new relation to an organisation moves with a merge or stays: say which, in `merging.py`."""
    pointing = {
        f"{relation.related_model._meta.label}.{relation.field.name}"
        for relation in Organisation._meta.get_fields(include_hidden=True)
        if isinstance(relation, models.ManyToOneRel | models.OneToOneRel)
    }
    moving = {f"{relation.model._meta.label}.{relation.field}" for relation in RELATIONS}
    assert pointing == moving | set(STAYING)


def test_a_merge_takes_as_many_queries_whatever_is_moved(
    maker: Organisation, coordinator: User, django_assert_max_num_queries: Any
) -> None:
    twin = SupplierFactory.create()
    for _number in range(5):
        OfferFactory.create(organisation=twin)
    with django_assert_max_num_queries(45):
        merge_organisations(twin, maker, by=coordinator, with_people=True, now=timezone.now() + dt.timedelta(hours=1))
    assert OrganisationMerge.objects.get().moved["offers"] == list(Offer.objects.values_list("pk", flat=True))
