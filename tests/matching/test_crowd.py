"""Sixteen processes at random for a while, killed at random: afterwards every promise holds.

`CROWD_SECONDS` says for how long (15 by default; 60 for a soak).
"""

import datetime as dt
import multiprocessing
import os
import random
import time
from multiprocessing.process import BaseProcess

import pytest
from django.db import connections
from django.utils import timezone

from apps.accounts.models import User
from apps.fulfilment.models import Order
from apps.matching import services as matching
from apps.matching.models import Match
from tests.factories import ItemFactory, OfferFactory, OrganisationFactory, SupplierFactory, UserFactory, member, region
from tests.invariants import broken_invariants, untold_matches
from tests.matching.crowd import play

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.servers]

SECONDS = float(os.environ.get("CROWD_SECONDS", "15"))
PROCESSES = 16


def start(seed: int, seconds: float) -> BaseProcess:
    """Fork, so that Django is loaded once; a child opens connections of its own."""
    process = multiprocessing.get_context("fork").Process(target=play, args=(seed, seconds))
    process.start()
    return process


@pytest.fixture
def market() -> User:
    person = UserFactory.create()
    places = ("420106", "110102", "440300", "650000")
    items = [ItemFactory.create(key=f"item.{number}", trial_lot=100) for number in range(3)]
    for kind in ("hospital", "community", "enterprise"):
        for place in places:
            member(OrganisationFactory.create(kind=kind, region=region(place)))
    for place in places:
        maker = SupplierFactory.create(region=region(place))
        member(maker)
        for item in items:
            OfferFactory.create(organisation=maker, item=item, quantity=20_000)
    return person


def test_a_crowd_that_is_killed_at_random_breaks_no_promise(market: User) -> None:
    chance = random.Random(7)
    connections.close_all()
    end = time.monotonic() + SECONDS
    crowd = [start(seed, SECONDS) for seed in range(PROCESSES)]
    killed = 0
    while (left := end - time.monotonic()) > 2:
        time.sleep(1)
        place = chance.randrange(PROCESSES)
        crowd[place].kill()
        crowd[place].join()
        killed += 1
        crowd[place] = start(1000 + killed, left - 1)
    for process in crowd:
        process.join(60)

    assert [process.exitcode for process in crowd] == [0] * PROCESSES  # what went wrong stands above
    assert killed >= SECONDS / 3

    # What the dead had claimed is taken up when their leases have run out.
    later = timezone.now() + matching.LEASE + dt.timedelta(seconds=1)
    for _i in range(4):
        matching.sweep(now=later)

    assert broken_invariants() == {}
    assert untold_matches() == []
    assert Match.objects.count() > 10
    assert Order.objects.exists()
