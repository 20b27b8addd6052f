"""Offers that nobody reviews go up to the next coordinator, as needs do; and a need knows how far it went."""

import datetime as dt

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.accounts.models import Organisation, User
from apps.demands import services as demands
from apps.demands.models import Demand
from apps.matching import escalation
from apps.matching.models import Escalation
from apps.notifications.models import Notification
from apps.policy.services import make_policy
from apps.supply import services as supply
from apps.supply.models import Offer
from tests.factories import (
    DemandFactory,
    EscalationFactory,
    ItemFactory,
    OfferFactory,
    OrganisationFactory,
    member,
    region,
)

pytestmark = pytest.mark.django_db


def desk_of(code: str) -> User:
    office = OrganisationFactory.create(name=f"Desk of {code}", kind="coordinator", region=region(code))
    return member(office, email=f"desk{code}@example.org")


def told(user: User) -> list[str]:
    return list(Notification.objects.filter(user=user).order_by("pk").values_list("event", flat=True))


@pytest.fixture
def city(db: None) -> User:
    return desk_of("440300")


@pytest.fixture
def province(db: None) -> User:
    return desk_of("440000")


@pytest.fixture
def waiting(maker: Organisation, supplier: User, city: User, province: User, coordinator: User) -> Offer:
    """A draft in Shenzhen of so many masks that a coordinator has to look."""
    offer = supply.create_offer(maker, item=ItemFactory.create(), by=supplier, quantity=10**11)
    return supply.publish_offer(offer, by=supplier, confirmed=True)


def hours(offer: Offer, number: float) -> dt.datetime:
    assert offer.review_requested_at is not None
    return offer.review_requested_at + dt.timedelta(hours=number)


def test_an_offer_that_nobody_reviews_goes_up_and_its_supplier_hears_it(
    waiting: Offer, city: User, province: User, coordinator: User, supplier: User
) -> None:
    assert escalation.escalate_due(now=hours(waiting, 9.9)).escalated == 0
    assert told(city) == ["offer.held_for_review"]

    assert escalation.escalate_due(now=hours(waiting, 10)).escalated == 1
    assert escalation.escalate_due(now=hours(waiting, 19.9)).escalated == 0
    assert (told(province), told(coordinator)) == (["offer.escalated"], [])
    assert escalation.escalate_due(now=hours(waiting, 20)).escalated == 1
    assert escalation.escalate_due(now=hours(waiting, 999)).escalated == 0  # nobody is further up

    assert (told(city), told(province), told(coordinator)) == (
        ["offer.held_for_review"], ["offer.escalated"], ["offer.escalated"]
    )  # fmt: skip
    assert told(supplier) == ["offer.passed_on"] * 2
    assert list(Escalation.objects.order_by("pk").values_list("offer", "level", "for_approval")) == [
        (waiting.pk, 1, True),
        (waiting.pk, 2, True),
    ]


def test_the_policy_says_how_long_an_offer_waits_for_review(
    maker: Organisation, supplier: User, city: User, province: User, coordinator: User
) -> None:
    make_policy({"offer_escalation_hours": 2}, note="Faster", by=coordinator)
    offer = supply.create_offer(maker, item=ItemFactory.create(), by=supplier, quantity=10**11)
    offer = supply.publish_offer(offer, by=supplier, confirmed=True)
    assert offer.escalates_at == hours(offer, 2)


def test_an_offer_that_was_reviewed_rings_no_clock(waiting: Offer, city: User, province: User, supplier: User) -> None:
    supply.return_offer(waiting, by=city, reason="How many?")
    assert escalation.escalate_due(now=hours_from_now(99)).escalated == 0

    again = supply.publish_offer(Offer.objects.get(pk=waiting.pk), by=supplier, confirmed=True)
    assert escalation.escalate_due(now=hours(again, 10)).escalated == 1
    supply.approve_offer(Offer.objects.get(pk=again.pk), by=city)
    assert escalation.escalate_due(now=hours_from_now(99)).escalated == 0
    assert told(province) == ["offer.escalated"]


def test_asked_again_a_waiting_offer_keeps_its_clock(waiting: Offer, supplier: User) -> None:
    later = hours(waiting, 5)
    again = supply.publish_offer(Offer.objects.get(pk=waiting.pk), by=supplier, confirmed=True, now=later)
    assert (again.review_requested_at, again.escalates_at) == (waiting.review_requested_at, waiting.escalates_at)


def hours_from_now(number: int) -> dt.datetime:
    return timezone.now() + dt.timedelta(hours=number)


def test_an_escalation_is_of_a_need_or_of_an_offer(coordinator: User) -> None:
    desk = coordinator.grants[0].organisation
    facts = {"organisation": desk, "level": 1, "since": timezone.now()}
    for wrong in (
        {},
        {"offer": OfferFactory.create(), "demand": DemandFactory.create(), "for_approval": True},
        {"offer": OfferFactory.create()},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            Escalation.objects.create(**facts, **wrong)


def test_a_need_knows_how_many_coordinators_were_told_of_it(
    hospital: Organisation, buyer: User, coordinator: User
) -> None:
    desk_of("420100")
    now = timezone.now()
    demand = DemandFactory.create(organisation=hospital, escalates_at=now)
    assert demand not in Demand.objects.escalated()

    for level in (1, 2):
        Demand.objects.update(escalates_at=now)
        escalation.escalate_due(now=now)
        assert list(Demand.objects.escalated().values_list("escalation_level", flat=True)) == [level]

    demands.pause_demand(demand, by=buyer)
    demands.resume_demand(Demand.objects.get(), by=buyer, now=now + dt.timedelta(hours=1))
    assert not Demand.objects.escalated().exists()
    # What was told in an earlier run of the clock does not count.
    EscalationFactory.create(demand=demand, organisation=coordinator.grants[0].organisation, since=now, level=5)
    assert not Demand.objects.escalated().exists()
