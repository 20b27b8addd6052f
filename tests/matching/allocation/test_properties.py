"""What ranking and allocation promise, for any input."""

import datetime as dt
import random
from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from apps.matching.allocation.sequential import decide
from apps.matching.scoring.eligibility import Reason, asked_before
from apps.matching.scoring.facts import Fit, HeldFor, Need, Rules, Source
from apps.matching.scoring.precedence import effective_tier, precedence
from apps.matching.scoring.ranking import rank, score
from tests.matching.markets import NOW, PLACES, POLICY, RULES, Books, markets, needs, sources, tier_of, usable


@given(markets())
def test_nothing_is_oversold_and_nobody_gets_more_than_they_want(market: tuple[list[Need], list[Source]]) -> None:
    demand, supply = market
    plan = decide(demand, supply, RULES, policy=POLICY, now=NOW)
    books = Books(plan, supply)

    assert all(left >= 0 for left in books.left.values())
    assert all(books.got(need) <= need.remaining for need in demand)
    assert all(hold.quantity > 0 for hold in plan.holds)
    assert len({(hold.need_id, hold.candidate.source.id) for hold in plan.holds}) == len(plan.holds)


@given(markets())
def test_every_hold_passes_every_filter_and_respects_minimum_orders(market: tuple[list[Need], list[Source]]) -> None:
    demand, supply = market
    wanted = {need.id: need for need in demand}
    for hold in decide(demand, supply, RULES, policy=POLICY, now=NOW).holds:
        need, source = wanted[hold.need_id], hold.candidate.source
        assert source.organisation_id != need.organisation_id
        assert source.id not in need.excluded[Reason.ASKED_BEFORE]
        assert hold.quantity >= source.minimum_order
        assert not source.ships_to or source.ships_to & set(need.location.path.split("/"))
        if source.item_id != need.item_id:
            assert need.accepts_substitutes
            assert hold.candidate.is_substitute
        if need.standard_id is not None:
            assert (source.standard_id, need.standard_id) in RULES.satisfies


@given(markets())
def test_no_need_is_left_wanting_while_a_source_that_would_help_is_left(
    market: tuple[list[Need], list[Source]],
) -> None:
    demand, supply = market
    plan = decide(demand, supply, RULES, policy=POLICY, now=NOW)
    books = Books(plan, supply)
    for need in demand:
        short = need.remaining - books.got(need)
        for candidate in plan.ranked[need.id].candidates:
            source = candidate.source
            already = books.given[need.id, source.id]
            left = books.left[source.id] - books.wanted_above(source, tier_of(need))
            assert not (short and usable(need, source, left, short, already))


@given(markets())
def test_no_lower_tier_is_given_what_a_higher_one_lacks(market: tuple[list[Need], list[Source]]) -> None:
    demand, supply = market
    plan = decide(demand, supply, RULES, policy=POLICY, now=NOW)
    books = Books(plan, supply)
    tiers = {need.id: tier_of(need) for need in demand}
    for need in demand:
        short = need.remaining - books.got(need)
        for candidate in plan.ranked[need.id].candidates if short else []:
            source = candidate.source
            lower = sum(
                quantity
                for (other, offer), quantity in books.given.items()
                if offer == source.id and tiers[other] > tiers[need.id]
            )
            already = books.given[need.id, source.id]
            left = books.left[source.id] + lower - books.wanted_above(source, tiers[need.id])
            assert not (lower and usable(need, source, left, short, already))


@given(markets())
def test_only_unanswered_holds_of_lower_tiers_yield(market: tuple[list[Need], list[Source]]) -> None:
    demand, supply = market
    plan = decide(demand, supply, RULES, policy=POLICY, now=NOW)
    best = {source.id: 5 for source in supply}
    for hold in plan.holds:
        [need] = [need for need in demand if need.id == hold.need_id]
        best[hold.candidate.source.id] = min(best[hold.candidate.source.id], tier_of(need))
    for source in supply:
        for held in source.held:
            if held.match_id in plan.yielding:
                assert held.tier > best[source.id]
    assert len(plan.yielding) == len(set(plan.yielding))


@given(markets())
def test_a_lower_tier_leaves_what_remains_of_a_higher_one(
    market: tuple[list[Need], list[Source]],
) -> None:
    demand, supply = market
    books = Books(decide(demand, supply, RULES, policy=POLICY, now=NOW), supply)
    for source in supply:
        for need in demand:
            if books.given[need.id, source.id]:
                assert books.left[source.id] >= books.wanted_above(source, tier_of(need))


@given(markets(), st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(
    market: tuple[list[Need], list[Source]], shuffler: random.Random
) -> None:
    demand, supply = market
    plan = decide(demand, supply, RULES, policy=POLICY, now=NOW)
    shuffled_demand, shuffled_supply = list(demand), list(supply)
    shuffler.shuffle(shuffled_demand)
    shuffler.shuffle(shuffled_supply)

    again = decide(shuffled_demand, shuffled_supply, RULES, policy=POLICY, now=NOW)

    assert (plan.holds, plan.backups, plan.yielding) == (again.holds, again.backups, again.yielding)


@given(needs(), st.lists(sources(), max_size=6))
def test_every_source_is_a_candidate_or_has_a_reason(need: Need, supply: list[Source]) -> None:
    supply = [replace(source, id=place) for place, source in enumerate(supply, 1)]
    ranked = rank(need, supply, RULES, policy=POLICY, now=NOW)

    assert len(ranked.candidates) + sum(ranked.refused.values()) == len(supply)
    for candidate in ranked.candidates:
        assert 0 <= candidate.score <= 1
        assert all(0 <= term.score <= 1 for term in candidate.terms)
        assert abs(sum(term.score * term.weight for term in candidate.terms) - candidate.score) < 1e-5
    keys = [(-candidate.score, candidate.source.id) for candidate in ranked.candidates]
    assert keys == sorted(keys)


@given(needs(), sources(), st.integers(min_value=0, max_value=30), st.integers(min_value=1, max_value=5000))
def test_sooner_fresher_more_and_cheaper_never_score_less(need: Need, source: Source, earlier: int, more: int) -> None:
    def of(better: Source) -> float:
        return score(need, better, Fit.EQUAL, RULES, policy=POLICY, now=NOW).score

    base = of(source)
    assert of(replace(source, lead_time_days=max(0, source.lead_time_days - earlier))) >= base
    assert of(replace(source, free=source.free + more)) >= base
    assert of(replace(source, confirmed_at=NOW)) >= base
    assert of(replace(source, kept=source.kept + 1)) >= base
    if source.unit_price is not None:
        assert of(replace(source, unit_price=source.unit_price / 2)) >= base
    assert of(replace(source, is_donation=True)) >= base


@given(needs(), needs(2))
def test_waiting_lifts_a_need_and_precedence_is_total(one: Need, other: Need) -> None:
    later = NOW + dt.timedelta(hours=24)
    assert effective_tier(one.tier, one.waiting_since, later, POLICY) <= effective_tier(
        one.tier, one.waiting_since, NOW, POLICY
    )
    assume(one.tier != other.tier)
    fresh_one, fresh_other = replace(one, waiting_since=NOW), replace(other, waiting_since=NOW)
    assert (precedence(fresh_one, NOW, POLICY) < precedence(fresh_other, NOW, POLICY)) == (one.tier < other.tier)


def test_a_contested_item_is_shared_within_a_tier() -> None:
    place = PLACES[1]
    source = Source(
        id=1, organisation_id=1, item_id=1, free=1000, minimum_order=1, lead_time_days=1, location=place,
        ships_to=frozenset(), standard_id=None, confirmed_at=NOW,
    )  # fmt: skip
    first, second = (
        Need(
            id=id_, organisation_id=10 + id_, item_id=1, target=1000, remaining=1000, tier=1, urgency_rank=1,
            days_of_supply=None, waiting_since=NOW - dt.timedelta(minutes=10 - id_), needed_by=None, location=place,
        )
        for id_ in (1, 2)
    )  # fmt: skip

    plan = decide([first, second], [source], RULES, policy=POLICY, now=NOW)

    assert {hold.need_id: hold.quantity for hold in plan.holds} == {1: 500, 2: 500}


def test_the_reason_for_a_refusal_is_counted() -> None:
    place = PLACES[1]
    need = Need(
        id=1, organisation_id=1, item_id=2, target=10, remaining=10, tier=1, urgency_rank=1, days_of_supply=None,
        waiting_since=NOW, needed_by=None, location=place, standard_id=2,
    )  # fmt: skip
    fine = Source(
        id=1, organisation_id=2, item_id=2, free=100, minimum_order=1, lead_time_days=1, location=place,
        ships_to=frozenset(), standard_id=2, confirmed_at=NOW,
    )  # fmt: skip
    supply = [
        fine,
        replace(fine, id=2, organisation_id=1),
        replace(fine, id=3, item_id=1),
        replace(fine, id=4, standard_id=None),
        replace(fine, id=5, ships_to=frozenset({"440000"})),
        replace(fine, id=6, minimum_order=11),
        replace(fine, id=7, free=0),
    ]

    ranked = rank(need, supply, RULES, policy=POLICY, now=NOW)

    assert [candidate.source.id for candidate in ranked.candidates] == [1]
    assert ranked.refused == {
        Reason.OWN: 1,
        Reason.SUBSTITUTE: 1,
        Reason.STANDARD: 1,
        Reason.REGION: 1,
        Reason.MINIMUM: 1,
        Reason.STOCK: 1,
    }


def one_need(wanting: int, *, tier: int) -> Need:
    return Need(
        id=1, organisation_id=100, item_id=1, target=wanting, remaining=wanting, tier=tier, urgency_rank=1,
        days_of_supply=None, waiting_since=NOW, needed_by=None, location=PLACES[1],
    )  # fmt: skip


def one_source(id_: int, free: int, *held: HeldFor) -> Source:
    return Source(
        id=id_, organisation_id=id_, item_id=1, free=free, minimum_order=1, lead_time_days=1, location=PLACES[1],
        ships_to=frozenset(), standard_id=None, confirmed_at=NOW, held=held,
    )  # fmt: skip


def test_what_a_higher_tier_has_got_of_others_is_not_left_for_it() -> None:
    """A hospital of which one supplier has not answered is given the rest by another."""
    hospital = asked_before(one_need(60, tier=1), 1)
    clinic = asked_before(replace(one_need(100, tier=2), id=2, organisation_id=101), 2)
    asked = HeldFor(11, need_id=hospital.id, tier=1, quantity=40, remaining=60)

    plan = decide([hospital, clinic], [one_source(1, 100, asked), one_source(2, 60)], RULES, policy=POLICY, now=NOW)

    given = {(hold.need_id, hold.candidate.source.id): hold.quantity for hold in plan.holds}
    assert given == {(1, 2): 60, (2, 1): 100}


def test_no_hold_yields_where_what_it_held_would_be_left_for_a_higher_tier() -> None:
    hospital = HeldFor(11, need_id=901, tier=1, quantity=40, remaining=70)
    community = HeldFor(12, need_id=902, tier=3, quantity=60)
    market = [one_source(1, 0, hospital, community), one_source(2, 30)]

    plan = decide([one_need(90, tier=2)], market, RULES, policy=POLICY, now=NOW)

    assert {hold.candidate.source.id: hold.quantity for hold in plan.holds} == {2: 30}
    assert plan.yielding == []


def test_no_hold_yields_for_what_is_not_worth_a_shipment() -> None:
    hospital = HeldFor(11, need_id=901, tier=1, quantity=9_000)
    community = HeldFor(12, need_id=902, tier=3, quantity=5)

    plan = decide([one_need(100_000, tier=2)], [one_source(1, 0, hospital, community)], RULES, policy=POLICY, now=NOW)

    assert (plan.holds, plan.yielding) == ([], [])


def test_who_takes_over_is_told_that_it_gets_all_it_wants() -> None:
    place = PLACES[1]
    source = Source(
        id=1, organisation_id=1, item_id=1, free=0, minimum_order=1, lead_time_days=1, location=place,
        ships_to=frozenset(), standard_id=None, confirmed_at=NOW,
        held=(HeldFor(match_id=1, need_id=900, tier=4, quantity=300),),
    )  # fmt: skip
    need = Need(
        id=1, organisation_id=2, item_id=1, target=200, remaining=200, tier=1, urgency_rank=1, days_of_supply=None,
        waiting_since=NOW, needed_by=None, location=place,
    )  # fmt: skip

    [hold] = decide([need], [source], RULES, policy=POLICY, now=NOW).holds

    [coverage] = [term for term in hold.candidate.terms if term.name == "coverage"]
    assert (hold.quantity, coverage.value, coverage.score) == (200, 200, 1.0)


def test_an_item_is_served_by_itself_and_accepted_substitutes() -> None:
    rules = Rules(substitutes=frozenset({(1, 2), (3, 2), (2, 4)}))

    assert rules.offered_for(2, accepts_substitutes=True) == {1, 2, 3}
    assert rules.offered_for(2, accepts_substitutes=False) == {2}
    assert rules.offered_for(1, accepts_substitutes=True) == {1}
