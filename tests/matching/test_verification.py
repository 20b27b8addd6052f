"""What a change of verification sets going: somebody is told, and what was passed over is matched."""

import datetime as dt

import pytest
from django.utils import timezone

from apps.accounts import services as accounts
from apps.accounts.models import Organisation, OrganisationState, User
from apps.accounts.permissions import Role
from apps.core.errors import RuleViolation
from apps.demands import services as demands
from apps.demands.lines import DemandLine
from apps.fulfilment.models import Order
from apps.fulfilment.services import accept_match
from apps.matching import notices
from apps.matching import services as matching
from apps.matching.models import Match, MatchState
from apps.matching.tasks import watch_verifications
from apps.notifications.models import Message
from tests.factories import (
    CALL_BACK,
    DemandFactory,
    ItemFactory,
    MatchFactory,
    OfferFactory,
    OrganisationFactory,
    member,
)

pytestmark = pytest.mark.django_db


def told() -> set[tuple[str, str]]:
    return set(Message.objects.values_list("event", "address"))


def test_a_need_is_matched_when_its_hospital_is_verified_again(
    hospital: Organisation, buyer: User, coordinator: User
) -> None:
    OfferFactory.create()
    accounts.amend_organisation(hospital, by=buyer, name="New name")
    DemandFactory.create(organisation=hospital, queued=True)
    matching.sweep()
    assert not Match.objects.exists()

    accounts.verify_organisation(Organisation.objects.get(pk=hospital.pk), by=coordinator, call_back=CALL_BACK)
    notices.announce_verifications()
    matching.sweep()

    assert Match.objects.get().state == MatchState.HELD
    assert ("organisation.verified", buyer.email) in told()


def test_what_a_dormant_organisation_has_rests_until_a_manager_returns(hospital: Organisation, buyer: User) -> None:
    OfferFactory.create()
    clerk = member(hospital, Role.MEMBER).memberships.get()
    DemandFactory.create(organisation=hospital, queued=True)
    matching.sweep()
    asked = Match.objects.get()

    accounts.leave_organisation(buyer.memberships.get(), goes_dormant=True)
    matching.take_back_invalid()
    notices.announce_verifications()
    matching.sweep()
    asked.refresh_from_db()
    assert asked.state == MatchState.CANCELLED
    assert not Match.objects.held().exists()

    accounts.change_role(clerk, Role.MANAGER, by=clerk.user)
    notices.announce_verifications()
    matching.sweep()
    assert Match.objects.held().get().demand == asked.demand


def test_an_offer_is_used_when_its_supplier_is_verified_again(
    maker: Organisation, supplier: User, coordinator: User
) -> None:
    offer = OfferFactory.create(organisation=maker)
    accounts.amend_organisation(maker, by=supplier, name="New name")
    DemandFactory.create(queued=True)
    matching.sweep()
    assert not Match.objects.exists()

    accounts.verify_organisation(Organisation.objects.get(pk=maker.pk), by=coordinator)
    notices.announce_verifications()
    matching.sweep()

    assert Match.objects.get().offer == offer


def test_a_post_goes_out_with_the_verification_and_a_draft_does_not(coordinator: User) -> None:
    OfferFactory.create()
    clinic = OrganisationFactory.create(unverified=True, identifier="X1")
    owner = member(clinic)
    posted, kept = (DemandFactory.create(organisation=clinic, draft=True, posted_by=owner) for _i in range(2))
    with pytest.raises(RuleViolation):
        demands.open_demand(posted, by=owner)
    demands.await_verification(posted, by=owner)

    accounts.verify_organisation(clinic, by=coordinator, call_back=CALL_BACK)
    notices.announce_verifications()
    matching.sweep()

    assert Match.objects.get().demand == posted
    kept.refresh_from_db()
    assert kept.state == "draft"


def test_each_news_is_told_once_and_only_the_latest(hospital: Organisation, buyer: User, coordinator: User) -> None:
    clinic = OrganisationFactory.create(unverified=True, identifier="X1")
    owner = member(clinic)
    accounts.submit_for_verification(clinic, by=owner)

    assert notices.announce_verifications() == 1
    assert notices.announce_verifications() == 0
    assert told() == {("organisation.submitted", coordinator.email)}

    accounts.reject_organisation(clinic, by=coordinator, reason="No stamp")
    accounts.verify_organisation(clinic, by=coordinator, call_back=CALL_BACK)
    assert notices.announce_verifications() == 1
    assert told() == {("organisation.submitted", coordinator.email), ("organisation.verified", owner.email)}


def test_a_verification_that_runs_out_is_ended_and_told(hospital: Organisation, buyer: User) -> None:
    Organisation.objects.filter(pk=hospital.pk).update(verified_until=timezone.now().date() - dt.timedelta(days=1))

    assert watch_verifications() == 1

    hospital.refresh_from_db()
    assert hospital.state == OrganisationState.UNVERIFIED
    assert told() == {("organisation.unverified", buyer.email)}


def test_an_absurd_quantity_is_put_before_the_nearest_coordinator(
    hospital: Organisation, buyer: User, coordinator: User
) -> None:
    [demand] = demands.post_demands(hospital, [DemandLine(item=ItemFactory.create(), quantity=10**11)], by=buyer)

    demands.open_demand(demand, by=buyer)

    assert told() == {("demand.held_for_review", coordinator.email)}


@pytest.mark.parametrize("side", ["demand", "offer"])
def test_an_unverified_side_gets_no_contact_by_accepting_a_hold(coordinator: User, side: str) -> None:
    match = MatchFactory.create()
    accounts.reject_organisation(getattr(match, side).organisation, by=coordinator, reason="Not who they say")

    with pytest.raises(RuleViolation) as refusal:
        accept_match(match, by=None)

    assert refusal.value.code == "organisation_unverified"
    assert not Order.objects.exists()
