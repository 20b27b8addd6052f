"""Whatever happens to a need or an organisation: one sweep later all is as it should be, and nobody is told twice.

Each test says what happened, sweeps once, looks at states, quantities, promises and exactly who was told what, and
sweeps again: nothing more may happen.
"""

import datetime as dt

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts import services as accounts
from apps.accounts.models import Organisation, User
from apps.catalogue.models import Satisfaction, Substitution
from apps.demands import freshness as demand_freshness
from apps.demands import services as demands
from apps.demands.models import Demand, QuantityKind
from apps.matching import services as matching
from apps.matching.models import Escalation, Match, MatchState
from apps.ops.data.invariants import broken_invariants, untold
from apps.supply.models import Offer
from tests.factories import (
    CALL_BACK,
    ItemFactory,
    OfferFactory,
    region,
    standard_of,
)
from tests.matching.rematching import (
    SHENZHEN,
    WUHAN,
    XINJIANG,
    Sweep,
    asked,
    need,
    nobody_left,
    offer_in,
    person_of,
    proposed,
    state_of,
    suppliers_asked,
    told,
    withdrawn,
)

pytestmark = pytest.mark.django_db


# --- Needs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["cancel", "pause", "stale"])
def test_a_need_that_ends_frees_its_stock_and_notifies_once(sweep: Sweep, verb: str) -> None:
    offer, first = offer_in(WUHAN, 1000), need()
    spare = offer_in(SHENZHEN, 100, ships_to=["420000"])
    sweep()
    waiting = need(by={"kind": "enterprise"})
    sweep()
    assert asked() == {(first.pk, offer.pk): 1000, (waiting.pk, spare.pk): 100}

    first.refresh_from_db()
    if verb == "stale":
        long_ago = timezone.now() - dt.timedelta(days=30)
        Demand.objects.filter(pk=first.pk).update(asked_at=long_ago, stale_at=timezone.now())
        demand_freshness.suspend_stale()
    else:
        getattr(demands, f"{verb}_demand")(first, by=person_of(first))
    news = sweep()

    if verb == "stale":
        news.remove(("demand.suspended", person_of(first).email))
    # The same supplier is asked for another need: that is news, and so is that the first is off.
    assert news == [suppliers_asked(waiting), proposed(offer), withdrawn(offer)]
    assert asked() == {(waiting.pk, offer.pk): 900, (waiting.pk, spare.pk): 100}
    assert not Match.objects.filter(demand=first, state=MatchState.STANDBY).exists()


def test_a_need_paused_and_resumed_unnoticed_keeps_its_holds(sweep: Sweep) -> None:
    offer, demand = offer_in(WUHAN), need()
    sweep()

    demand.refresh_from_db()
    demands.pause_demand(demand, by=person_of(demand))
    demands.resume_demand(demand, by=person_of(demand))

    assert sweep() == []
    assert state_of(demand, offer) == [MatchState.HELD]


def test_a_need_that_is_resumed_is_asked_for_again(sweep: Sweep) -> None:
    offer, demand = offer_in(WUHAN), need()
    sweep()
    demand.refresh_from_db()
    demands.pause_demand(demand, by=person_of(demand))
    sweep()

    demands.resume_demand(demand, by=person_of(demand))

    assert sweep() == [suppliers_asked(demand), proposed(offer)]
    assert state_of(demand, offer) == [MatchState.CANCELLED, MatchState.HELD]


def test_a_larger_need_asks_more_only_of_suppliers_that_have_more(sweep: Sweep) -> None:
    small, large = offer_in(WUHAN, 300), offer_in(SHENZHEN, 5000, lead_time_days=9)
    demand = need(1000)
    sweep()
    before = Match.objects.get(offer=small)
    assert asked() == {(demand.pk, small.pk): 300, (demand.pk, large.pk): 700}

    demand.refresh_from_db()
    matching.amend_demand(demand, by=person_of(demand), quantity=2000)

    # One message about the new quantity; nobody has to forget the old one first.
    assert sweep() == [suppliers_asked(demand), proposed(large)]
    assert asked() == {(demand.pk, small.pk): 300, (demand.pk, large.pk): 1700}
    assert Match.objects.get(offer=small) == before


def test_a_smaller_need_asks_anew_for_less_and_frees_the_rest(sweep: Sweep) -> None:
    offer, demand = offer_in(WUHAN, 1000), need(1000)
    sweep()
    other = need(600, by={"kind": "enterprise"})
    sweep()
    assert asked() == {(demand.pk, offer.pk): 1000}

    demand.refresh_from_db()
    matching.amend_demand(demand, by=person_of(demand), quantity=400)

    assert sorted(sweep()) == sorted(
        [suppliers_asked(demand), suppliers_asked(other), proposed(offer), proposed(offer)]
    )
    assert asked() == {(demand.pk, offer.pk): 400, (other.pk, offer.pk): 600}


def test_a_smaller_need_that_still_exceeds_its_holds_changes_none(sweep: Sweep) -> None:
    offer, demand = offer_in(WUHAN, 400), need(1000)
    sweep()

    demand.refresh_from_db()
    matching.amend_demand(demand, by=person_of(demand), quantity=700)

    assert sweep() == []
    assert asked() == {(demand.pk, offer.pk): 400}


def test_a_need_whose_quantity_becomes_known_is_asked_for_in_full(sweep: Sweep) -> None:
    offer = offer_in(WUHAN)
    demand = need(quantity=None, quantity_kind=QuantityKind.UNSPECIFIED)
    sweep()
    assert asked() == {(demand.pk, offer.pk): 200}

    demand.refresh_from_db()
    matching.amend_demand(demand, by=person_of(demand), quantity=3000, quantity_kind=QuantityKind.EXACT)

    assert sweep() == [suppliers_asked(demand), proposed(offer)]
    assert asked() == {(demand.pk, offer.pk): 3000}


def test_another_standard_goes_to_who_has_it(sweep: Sweep) -> None:
    item = ItemFactory.create()
    plain, surgical = standard_of(item, "YY/T 0969-2013"), standard_of(item, "YY 0469-2011")
    Satisfaction.objects.create(offered=surgical, demanded=plain)
    near, far = offer_in(WUHAN, standard=plain), offer_in(SHENZHEN, standard=surgical)
    demand = need(standard=plain)
    sweep()
    assert asked() == {(demand.pk, near.pk): 1000}

    demand.refresh_from_db()
    matching.amend_demand(demand, by=person_of(demand), standard=surgical)

    assert sweep() == [suppliers_asked(demand), proposed(far), withdrawn(near)]
    assert asked() == {(demand.pk, far.pk): 1000}


def test_who_has_not_what_is_asked_for_now_is_next_best_no_more(sweep: Sweep) -> None:
    demand, near, far = need(1000), offer_in(WUHAN), offer_in(SHENZHEN)
    sweep()
    assert (state_of(demand, near), state_of(demand, far)) == (["held"], ["standby"])

    matching.amend_demand(demand, by=person_of(demand), standard=standard_of(demand.item, "another"))
    sweep()

    assert (state_of(demand, near), state_of(demand, far)) == (["cancelled"], ["superseded"])


def test_another_place_goes_to_who_ships_there(sweep: Sweep) -> None:
    local, anywhere = offer_in(WUHAN, ships_to=["420000"]), offer_in(SHENZHEN)
    demand = need()
    sweep()
    assert asked() == {(demand.pk, local.pk): 1000}

    demand.refresh_from_db()
    matching.amend_demand(demand, by=person_of(demand), region=region(XINJIANG))

    assert sweep() == [suppliers_asked(demand), proposed(anywhere), withdrawn(local)]


def test_substitutes_are_asked_once_accepted_and_taken_back_after(sweep: Sweep) -> None:
    mask, better = ItemFactory.create(), ItemFactory.create(key="respirator.n95")
    Substitution.objects.create(offered=better, demanded=mask)
    exact, other = offer_in(WUHAN, 400, item=mask), offer_in(SHENZHEN, item=better)
    demand = need(item=mask)
    sweep()
    assert asked() == {(demand.pk, exact.pk): 400}

    demand.refresh_from_db()
    matching.amend_demand(demand, by=person_of(demand), accepts_substitutes=True)
    assert sweep() == [suppliers_asked(demand), proposed(other)]
    assert asked() == {(demand.pk, exact.pk): 400, (demand.pk, other.pk): 600}

    demand.refresh_from_db()
    matching.amend_demand(demand, by=person_of(demand), accepts_substitutes=False)
    assert sweep() == [withdrawn(other)]
    assert asked() == {(demand.pk, exact.pk): 400}


def test_two_items_served_by_the_same_offer_share_it_in_one_sweep(sweep: Sweep) -> None:
    mask, better = ItemFactory.create(), ItemFactory.create(key="respirator.n95")
    Substitution.objects.create(offered=better, demanded=mask)
    offer = offer_in(WUHAN, 1000, item=better)
    first, second = need(item=mask, quantity=700, accepts_substitutes=True), need(item=better, quantity=700)
    sweep()
    assert asked() == {(first.pk, offer.pk): 700, (second.pk, offer.pk): 300}


def test_an_item_more_takes_few_queries_more() -> None:
    def queries(items: int) -> int:
        for n in range(items):
            item = ItemFactory.create(key=f"item.{items}.{n}")
            offer_in(WUHAN, item=item)
            need(item=item)
        matching.recheck_changed_offers()
        with CaptureQueriesContext(connection) as caught:
            assert matching.match_due().held == items
        return len(caught)

    assert queries(8) <= queries(2) + 6 * 2  # the search for each need, and nothing else


def test_a_new_note_or_urgency_bothers_no_supplier(sweep: Sweep) -> None:
    offer, demand = offer_in(WUHAN), need()
    sweep()

    demand.refresh_from_db()
    matching.amend_demand(demand, by=person_of(demand), note="Ring twice", urgency="emergency", days_of_supply=1)

    assert sweep() == []
    assert state_of(demand, offer) == [MatchState.HELD]


# --- Clocks -----------------------------------------------------------------------------------------------------------


def test_a_need_that_ended_in_time_breaks_no_supplier_s_promise(sweep: Sweep) -> None:
    demand, offer = need(), offer_in(WUHAN)
    sweep()
    respond_by = Match.objects.get().respond_by
    assert respond_by

    demands.cancel_demand(demand, by=person_of(demand), now=respond_by - dt.timedelta(seconds=3))
    news = sweep(respond_by + dt.timedelta(seconds=2))

    assert (state_of(demand, offer), news) == ([MatchState.CANCELLED], [withdrawn(offer)])


def test_a_need_that_is_resumed_goes_through_the_desks_again(sweep: Sweep, coordinator: User) -> None:
    demand = need()
    assert demand.escalates_at
    sweep(demand.escalates_at)
    demands.pause_demand(demand, by=person_of(demand))
    later = demand.escalates_at + dt.timedelta(hours=1)
    demands.resume_demand(demand, by=person_of(demand), now=later)

    sweep(later + dt.timedelta(hours=10))

    assert [event for event, _address in told()].count("demand.escalated") == 2
    assert list(Escalation.objects.order_by("pk").values_list("level", flat=True)) == [1, 1]


def test_only_who_was_asked_counts_as_tried(sweep: Sweep, coordinator: User) -> None:
    demand = need()
    offer_in(WUHAN), offer_in(SHENZHEN)
    sweep()
    assert demand.escalates_at
    Match.objects.held().update(respond_by=demand.escalates_at + dt.timedelta(hours=1))

    sweep(demand.escalates_at)

    assert Match.objects.filter(state=MatchState.STANDBY).exists()
    assert Escalation.objects.get().tried == {"held": 1}


# --- Organisations ----------------------------------------------------------------------------------------------------


def test_a_supplier_is_passed_over_while_it_is_not_verified(
    sweep: Sweep, maker: Organisation, supplier: User, coordinator: User
) -> None:
    near, far, demand = OfferFactory.create(organisation=maker), offer_in(XINJIANG), need()
    sweep()
    assert asked() == {(demand.pk, near.pk): 1000}

    accounts.amend_organisation(maker, by=supplier, name="Another name")
    news = sweep()
    assert news == [
        suppliers_asked(demand),
        proposed(far),
        ("match.withdrawn", supplier.email),
        ("organisation.unverified", supplier.email),
    ]
    assert asked() == {(demand.pk, far.pk): 1000}

    second = need(700)
    Offer.objects.filter(pk=far.pk).update(quantity=1000)
    assert sweep() == []
    accounts.verify_organisation(Organisation.objects.get(pk=maker.pk), by=coordinator)
    news = sweep()
    assert sorted(news) == sorted(
        [suppliers_asked(second), ("match.proposed", supplier.email), ("organisation.verified", supplier.email)]
    )
    assert asked() == {(demand.pk, far.pk): 1000, (second.pk, near.pk): 700}


def test_a_requester_waits_while_it_is_not_verified(
    sweep: Sweep, hospital: Organisation, buyer: User, coordinator: User
) -> None:
    offer, mine = offer_in(WUHAN, 1000), need(organisation=hospital)
    sweep()
    other = need(by={"kind": "enterprise"})
    sweep()
    assert asked() == {(mine.pk, offer.pk): 1000}

    accounts.amend_organisation(hospital, by=buyer, name="Another name")
    news = sweep()
    assert news == [
        suppliers_asked(other),
        proposed(offer),
        withdrawn(offer),
        ("organisation.unverified", buyer.email),
    ]
    assert asked() == {(other.pk, offer.pk): 1000}

    accounts.verify_organisation(Organisation.objects.get(pk=hospital.pk), by=coordinator, call_back=CALL_BACK)
    news = sweep()
    assert ("organisation.verified", buyer.email) in news
    assert asked() == {(mine.pk, offer.pk): 1000}, "a hospital goes first again"


# --- Precedence -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["decline", "silence", "cancel"])
def test_a_superseded_need_is_asked_for_again_when_the_stock_is_free(sweep: Sweep, end: str) -> None:
    offer, enterprise = offer_in(WUHAN, 1000), need(by={"kind": "enterprise"})
    sweep()
    hospital = need()
    assert sweep() == [nobody_left(enterprise), suppliers_asked(hospital), proposed(offer), withdrawn(offer)]
    assert asked() == {(hospital.pk, offer.pk): 1000}

    if end == "decline":
        matching.decline(Match.objects.held().get(), by=None, reason="other")
    if end == "cancel":
        demands.cancel_demand(Demand.objects.get(pk=hospital.pk), by=person_of(hospital))
    sweep(timezone.now() + dt.timedelta(hours=3) if end == "silence" else None)

    assert asked() == {(enterprise.pk, offer.pk): 1000}
    assert state_of(enterprise, offer) == [MatchState.SUPERSEDED, MatchState.HELD]


def test_the_rest_of_a_hold_that_yields_goes_out_in_the_same_sweep(sweep: Sweep) -> None:
    offer = offer_in(WUHAN, 1000)
    enterprise = need(by={"kind": "enterprise"})
    sweep()
    waiting = need(400, by={"kind": "enterprise"})
    assert sweep() == []
    hospital = need(300)

    news = sweep()

    # Both enterprises share what is left; for the first the supplier hears the new quantity, and nothing else of it.
    assert asked() == {(hospital.pk, offer.pk): 300, (enterprise.pk, offer.pk): 350, (waiting.pk, offer.pk): 350}
    assert sorted(news) == sorted(
        [suppliers_asked(one) for one in (hospital, waiting, enterprise)] + [proposed(offer)] * 3
    )


def test_a_hold_of_an_aged_need_does_not_yield_to_its_new_tier(sweep: Sweep) -> None:
    offer, community = offer_in(WUHAN, 1000), need(1000, by={"kind": "community"})
    now = timezone.now()
    Demand.objects.filter(pk=community.pk).update(opened_at=now - dt.timedelta(hours=23, minutes=55))
    sweep(now)
    assert Match.objects.held().get().tier == 3
    facility = need(1000, by={"kind": "health_facility"})

    sweep(now + dt.timedelta(minutes=10))

    assert asked() == {(community.pk, offer.pk): 1000}
    assert not facility.matches.exists()


def test_more_changed_offers_than_are_looked_at_at_once_are_all_looked_at(sweep: Sweep) -> None:
    for number in range(matching.BATCH + 5):
        OfferFactory.create(item=ItemFactory.create(key=f"item.{number}"), queued=True)
    last = Offer.objects.order_by("pk").last()
    assert last is not None
    demand = need(item=last.item)
    Demand.objects.filter(pk=demand.pk).update(match_requested_at=None)

    sweep()

    assert asked() == {(demand.pk, last.pk): 1000}


def test_more_holds_than_are_taken_back_at_once_are_all_taken_back(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    offers = [offer_in(WUHAN, 100) for _i in range(5)]
    demand = need(500)
    sweep()
    assert len(asked()) == 5
    monkeypatch.setattr(matching, "HOLDS_AT_ONCE", 2)

    Organisation.objects.filter(offers__in=offers).update(state="unverified")

    assert sweep() == [nobody_left(demand), *sorted(withdrawn(offer) for offer in offers)]
    assert asked() == {}


@pytest.mark.django_db(transaction=True)
def test_workers_that_sweep_at_once_tell_nobody_twice() -> None:
    from tests.matching.holds.test_races import at_once

    for place in (WUHAN, SHENZHEN, XINJIANG):
        offer_in(place, 1500)
    for number in range(6):
        need(500, by={"kind": ["hospital", "enterprise"][number % 2]})
    matching.sweep()
    for offer in Offer.objects.order_by("pk")[:2]:
        matching.decline(Match.objects.held().filter(offer=offer)[0], by=None, reason="gone")
    first = Demand.objects.order_by("pk")[0]
    demands.cancel_demand(first, by=person_of(first))

    at_once(*[matching.sweep] * 4)
    matching.sweep()

    news = told()
    assert broken_invariants() == {}
    assert untold() == []
    asked_for = Match.objects.exclude(respond_by=None)
    assert sum(event == "match.proposed" for event, _address in news) == asked_for.count()
    taken_back = asked_for.filter(state__in=[MatchState.CANCELLED, MatchState.SUPERSEDED])
    assert sum(event == "match.withdrawn" for event, _address in news) <= taken_back.count()
    assert sum(event == "offer.gone" for event, _address in news) == Offer.objects.filter(state="stale").count()
    assert not Match.objects.filter(withdrawal_notice_pending=True).exists()
