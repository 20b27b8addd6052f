"""The micro-batch: contested supply is solved together, and nobody is called for nothing."""

import datetime as dt
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.utils import timezone

from apps.demands.models import Demand
from apps.fulfilment import services as fulfilment
from apps.matching import services as matching
from apps.matching.allocation.contested import allocate
from apps.matching.allocation.sequential import Plan
from apps.matching.holds.differences import changes, write_change
from apps.matching.holds.plans import Done
from apps.matching.loading import load_contest, load_rules
from apps.matching.models import Match, MatchState
from apps.notifications.models import Message, Notification
from apps.ops.data.invariants import broken_invariants
from apps.policy.models import Policy
from tests.factories import (
    DemandFactory,
    ItemFactory,
    MatchFactory,
    OfferFactory,
    OrganisationFactory,
    SupplierFactory,
    member,
    region,
)

pytestmark = pytest.mark.django_db


def held() -> dict[tuple[int, int], int]:
    return {
        (demand, offer): quantity
        for demand, offer, quantity in Match.objects.held().values_list("demand_id", "offer_id", "quantity")
    }


def told(event: str) -> int:
    return Message.objects.filter(event=event).count()


def read_and_decided(item_id: int) -> tuple[Plan, Callable[[], Done]]:
    """A micro-batch that has decided what to change, and how it writes that."""
    now, policy = timezone.now(), Policy.objects.current()
    contest = load_contest({item_id}, now, policy.values)
    plan = allocate(
        contest.needs, contest.sources, load_rules(), policy=policy.values, now=now, held=contest.asked
    ).plan
    [change] = changes({(hold.need_id, hold.candidate.source.id): hold.quantity for hold in plan.holds}, contest)
    return plan, partial(write_change, change, plan, contest, policy, now)


def test_a_need_with_one_supplier_gets_it_from_a_need_with_a_choice() -> None:
    """Greedy gave the near offer to who came first; together both are served."""
    local = OfferFactory.create(quantity=1000, ships_to=["420000"])
    maker = SupplierFactory.create(region=region("650000"))
    anywhere = OfferFactory.create(organisation=maker, quantity=1000, ships_to=["420000", "110000"])
    member(local.organisation)
    first = DemandFactory.create(quantity=1000)
    MatchFactory.create(demand=first, offer=anywhere, quantity=1000)
    beijing = OrganisationFactory.create(region=region("110102"))
    second = DemandFactory.create(organisation=beijing, region=beijing.region, quantity=1000, queued=True)
    matching.sweep()
    assert held() == {(first.pk, anywhere.pk): 1000}

    done = matching.reallocate()

    assert held() == {(first.pk, local.pk): 1000, (second.pk, anywhere.pk): 1000}
    assert (done.yielded, done.held) == (1, 2)
    assert broken_invariants() == {}
    assert not matching.reallocate()


def test_a_hold_that_stays_is_untouched_and_nobody_is_told_twice() -> None:
    offer = OfferFactory.create(quantity=1000)
    member(offer.organisation)
    DemandFactory.create(quantity=1000, queued=True)
    matching.sweep()
    match = Match.objects.held().get()
    proposals = told("match.proposed")
    assert proposals > 0
    DemandFactory.create(organisation=OrganisationFactory.create(kind="enterprise"), quantity=1000, queued=True)

    matching.sweep()
    matching.reallocate()

    assert Match.objects.held().get() == match
    assert Match.objects.held().get().updated_at == match.updated_at
    assert (told("match.proposed"), told("match.withdrawn")) == (proposals, 0)


def test_sharing_within_a_tier_notifies_of_the_new_quantity_once() -> None:
    offer = OfferFactory.create(quantity=1000)
    person = member(offer.organisation)
    first = DemandFactory.create(quantity=1000)
    match = MatchFactory.create(demand=first, offer=offer, quantity=1000)
    second = DemandFactory.create(quantity=1000)

    matching.reallocate()

    assert held() == {(first.pk, offer.pk): 500, (second.pk, offer.pk): 500}
    match.refresh_from_db()
    assert match.state == MatchState.SUPERSEDED
    assert Message.objects.filter(event="match.withdrawn").count() == 0
    assert Notification.objects.filter(user=person, event="match.proposed").count() == 2
    [share] = [term for term in Match.objects.held().get(demand=second).terms if term["name"] == "share"]
    assert share["value"] == {"given": 500, "wanting": 1000, "because": "capped", "others": 1, "above": 0}
    assert broken_invariants() == {}


def test_what_a_supplier_accepted_is_not_taken_back() -> None:
    offer = OfferFactory.create(quantity=1000)
    enterprise = OrganisationFactory.create(kind="enterprise")
    match = MatchFactory.create(
        demand=DemandFactory.create(organisation=enterprise, quantity=1000), offer=offer, quantity=800
    )
    fulfilment.accept_match(match, by=None)
    hospital = DemandFactory.create(quantity=1000, queued=True)

    matching.sweep()
    matching.reallocate()

    assert held() == {(hospital.pk, offer.pk): 200}
    match.refresh_from_db()
    assert match.state == MatchState.ACCEPTED


@pytest.mark.parametrize(("urgency", "kept"), [("emergency", 700), ("urgent", 700), ("routine", 350)])
def test_an_urgent_need_with_an_acceptance_keeps_its_other_holds(urgency: str, kept: int) -> None:
    """A need that can wait shares it with whoever has come since."""
    offers = [OfferFactory.create(quantity=700) for _i in range(2)]
    first = DemandFactory.create(quantity=1400, urgency=urgency)
    answered, waiting = (MatchFactory.create(demand=first, offer=offer, quantity=700) for offer in offers)
    fulfilment.accept_match(answered, by=None)
    DemandFactory.create(quantity=2000, urgency="emergency")

    matching.reallocate()

    assert held()[first.pk, waiting.offer_id] == kept
    assert broken_invariants() == {}


def test_a_need_is_served_by_a_substitute_that_others_can_do_without() -> None:
    from apps.catalogue.models import Substitution

    mask, better = ItemFactory.create(), ItemFactory.create(key="respirator.n95")
    Substitution.objects.create(offered=better, demanded=mask)
    plain, fine = OfferFactory.create(item=mask, quantity=500), OfferFactory.create(item=better, quantity=500)
    flexible = DemandFactory.create(item=mask, quantity=500, accepts_substitutes=True)
    MatchFactory.create(demand=flexible, offer=plain, quantity=500)
    strict = DemandFactory.create(item=mask, quantity=500)

    matching.reallocate()

    assert held() == {(flexible.pk, fine.pk): 500, (strict.pk, plain.pk): 500}
    assert Match.objects.held().get(demand=flexible).is_substitute


def test_what_was_answered_between_reading_and_writing_is_left_alone() -> None:
    offer = OfferFactory.create(quantity=1000)
    enterprise = OrganisationFactory.create(kind="enterprise")
    poor = DemandFactory.create(organisation=enterprise, quantity=1000)
    match = MatchFactory.create(demand=poor, offer=offer, quantity=1000)
    DemandFactory.create(quantity=1000)
    plan, write = read_and_decided(offer.item_id)
    assert [hold.need_id for hold in plan.holds] != [poor.pk]

    fulfilment.accept_match(match, by=None)
    write()

    match.refresh_from_db()
    assert match.state == MatchState.ACCEPTED
    assert held() == {}
    assert broken_invariants() == {}


def test_who_said_no_while_it_was_decided_is_not_asked_again() -> None:
    """Both were to get half."""
    offer = OfferFactory.create(quantity=1000)
    first, second = DemandFactory.create_batch(2, quantity=1000)
    match = MatchFactory.create(demand=first, offer=offer, quantity=1000)
    plan, write = read_and_decided(offer.item_id)
    assert {hold.need_id: hold.quantity for hold in plan.holds} == {first.pk: 500, second.pk: 500}

    matching.decline(match, by=None, reason="other")
    write()

    assert held() == {(second.pk, offer.pk): 500}
    assert broken_invariants() == {}


@pytest.mark.parametrize(
    ("amended", "keeps"),
    [({"needed_by": dt.datetime(2100, 1, 1, tzinfo=dt.UTC)}, False), ({"quantity": 3000}, True)],
    ids=["what it asked for is taken back", "what it asked for stays"],
)
def test_a_need_amended_while_it_is_decided_gets_no_outdated_hold(amended: dict[str, Any], keeps: bool) -> None:
    """Both were to get half; the one that changed meanwhile asks anew by itself."""
    offer = OfferFactory.create(quantity=1000)
    first, second = DemandFactory.create_batch(2, quantity=1000)
    match = MatchFactory.create(demand=first, offer=offer, quantity=1000)
    plan, write = read_and_decided(offer.item_id)
    assert {hold.need_id: hold.quantity for hold in plan.holds} == {first.pk: 500, second.pk: 500}

    matching.amend_demand(first, by=member(first.organisation), quantity_confirmed=True, **amended)
    write()

    assert held() == ({(first.pk, offer.pk): 1000} if keeps else {(second.pk, offer.pk): 500})
    match.refresh_from_db()
    assert match.state == (MatchState.HELD if keeps else MatchState.CANCELLED)
    assert broken_invariants() == {}


def test_two_micro_batches_that_have_read_the_same_change_it_once() -> None:
    offer = OfferFactory.create(quantity=1000)
    first, second = DemandFactory.create_batch(2, quantity=1000)
    MatchFactory.create(demand=first, offer=offer, quantity=1000)
    _plan, write = read_and_decided(offer.item_id)
    _plan, write_too = read_and_decided(offer.item_id)

    assert write()
    changed = list(Match.objects.order_by("pk").values_list("pk", "state", "updated_at"))
    assert not write_too()

    assert list(Match.objects.order_by("pk").values_list("pk", "state", "updated_at")) == changed
    assert held() == {(first.pk, offer.pk): 500, (second.pk, offer.pk): 500}
    assert broken_invariants() == {}


def test_every_minute_changes_nothing_once_all_is_settled() -> None:
    for number in range(4):
        OfferFactory.create(quantity=700 + 100 * number, minimum_order=1 + 200 * (number % 2))
    for number in range(9):
        DemandFactory.create(
            organisation=OrganisationFactory.create(kind=["hospital", "community"][number % 2]),
            quantity=300 + 50 * number,
            queued=True,
        )
    matching.sweep()
    matching.reallocate()
    now = timezone.now()
    before = held()
    assert before

    for minute in range(1, 4):
        later = now + dt.timedelta(minutes=minute)
        matching.sweep(now=later)
        matching.reallocate(now=later)

    assert held() == before
    assert broken_invariants() == {}


@pytest.mark.django_db(transaction=True)
def test_batches_and_sweeps_side_by_side_keep_every_promise() -> None:
    from django.db import connections

    for _i in range(6):
        OfferFactory.create(quantity=700)
    for number in range(14):
        kind = ["hospital", "community", "enterprise"][number % 3]
        DemandFactory.create(organisation=OrganisationFactory.create(kind=kind), quantity=500, queued=True)

    def work() -> None:
        try:
            for _i in range(3):
                matching.sweep()
                matching.reallocate()
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert broken_invariants() == {}
    assert sum(held().values()) == 4200
    hospitals = Demand.objects.filter(organisation__kind="hospital")
    assert all(demand.quantity_held == 500 for demand in hospitals)
