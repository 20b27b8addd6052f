"""What a version of the policy does to needs and offers: clocks, tiers, phases."""

import datetime as dt
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from apps.accounts.models import Organisation, User
from apps.accounts.permissions import OrganisationKind
from apps.core.errors import RuleViolation
from apps.demands import services as demands
from apps.demands.decisions import return_demand
from apps.demands.lines import DemandLine
from apps.demands.models import Demand, DemandState
from apps.fulfilment.services import accept_match, repeat_order
from apps.matching import escalation
from apps.matching import services as matching
from apps.matching.models import Escalation, Match
from apps.notifications.models import Notification
from apps.policy.services import make_policy
from apps.supply import freshness as offer_freshness
from apps.supply.models import Offer, OfferState
from tests.factories import DemandFactory, ItemFactory, MatchFactory, OfferFactory, OrganisationFactory, member, region

pytestmark = pytest.mark.django_db
HUBEI_LOOKS = {"phases": {"420000": {"phase": "emergency", "approval": True}}}


def posted(organisation: Organisation, **facts: Any) -> Demand:
    line = DemandLine(**{"item": ItemFactory.create(), "quantity": 100, **facts})
    return demands.post_demands(organisation, [line], by=None)[0]


def clocks(demand: Demand) -> tuple[Any, ...]:
    return demand.escalates_at, demand.ask_at, demand.stale_at


# --- Clocks -----------------------------------------------------------------------------------------------------------


def test_clocks_that_run_go_on_and_new_ones_follow_the_new_version(hospital: Organisation, coordinator: User) -> None:
    now = timezone.now()
    running = demands.open_demand(posted(hospital), by=None, now=now)
    before = clocks(running)
    quick = {"emergency": 1, "urgent": 2, "routine": 3}
    settings = {
        "escalation_hours": quick, "ask_hours": quick, "stale_hours": dict.fromkeys(quick, 9),
        "hold_minutes": quick,
    }  # fmt: skip
    make_policy(settings, note="Quicker", by=coordinator)

    fresh = demands.open_demand(posted(hospital), by=None, now=now)

    assert clocks(fresh) == (now + dt.timedelta(hours=2), now + dt.timedelta(hours=2), now + dt.timedelta(hours=9))
    running.refresh_from_db()
    assert clocks(running) == before
    confirmed = demands.confirm_demand(running, by=coordinator, now=now)
    assert confirmed.stale_at == now + dt.timedelta(hours=9)


def test_a_shorter_clock_suspends_no_offer_before_its_supplier_is_asked(coordinator: User) -> None:
    now = timezone.now()
    offer = OfferFactory.create(confirmed_at=now - dt.timedelta(days=5), published_at=now - dt.timedelta(days=5))
    make_policy({"offer_ask_hours": 24, "offer_stale_hours": 72}, note="Fresher", by=coordinator)

    assert offer_freshness.suspend_stale(now=now) == 0
    assert offer_freshness.ask_whether_still_there(now=now) == 1
    assert offer_freshness.suspend_stale(now=now + dt.timedelta(hours=47)) == 0
    assert offer_freshness.suspend_stale(now=now + dt.timedelta(hours=48)) == 1
    offer.refresh_from_db()
    assert offer.state == OfferState.STALE


def test_the_next_escalation_runs_by_the_version_in_force(hospital: Organisation, coordinator: User) -> None:
    now = timezone.now()
    OrganisationFactory.create(kind=OrganisationKind.COORDINATOR, region=region("420000"))
    demand = DemandFactory.create(organisation=hospital, escalates_at=now)
    make_policy({"escalation_hours": {"emergency": 1, "urgent": 4, "routine": 8}}, note="x", by=coordinator)

    escalation.escalate_due(now=now)

    demand.refresh_from_db()
    assert demand.escalates_at == now + dt.timedelta(hours=4)


# --- Tiers ------------------------------------------------------------------------------------------------------------


def two_needs() -> tuple[Demand, Demand]:
    village = OrganisationFactory.create(kind=OrganisationKind.COMMUNITY)
    firm = OrganisationFactory.create(kind=OrganisationKind.ENTERPRISE)
    return DemandFactory.create(organisation=village, queued=True), DemandFactory.create(organisation=firm, queued=True)


def test_the_tiers_of_the_policy_decide_who_is_served_first(coordinator: User) -> None:
    OfferFactory.create(quantity=1000)
    _village, firm = two_needs()
    tiers = {"hospital": 1, "health_facility": 2, "enterprise": 3, "community": 4, "supplier": 5}
    make_policy({"tiers": tiers}, note="Firms first", by=coordinator)

    matching.sweep()

    [match] = Match.objects.held()
    assert (match.demand, match.tier, match.policy_version) == (firm, 3, 2)


def test_a_hold_keeps_its_tier_under_a_version_that_lowers_it(coordinator: User) -> None:
    OfferFactory.create(quantity=1000)
    village, firm = two_needs()
    matching.sweep()
    assert Match.objects.held().get().demand == village
    tiers = {"hospital": 1, "health_facility": 2, "enterprise": 3, "community": 4, "supplier": 5}
    make_policy({"tiers": tiers}, note="Firms first", by=coordinator)

    demands.request_matching([firm.pk], now=timezone.now())
    matching.sweep()

    assert Match.objects.held().get().demand == village


# --- Phases -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def province(db: None) -> User:
    desk = OrganisationFactory.create(name="Hubei desk", kind=OrganisationKind.COORDINATOR, region=region("420000"))
    return member(desk, email="province@example.org")


def told(user: User) -> list[str]:
    return list(Notification.objects.filter(user=user).order_by("pk").values_list("event", flat=True))


def test_where_approval_is_required_a_coordinator_is_told_of_the_need(
    hospital: Organisation, buyer: User, province: User, coordinator: User
) -> None:
    make_policy(HUBEI_LOOKS, note="Emergency", by=coordinator)
    demand = demands.open_demand(posted(hospital), by=buyer)

    assert (demand.state, demand.state_code) == (DemandState.DRAFT, "approval_required")
    assert demand.awaits_review
    assert (told(province), told(coordinator)) == (["demand.awaits_approval"], [])
    since = demand.review_requested_at
    assert demands.open_demand(demand, by=buyer).review_requested_at == since
    assert told(province) == ["demand.awaits_approval"]

    opened = demands.open_demand(demand, by=province)
    assert (opened.state, opened.state_reason, opened.review_requested_at) == (DemandState.OPEN, "", None)


def test_an_approved_need_does_not_grow_by_ordering_again(
    hospital: Organisation, buyer: User, province: User, coordinator: User
) -> None:
    make_policy(HUBEI_LOOKS, note="Emergency", by=coordinator)
    need, offer = DemandFactory.create(organisation=hospital, quantity=100), OfferFactory.create(quantity=1_000_000)
    order = accept_match(MatchFactory.create(demand=need, offer=offer, quantity=100), by=None)

    with pytest.raises(RuleViolation) as refused:
        repeat_order(order, by=buyer, quantity=900_000)
    assert refused.value.code == "look_needed"
    assert repeat_order(order, by=province, quantity=200).quantity == 200


def test_where_no_region_requires_approval_needs_go_out_at_once(hospital: Organisation, coordinator: User) -> None:
    region("420100")
    phases = {**HUBEI_LOOKS["phases"], "420100": {"phase": "emergency", "approval": False}}
    make_policy({"phases": phases}, note="Not in Wuhan", by=coordinator)

    assert demands.open_demand(posted(hospital), by=None).state == DemandState.OPEN
    assert demands.open_demand(posted(hospital, region=region("440300")), by=None).state == DemandState.OPEN
    assert demands.open_demand(posted(hospital, region=region("429004")), by=None).state == DemandState.DRAFT


def test_a_need_is_returned_with_a_reason_and_sent_again(
    hospital: Organisation, buyer: User, province: User, coordinator: User
) -> None:
    make_policy(HUBEI_LOOKS, note="Emergency", by=coordinator)
    demand = demands.open_demand(posted(hospital), by=buyer)

    with pytest.raises(RuleViolation, match="what the requester should change"):
        return_demand(demand, by=province, reason=" ")
    returned = return_demand(demand, by=province, reason="Which size?")

    assert (returned.state, returned.state_reason, returned.awaits_review) == ("draft", "Which size?", False)
    assert told(buyer) == ["demand.returned"]
    with pytest.raises(RuleViolation, match="no longer waiting"):
        return_demand(returned, by=province, reason="again")
    again = timezone.now() + dt.timedelta(minutes=1)
    assert demands.open_demand(returned, by=buyer, now=again).awaits_review
    assert told(province) == ["demand.awaits_approval"] * 2


def test_an_unreviewed_need_goes_up_and_once_open_through_the_whole_chain(
    hospital: Organisation, buyer: User, province: User, coordinator: User
) -> None:
    make_policy(HUBEI_LOOKS, note="Emergency", by=coordinator)
    now = timezone.now()
    demand = demands.open_demand(posted(hospital, urgency="emergency"), by=buyer, now=now)

    assert escalation.escalate_due(now=now + dt.timedelta(minutes=119)).escalated == 0
    assert escalation.escalate_due(now=now + dt.timedelta(hours=2)).escalated == 1
    assert escalation.escalate_due(now=now + dt.timedelta(hours=9)).escalated == 0
    assert told(coordinator) == ["demand.escalated"]
    assert told(buyer) == ["demand.passed_on"]

    opened_at = now + dt.timedelta(hours=10)
    demand.refresh_from_db()
    demands.open_demand(demand, by=coordinator, now=opened_at)
    escalation.escalate_due(now=opened_at + dt.timedelta(hours=2))
    assert told(province) == ["demand.awaits_approval", "demand.escalated"]
    assert list(Escalation.objects.order_by("pk").values_list("level", "for_approval")) == [(1, True), (1, False)]


def test_the_most_pressing_need_is_shown_first(hospital: Organisation) -> None:
    now = timezone.now()
    old = DemandFactory.create(
        draft=True, review_requested_at=now - dt.timedelta(days=1), state_code="approval_required"
    )
    pressing = DemandFactory.create(
        draft=True, review_requested_at=now, state_code="approval_required", urgency="emergency"
    )
    assert list(Demand.objects.awaiting_review().most_pressing_first()) == [pressing, old]


def test_what_waited_for_verification_waits_for_approval_next(coordinator: User) -> None:
    region("420000")
    make_policy(HUBEI_LOOKS, note="Emergency", by=coordinator)
    clinic = OrganisationFactory.create(unverified=True)
    demand = posted(clinic)
    demands.await_verification(demand, by=None)
    Organisation.objects.filter(pk=clinic.pk).update(state="verified", verified_at=timezone.now())
    clinic.refresh_from_db()

    assert demands.open_awaiting([clinic], now=timezone.now()) == 0
    demand.refresh_from_db()
    assert demand.awaits_review


@pytest.mark.parametrize("size", [1, 6])
def test_a_sweep_reads_the_policy_once(
    coordinator: User, size: int, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    make_policy({}, note="x", by=coordinator)
    now = timezone.now()
    for _i in range(size):
        DemandFactory.create(escalates_at=now)
        DemandFactory.create(queued=True)
        OfferFactory.create(confirmed_at=now - dt.timedelta(days=11))
    with django_assert_max_num_queries(2000) as captured:
        offer_freshness.ask_whether_still_there(now=now)
        escalation.escalate_due(now=now)
        assert matching.match_due(now=timezone.now()).demands == size
    reads = [one for one in captured.captured_queries if 'FROM "policy_policy"' in one["sql"]]
    assert len(reads) == 3
    assert Offer.objects.filter(asked_at=now).count() == size
