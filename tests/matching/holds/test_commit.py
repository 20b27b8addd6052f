"""The one call that commits holds: what it admits, what it counts, and what others may do meanwhile."""

import datetime as dt
import random
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from django.db import connections, transaction
from django.utils import timezone

from apps.demands import quantities as demands_quantities
from apps.demands.models import Demand
from apps.matching.holds.commit import HoldRequest, commit_holds
from apps.matching.holds.release import lock, retire_backups
from apps.matching.models import Match, MatchState
from apps.ops.data.invariants import broken_invariants
from apps.supply.models import Offer
from tests.factories import DemandFactory, MatchFactory, OfferFactory, OrganisationFactory, SupplierFactory
from tests.waiting import until_it_waits_for_us

pytestmark = pytest.mark.django_db


def ask(demand: Demand, offer: Offer, quantity: int, **changes: Any) -> HoldRequest:
    """Decided on both as they are in hand."""
    facts: dict[str, Any] = {
        "need_id": demand.pk,
        "offer_id": offer.pk,
        "requested_at": demand.match_requested_at,
        "confirmed_at": offer.confirmed_at,
        "quantity": quantity,
        "rank": 1,
        "score": 0.75,
        "terms": [{"name": "coverage", "value": quantity, "score": 1.0, "weight": 0.25}],
        "policy_version": 1,
        "is_substitute": False,
        "tier": 1,
        "respond_by": timezone.now() + dt.timedelta(hours=2),
    }
    return HoldRequest(**{**facts, **changes})


def admitted(asks: Sequence[HoldRequest]) -> list[bool]:
    made = commit_holds(asks)
    return [(one.need_id, one.offer_id) in made for one in asks]


def test_a_single_hold_is_one_statement(django_assert_num_queries: Any) -> None:
    demand, offer = DemandFactory.create(quantity=500), OfferFactory.create(quantity=800)
    one = ask(demand, offer, 300, rank=2, is_substitute=True)

    with django_assert_num_queries(1):
        made = commit_holds([one])

    match = Match.objects.get()
    assert made == {(demand.pk, offer.pk): match.pk}
    assert (match.state, match.quantity, match.quantity_asked, match.rank) == (MatchState.HELD, 300, 300, 2)
    assert (match.terms, match.respond_by, match.is_substitute) == (one.terms, one.respond_by, True)
    assert broken_invariants() == {}


def test_a_hundred_holds_are_one_statement(django_assert_num_queries: Any) -> None:
    demands = DemandFactory.create_batch(10, organisation=OrganisationFactory.create())
    offers = OfferFactory.create_batch(10, organisation=SupplierFactory.create())
    asks = [ask(demand, offer, 10) for demand in demands for offer in offers]

    with django_assert_num_queries(1):
        made = commit_holds(asks)

    assert len(made) == 100
    assert sorted(made.values()) == list(made.values())  # in the order of the plan
    assert broken_invariants() == {}


def test_of_several_holds_on_one_offer_the_first_of_the_plan_are_admitted() -> None:
    offer = OfferFactory.create(quantity=1000)
    demands = DemandFactory.create_batch(4, quantity=1000)
    order = [demands[2], demands[0], demands[3], demands[1]]

    assert admitted([ask(demand, offer, 400) for demand in order]) == [True, True, False, False]
    offer.refresh_from_db()
    assert offer.quantity_reserved == 800
    assert broken_invariants() == {}


def test_of_several_holds_for_one_need_the_first_that_fit_are_admitted() -> None:
    demand = DemandFactory.create(quantity=900)
    offers = OfferFactory.create_batch(3)

    assert admitted([ask(demand, offer, 400) for offer in reversed(offers)]) == [True, True, False]
    assert broken_invariants() == {}


def test_a_need_of_unknown_quantity_is_held_for_as_much_as_was_decided() -> None:
    demand = DemandFactory.create(quantity=None, quantity_kind="unspecified")

    assert admitted([ask(demand, OfferFactory.create(), 200)]) == [True]
    assert broken_invariants() == {}


@pytest.mark.parametrize(
    ("of_demand", "of_offer"),
    [
        ({"state": "paused"}, {}),
        ({"match_requested_at": timezone.now()}, {}),
        ({"quantity": 99}, {}),
        ({}, {"state": "paused"}),
        ({}, {"confirmed_at": timezone.now() + dt.timedelta(seconds=1)}),
        ({}, {"quantity": 99}),
    ],
    ids=["paused", "amended", "smaller", "offer paused", "offer amended", "offer smaller"],
)
def test_what_changed_since_it_was_decided_is_dropped_and_keeps_no_place(
    of_demand: dict[str, Any], of_offer: dict[str, Any]
) -> None:
    changed, offer = DemandFactory.create(quantity=500), OfferFactory.create(quantity=500)
    other, free = DemandFactory.create(quantity=500), OfferFactory.create(quantity=500)
    asks = [ask(changed, offer, 100), ask(other, free, 100)]
    Demand.objects.filter(pk=changed.pk).update(**of_demand)
    Offer.objects.filter(pk=offer.pk).update(**of_offer)

    assert admitted(asks[:1]) == [False]
    assert admitted(asks) == [False, True]
    assert broken_invariants() == {}


def test_a_hold_for_a_need_that_closed_takes_nothing_from_those_behind_it() -> None:
    closed, behind = DemandFactory.create_batch(2, quantity=500)
    offer = OfferFactory.create(quantity=500)
    asks = [ask(closed, offer, 500), ask(behind, offer, 500)]
    Demand.objects.filter(pk=closed.pk).update(state="paused")

    assert admitted(asks) == [False, True]


def test_the_next_best_becomes_the_asked_and_keeps_its_key() -> None:
    demand, offer = DemandFactory.create(quantity=500), OfferFactory.create()
    standby = MatchFactory.create(demand=demand, offer=offer, state=MatchState.STANDBY, quantity=1, respond_by=None)

    assert commit_holds([ask(demand, offer, 300)]) == {(demand.pk, offer.pk): standby.pk}
    standby.refresh_from_db()
    assert (standby.state, standby.quantity, standby.quantity_asked) == (MatchState.HELD, 300, 300)
    assert broken_invariants() == {}


def test_who_is_asked_already_is_not_asked_twice_nor_counted_twice() -> None:
    demand, offer = DemandFactory.create(quantity=900), OfferFactory.create()
    match = MatchFactory.create(demand=demand, offer=offer, quantity=400)

    assert admitted([ask(demand, offer, 100)]) == [False]
    assert Match.objects.get() == match
    assert broken_invariants() == {}


def test_several_holds_are_released_in_one_statement(django_assert_num_queries: Any) -> None:
    matches = [MatchFactory.create(quantity=100 * number) for number in (1, 2, 3)]
    now = timezone.now()

    with django_assert_num_queries(1):
        demands_quantities.release({match.demand_id: match.quantity for match in matches}, now=now)

    held = Demand.objects.order_by("pk").values_list("quantity_held", "match_requested_at")
    assert list(held) == [(0, now)] * 3


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("asked", "expected", "next_best"),
    [
        ([400, 400, 300], [True, False, False], [0, 1]),
        ([400, 400], [True, False], [0]),
        ([400], [True], [0]),
        ([500], [False], [0]),
        ([500], [False], []),
    ],
)
def test_stock_that_shrinks_before_taking_goes_to_the_first_that_fit(
    asked: list[int], expected: list[bool], next_best: list[int]
) -> None:
    """The others are as if they had never been asked, on both sides; of them, who was next best is none any more, which
    whoever pulls what changed hears.
    """
    offer = OfferFactory.create(quantity=1000)
    first, *others = DemandFactory.create_batch(1 + len(asked), quantity=2000)
    standbys = {
        place: MatchFactory.create(
            demand=others[place], offer=offer, state=MatchState.STANDBY, quantity=1, respond_by=None
        )
        for place in next_best
    }

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            assert admitted([ask(first, offer, 600)]) == [True]
            asks = [ask(demand, offer, quantity) for demand, quantity in zip(others, asked, strict=True)]
            meanwhile = until_it_waits_for_us(pool, partial(admitted, asks))
        assert meanwhile.result() == expected

    got = [(demand.pk, quantity) for demand, quantity, fits in zip(others, asked, expected, strict=True) if fits]
    held = Match.objects.held().order_by("demand_id").values_list("demand_id", "quantity")
    assert list(held) == [(first.pk, 600), *got]
    for place, before in standbys.items():
        now = Match.objects.get(pk=before.pk)
        assert now.state == (MatchState.HELD if expected[place] else MatchState.SUPERSEDED)
        assert (now.respond_by is not None) == expected[place]  # else it looks as if its supplier had been asked
        assert now.updated_at > before.updated_at
    assert set(Match.objects.all()) == {*Match.objects.held(), *standbys.values()}
    assert broken_invariants() == {}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", [1, 2])
def test_an_offer_confirmed_between_looking_and_taking_is_not_taken(number: int) -> None:
    demands, offer = DemandFactory.create_batch(number, quantity=500), OfferFactory.create(quantity=1000)
    asks = [ask(demand, offer, 100) for demand in demands]

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            Offer.objects.filter(pk=offer.pk).update(confirmed_at=timezone.now())
            meanwhile = until_it_waits_for_us(pool, partial(admitted, asks))
        assert meanwhile.result() == [False] * number
    assert broken_invariants() == {}


@pytest.mark.django_db(transaction=True)
def test_backups_are_retired_under_the_locks_of_their_needs() -> None:
    demand, offer = DemandFactory.create(quantity=500), OfferFactory.create()
    standby = MatchFactory.create(demand=demand, offer=offer, state=MatchState.STANDBY, quantity=1)

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            lock([demand.pk])
            stood_down = until_it_waits_for_us(pool, partial(retire_backups, Match.objects.filter(offer=offer)))
            assert commit_holds([ask(demand, offer, 300)]) == {(demand.pk, offer.pk): standby.pk}
        stood_down.result()

    assert Match.objects.get().state == MatchState.HELD
    assert broken_invariants() == {}


@pytest.mark.django_db(transaction=True)
def test_batches_on_the_same_offers_never_deadlock_nor_oversell() -> None:
    offers = OfferFactory.create_batch(6, quantity=500, organisation=SupplierFactory.create())
    demands = DemandFactory.create_batch(24, quantity=10_000, organisation=OrganisationFactory.create())
    barrier = threading.Barrier(8)

    def work(seed: int) -> int:
        chance = random.Random(seed)
        pairs = [(demand, offer) for demand in demands[seed * 3 : seed * 3 + 3] for offer in offers]
        chance.shuffle(pairs)
        barrier.wait()
        try:
            with transaction.atomic():
                first = commit_holds([ask(demand, offer, 40) for demand, offer in pairs[:9]])
            with transaction.atomic():
                return len(first) + len(commit_holds([ask(demand, offer, 40) for demand, offer in pairs[9:]]))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        made = sum(pool.map(work, range(8)))

    assert made == 6 * (500 // 40)
    assert set(Offer.objects.values_list("quantity_reserved", flat=True)) == {480}
    assert broken_invariants() == {}


@pytest.mark.django_db(transaction=True)
def test_the_same_hold_asked_for_eight_times_at_once_comes_about_once() -> None:
    """Those who wait see the row as it is when their turn comes, not as it was when they began."""
    demand, offer = DemandFactory.create(quantity=10_000), OfferFactory.create(quantity=10_000)
    barrier = threading.Barrier(8)

    def work(_number: int) -> int:
        barrier.wait()
        try:
            return len(commit_holds([ask(demand, offer, 40)]))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(work, range(8))) == [0] * 7 + [1]
    assert broken_invariants() == {}
