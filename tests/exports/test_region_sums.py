"""Sums of a region for those who watch it: right, kept with their moment, and counted anew by one process."""

import datetime as dt

import pytest
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.demands.models import DemandState
from apps.exports import region_sums
from apps.exports.models import RegionSums
from apps.exports.tasks import count_regions
from tests.factories import DemandFactory, ItemFactory, OfferFactory, region

pytestmark = pytest.mark.django_db


def test_the_sums_of_a_region_are_of_its_own_needs_and_offers() -> None:
    item = ItemFactory.create(key="gloves", trial_lot=30)
    DemandFactory.create(item=item, quantity=1000, quantity_matched=300, quantity_received=100)
    DemandFactory.create(item=item, quantity=None, quantity_kind="unspecified")
    DemandFactory.create(item=item, quantity=70, state=DemandState.CANCELLED, quantity_matched=50, quantity_received=50)
    OfferFactory.create(item=item, origin_region=region("420106"), quantity=500, quantity_reserved=200)
    OfferFactory.create(item=item, origin_region=region("440300"), quantity=9)
    DemandFactory.create(item=item, region=region("110102"), quantity=8)
    OfferFactory.create(item=ItemFactory.create(key="full"), quantity=60, quantity_reserved=60)

    counts = {"organisations": 2, "needs": 2, "unknown": 1, "emergencies": 0}
    in_hubei = {"needed": 900, "wanting": 700, "matched": 200, "delivered": 150, "offered": 300} | counts
    assert region_sums.in_region(["CN/420000/", "CN/420000/420100/"]) == {"gloves": in_hubei}


def test_sums_of_several_regions_add_up_and_have_the_oldest_moment() -> None:
    now = timezone.now()
    item = ItemFactory.create(key="gloves")
    for place, quantity in (("420106", 5), ("440300", 7), ("110102", 100)):
        DemandFactory.create(item=item, region=region(place), quantity=quantity)
    early, _asked = region_sums.sums_of(["CN/420000/"], now=now - dt.timedelta(minutes=5))

    both, asked = region_sums.sums_of(["CN/420000/", "CN/440000/"], now=now)

    assert not asked
    assert both.as_of == early.as_of == now - dt.timedelta(minutes=5)
    assert both.needs == {"open": 2, "matched": 0, "fulfilled": 0, "stale": 0}
    assert both.items["gloves"]["needed"] == 12


def test_old_sums_are_shown_with_their_moment_until_a_task_counted_anew(client: Client, partner: User) -> None:
    DemandFactory.create(quantity=4321)
    client.force_login(partner)
    first = client.get("/partner/")
    assert "<strong>1</strong>" in first.text

    DemandFactory.create_batch(2)
    moment = timezone.now() - region_sums.FRESH
    RegionSums.objects.update(counted_at=moment)
    for _ in range(2):
        again = client.get("/partner/")
        assert "<strong>1</strong>" in again.text
        assert again.context["as_of"] == moment

    assert count_regions() == 1
    assert count_regions() == 0
    anew = client.get("/partner/")
    assert "<strong>3</strong>" in anew.text
    assert anew.context["as_of"] > first.context["as_of"]
