"""The settings for times when far more is asked for than is there: each does what the policy says, and no more."""

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.demands.models import URGENCY_RANK, Urgency
from apps.matching.allocation.arcs import eligible_supply
from apps.matching.allocation.contested import Effort, allocate
from apps.matching.allocation.exceptions import REFUSED
from apps.matching.allocation.market import Market
from apps.matching.allocation.priority import priority_levels
from apps.matching.allocation.sequential import decide
from apps.matching.scoring.eligibility import Reason
from apps.matching.scoring.facts import Location, Need, Rules, Source, reach_km
from apps.matching.scoring.precedence import ROUTINE
from apps.matching.scoring.ranking import rank
from apps.policy.values import Fairness, PolicyValues
from tests.matching.markets import NOW, PLACES, POLICY, RULES, Books, every_score, markets

DAY = dt.timedelta(days=1)
PLAIN = replace(
    POLICY,
    weights={**POLICY.weights, "coverage": 0, "distance": POLICY.weights["coverage"] + POLICY.weights["distance"]},
    fairness=Fairness.OFF,
    share_cap=1,
    matter_share=0,
    shipment_weight=0,
    fill_weight=0,
)
BEIJING, WUHAN, SHENZHEN = PLACES[0], PLACES[1], PLACES[3]

NEED = Need(
    id=1, organisation_id=100, item_id=1, target=100, remaining=100, tier=1, urgency_rank=ROUTINE, days_of_supply=None,
    waiting_since=NOW, needed_by=None, location=WUHAN,
)  # fmt: skip
GIFT = Source(
    id=1, organisation_id=1, item_id=1, free=100, minimum_order=1, lead_time_days=1, location=WUHAN,
    ships_to=frozenset(), standard_id=None, confirmed_at=NOW, is_donation=True, offered_at=NOW,
)  # fmt: skip
FAR = replace(GIFT, location=SHENZHEN)


def others(**facts: Any) -> Need:
    return replace(NEED, id=2, organisation_id=101, **facts)


def given_to(needs: Sequence[Need], sources: Sequence[Source], policy: PolicyValues, **how: Any) -> dict[int, int]:
    verdicts = allocate(needs, sources, RULES, policy=policy, now=NOW, **how).shortages
    return {number: verdict.given for number, verdict in verdicts.items()}


def test_small_needs_are_filled_first_where_that_outweighs_distance() -> None:
    large, small = replace(NEED, target=1000, remaining=1000), others(target=80, remaining=80, location=SHENZHEN)

    def small_need(weight: float) -> int:
        return given_to([large, small], [GIFT], replace(PLAIN, fill_weight=weight, gift_reach_km=None))[2]

    assert (small_need(0), small_need(1000)) == (0, 80)


def test_filling_never_comes_before_tier_urgency_days_of_supply_or_waiting() -> None:
    policy = replace(PLAIN, fill_weight=1000, waiting_step_hours=24, waiting_steps=3)
    small = others(target=5, remaining=5)
    for before in (
        replace(NEED, waiting_since=NOW - DAY),
        replace(NEED, days_of_supply=9),
        replace(NEED, urgency_rank=0),
    ):
        assert given_to([before, small], [GIFT], policy) == {1: 100, 2: 0}
    assert given_to([NEED, replace(small, tier=2)], [GIFT], policy) == {1: 100, 2: 0}
    assert given_to([NEED, small], [GIFT], policy) == {1: 95, 2: 5}


def test_waiting_is_told_apart_in_steps_and_up_to_so_many() -> None:
    policy = replace(PLAIN, fill_weight=1, waiting_step_hours=24, waiting_steps=3)

    def older_need(hours: int, more: int) -> int:
        older = replace(NEED, waiting_since=NOW - dt.timedelta(hours=hours + more))
        newer = others(target=50, remaining=50, waiting_since=NOW - dt.timedelta(hours=hours))
        return given_to([older, newer], [GIFT], policy)[1]

    assert older_need(20, 3) == 50  # in the same step the small need goes first
    assert older_need(20, 5) == 100
    assert older_need(80, 500) == 50  # both have waited long


def test_equal_parts_are_for_when_there_is_enough_for_them_to_be_of_use() -> None:
    needs = [replace(NEED, target=400, remaining=400), others(target=400, remaining=400)]

    def given(free: int) -> list[int]:
        policy = replace(PLAIN, fairness=Fairness.URGENCY, fair_from=0.25)
        return sorted(given_to(needs, [replace(GIFT, free=free)], policy).values())

    assert given(200) == [100, 100]
    assert given(196) == [0, 196]


def test_a_shipment_costs_a_small_need_as_many_units_as_a_large_one() -> None:
    """Nine tenths nearby and a second parcel, or all of it from afar: 0.29 of a score worse for each unit."""

    def shipments(wanting: int, units: float) -> int:
        need = replace(NEED, target=wanting, remaining=wanting)
        near, far = replace(GIFT, free=wanting * 9 // 10), replace(FAR, id=2, free=wanting, is_donation=False)
        policy = replace(PLAIN, shipment_units=units)
        return allocate([need], [near, far], RULES, policy=policy, now=NOW).report.shipments

    assert [shipments(wanting, 0) for wanting in (100, 1000)] == [2, 2]
    assert [shipments(wanting, 100) for wanting in (100, 1000)] == [1, 2]
    assert [shipments(wanting, 300) for wanting in (100, 1000)] == [1, 1]


def test_shipments_are_consolidated_where_that_is_worth_it() -> None:
    """Two needs of 50 take the hundred between them, or one of 120 takes all of it, a little less full."""
    small = [replace(NEED, id=number, organisation_id=100 + number, target=50, remaining=50) for number in (1, 2)]
    large = replace(NEED, id=3, organisation_id=103, target=120, remaining=120)

    def given(units: float, **facts: Any) -> dict[int, int]:
        policy = replace(PLAIN, fill_weight=1, shipment_units=units)
        return given_to([*small, replace(large, **facts)], [GIFT], policy)

    assert given(0.1) == {1: 50, 2: 50, 3: 0}
    assert given(5) == {1: 0, 2: 0, 3: 100}
    assert given(5, tier=2) == {1: 50, 2: 50, 3: 0}
    assert given(5, urgency_rank=ROUTINE + 1) == {1: 50, 2: 50, 3: 0}  # a level is worth any number of parcels


@given(markets(), st.floats(0.1, 1000), st.sampled_from([0, 10**6]))
def test_no_level_is_served_less_for_fewer_shipments(
    case: tuple[list[Need], list[Source]], units: float, small: int
) -> None:
    supply = [replace(source, held=(), minimum_order=1) for source in case[1]]
    policy = replace(PLAIN, shipment_units=0)
    market = Market(case[0], [source for source in supply if source.free], RULES, policy=policy, now=NOW)
    levels = priority_levels(market, eligible_supply(market))

    def served(policy: PolicyValues) -> list[int]:
        plan = allocate(case[0], supply, RULES, policy=policy, now=NOW, effort=Effort(exact_pairs=small)).plan
        books = Books(plan, supply)
        return levels.units_by_level(np.array([books.got(need) for need in market.needs], dtype=np.int64))

    assert served(replace(policy, shipment_units=units)) >= served(policy)


@pytest.mark.parametrize(
    ("need", "source", "waits"),
    [
        pytest.param(NEED, FAR, True, id="a gift from afar"),
        pytest.param(NEED, replace(FAR, offered_at=NOW - 16 * DAY), True, id="for 16 days on offer"),
        pytest.param(NEED, replace(FAR, offered_at=NOW - 17 * DAY), False, id="for 17 days on offer"),
        pytest.param(NEED, replace(FAR, offered_at=None, confirmed_at=NOW - 17 * DAY), False, id="never published"),
        pytest.param(NEED, replace(FAR, is_donation=False), False, id="for sale"),
        pytest.param(NEED, GIFT, False, id="nearby"),
        pytest.param(replace(NEED, location=Location("IT/")), FAR, False, id="nobody knows how far"),
        pytest.param(replace(NEED, urgency_rank=URGENCY_RANK[Urgency.URGENT]), FAR, False, id="urgent"),
        pytest.param(replace(NEED, urgency_rank=URGENCY_RANK[Urgency.EMERGENCY]), FAR, False, id="emergency"),
    ],
)
def test_a_gift_waits_for_a_routine_need_nearby_and_for_no_other(need: Need, source: Source, waits: bool) -> None:
    """From Shenzhen to Wuhan it is 895 km; the reach grows by 50 km a day. At once and together alike."""
    policy = replace(PLAIN, gift_reach_km=50, gift_reach_km_per_day=50)
    quantity = 0 if waits else 100

    at_once = decide([need], [source], RULES, policy=policy, now=NOW)

    assert sum(hold.quantity for hold in at_once.holds) == quantity
    assert given_to([need], [source], policy) == {1: quantity}
    assert rank(need, [source], RULES, policy=policy, now=NOW).refused == ({Reason.FAR: 1} if waits else {})


def test_a_policy_without_a_reach_lets_gifts_go_anywhere() -> None:
    assert given_to([NEED], [FAR], replace(PLAIN, gift_reach_km=0)) == {1: 0}
    assert given_to([NEED], [FAR], replace(PLAIN, gift_reach_km=None)) == {1: 100}
    assert math.isinf(reach_km(FAR, NOW, replace(PLAIN, gift_reach_km=None)))


def test_routine_is_what_demands_call_routine() -> None:
    assert {rank for urgency, rank in URGENCY_RANK.items() if rank >= ROUTINE} == {URGENCY_RANK[Urgency.ROUTINE]}


@given(
    markets(),
    st.none() | st.sampled_from([0, 500, 900]),
    st.sampled_from([0, 60]),
    st.floats(0, 3),
    st.floats(0, 50),
    st.sampled_from([0, 10**6]),
)
def test_no_setting_breaks_a_promise(
    case: tuple[list[Need], list[Source]], reach: float | None, a_day: float, fill: float, units: float, small: int
) -> None:
    demand, supply = case[0], [replace(source, held=()) for source in case[1]]
    policy = replace(
        POLICY, gift_reach_km=reach, gift_reach_km_per_day=a_day, fill_weight=fill, shipment_units=units, fair_from=0
    )
    market = Market(demand, [source for source in supply if source.free], RULES, policy=policy, now=NOW)
    allowed = every_score(market)

    plan = allocate(demand, supply, RULES, policy=policy, now=NOW, effort=Effort(exact_pairs=small)).plan
    books = Books(plan, supply)

    assert all(left >= 0 for left in books.left.values())
    assert all(books.got(need) <= need.remaining for need in demand)
    assert all(hold.quantity >= hold.candidate.source.minimum_order for hold in plan.holds)
    for need in market.needs:
        fit = {
            candidate.source.id for candidate in rank(need, market.sources, RULES, policy=policy, now=NOW).candidates
        }
        row = allowed[market.row[need.id]]
        assert {source.id for source, score in zip(market.sources, row, strict=True) if score != REFUSED} == fit
    for hold in plan.holds:
        assert allowed[market.row[hold.need_id], market.column[hold.candidate.source.id]] != REFUSED


class Roads:
    """Measured: from Beijing nothing is far, from Shenzhen everything."""

    def km(self, a: Location, b: Location) -> float | None:
        return {BEIJING: 10.0, SHENZHEN: 5000.0}.get(b)

    def table(self, here: Sequence[Location], there: Sequence[Location]) -> Any:
        return np.array([[self.km(a, b) or math.nan for b in there] for a in here]).reshape(len(here), len(there))


def test_measured_distances_take_the_place_of_the_globe() -> None:
    rules = Rules(distances=Roads())
    sources = [replace(GIFT, id=2, location=SHENZHEN), replace(GIFT, id=3, location=BEIJING), replace(GIFT, id=4)]
    need = replace(NEED, target=1000, remaining=1000)

    plan = allocate([need], sources, rules, policy=PLAIN, now=NOW).plan
    found = {hold.candidate.source.id: hold.candidate.terms[1].value for hold in plan.holds}
    ranked = rank(need, sources, rules, policy=PLAIN, now=NOW)

    assert found == {3: 10, 4: None}
    assert [candidate.source.id for candidate in ranked.candidates] == [3, 4]
    assert ranked.refused == {Reason.FAR: 1}


@pytest.mark.parametrize(
    "wrong",
    [
        {"fill_weight": -1},
        {"shipment_units": -1},
        {"fair_from": 1.1},
        {"waiting_step_hours": 0},
        {"waiting_steps": -1},
        {"gift_reach_km": -1},
        {"gift_reach_km_per_day": -1},
    ],
)
def test_numbers_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"^{next(iter(wrong))}: range"):
        PolicyValues.from_json(wrong)


def test_a_standard_that_weighs_nothing_in_the_score_is_still_demanded() -> None:
    weights = {**PLAIN.weights, "standard": 0, "price": PLAIN.weights["price"] + PLAIN.weights["standard"]}
    demanding, fitting = (
        replace(NEED, standard_id=1, remaining=100),
        replace(GIFT, id=2, organisation_id=2, standard_id=1),
    )

    policy = replace(PLAIN, weights=weights)

    assert given_to([demanding], [GIFT], policy) == {1: 0}
    assert given_to([demanding], [GIFT, fitting], policy) == {1: 100}
