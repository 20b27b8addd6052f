"""A gift waits for a routine need nearby; each day it is looked at again, and goes farther."""

import datetime as dt

import pytest
from django.utils import timezone

from apps.demands.models import Demand, Urgency
from apps.matching import services as matching
from apps.matching.explanation.outlook import outlook
from apps.matching.models import Match
from apps.matching.scoring.eligibility import Action, Reason
from apps.policy.models import Policy
from apps.supply.models import Offer
from tests.factories import DemandFactory, OfferFactory, OrganisationFactory, SupplierFactory, region

pytestmark = pytest.mark.django_db

DAY = dt.timedelta(days=1)


def from_afar(urgency: Urgency, *, gift: bool = True) -> Offer:
    """From Shenzhen to Wuhan it is 895 km, and gifts go 50 km on the first day and 500 more on each that follows."""
    Policy.objects.create(version=2, settings={"gift_reach_km": 50, "gift_reach_km_per_day": 500})
    offer: Offer = OfferFactory.create(
        organisation=SupplierFactory.create(region=region("440300")), is_donation=gift, queued=True
    )
    hospital = OrganisationFactory.create(region=region("420100"))
    DemandFactory.create(organisation=hospital, region=hospital.region, item=offer.item, urgency=urgency, quantity=100)
    return offer


def test_a_gift_reaches_a_routine_need_far_away_after_some_days() -> None:
    offer = from_afar(Urgency.ROUTINE)
    begin = timezone.now()
    held = []

    for day in range(3):
        matching.sweep(now=begin + day * DAY)
        held.append(Match.objects.held().filter(offer=offer).count())

    assert held == [0, 0, 1]


def test_a_need_is_told_that_gifts_wait_for_others() -> None:
    from_afar(Urgency.ROUTINE)
    matching.sweep()

    found = outlook(Demand.objects.shown().get(), now=timezone.now())

    assert (found.survey.candidates, found.survey.blocked) == (0, {Reason.FAR: 1})
    [way] = found.ways
    assert (way.action, way.suppliers) == (Action.URGENT, 1)


@pytest.mark.parametrize(
    ("urgency", "gift"), [(Urgency.URGENT, True), (Urgency.EMERGENCY, True), (Urgency.ROUTINE, False)]
)
def test_what_is_urgent_and_what_is_sold_goes_anywhere_at_once(urgency: Urgency, gift: bool) -> None:
    offer = from_afar(urgency, gift=gift)

    matching.sweep()

    assert Match.objects.held().filter(offer=offer).count() == 1
    offer.refresh_from_db()
    assert (offer.match_requested_at is not None) == gift


def test_a_gift_from_before_there_was_a_reach_goes_farther_each_day_too() -> None:
    Policy.objects.create(version=2, settings={"gift_reach_km": None})
    gift = OfferFactory.create(
        organisation=SupplierFactory.create(region=region("440300")), is_donation=True, queued=True
    )
    matching.sweep()
    Policy.objects.create(version=3, settings={"gift_reach_km": 50, "gift_reach_km_per_day": 500})
    hospital = OrganisationFactory.create(region=region("420100"))
    DemandFactory.create(organisation=hospital, item=gift.item, urgency=Urgency.ROUTINE, queued=True)
    begin = timezone.now()

    held = []
    for day in range(3):
        matching.sweep(now=begin + day * DAY)
        held.append(Match.objects.held().filter(offer=gift).exists())

    assert held == [False, False, True]
