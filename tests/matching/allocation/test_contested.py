"""What solving a contested market together promises, for any market."""

import datetime as dt
import itertools
import random
from collections import defaultdict, deque
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.matching.allocation import priority
from apps.matching.allocation.aggregation import solve_aggregated
from apps.matching.allocation.arcs import Arcs, all_arcs, eligible_supply
from apps.matching.allocation.contested import Effort, allocate
from apps.matching.allocation.exceptions import REFUSED
from apps.matching.allocation.flow import solve_flow
from apps.matching.allocation.greedy import greedy, greedy_unless_worse
from apps.matching.allocation.groups import Ints
from apps.matching.allocation.market import Market
from apps.matching.allocation.outcome import Allocation, Method
from apps.matching.allocation.priority import priority_levels
from apps.matching.allocation.sequential import Plan, decide
from apps.matching.scoring.eligibility import Reason
from apps.matching.scoring.facts import Location, Need, Source, minimum_useful_quantity
from apps.matching.scoring.precedence import precedence
from apps.matching.scoring.ranking import rank
from apps.policy.values import Fairness, PolicyValues
from tests.matching.markets import NOW, PLACES, POLICY, RULES, Books, every_score, markets, tier_of, usable

# Nothing is refused for being little: then the flow is the optimum, not only near it.
PLAIN = replace(POLICY, matter_share=0, shipment_weight=0, stay_bonus=0)

NEED = Need(
    id=1, organisation_id=100, item_id=1, target=1000, remaining=1000, tier=1, urgency_rank=1, days_of_supply=None,
    waiting_since=NOW, needed_by=None, location=PLACES[1],
)  # fmt: skip
SOURCE = Source(
    id=1, organisation_id=1, item_id=1, free=1000, minimum_order=1, lead_time_days=1, location=PLACES[1],
    ships_to=frozenset(), standard_id=None, confirmed_at=NOW,
)  # fmt: skip

Case = tuple[list[Need], list[Source]]
# By all pairs, by column generation, and cut into areas of two needs.
EFFORTS = st.sampled_from([Effort(), Effort(exact_pairs=0), Effort(whole_pairs=-1, area_needs=2)])


@st.composite
def contests(draw: st.DrawFn) -> Case:
    """Markets in which no offer is held."""
    demand, supply = draw(markets())
    return demand, [replace(source, held=()) for source in supply]


@st.composite
def plain_contests(draw: st.DrawFn) -> Case:
    demand, supply = draw(contests())
    return demand, [replace(source, minimum_order=1) for source in supply]


def solved(case: Case, policy: PolicyValues = POLICY, **how: Any) -> Allocation:
    return allocate(*case, RULES, policy=policy, now=NOW, **how)


def fits(need: Need, source: Source, policy: PolicyValues = POLICY) -> bool:
    return len(rank(need, [source], RULES, policy=policy, now=NOW).candidates) > 0


def by_tier(plan: Plan, demand: list[Need]) -> list[int]:
    tiers = {need.id: tier_of(need) for need in demand}
    totals = [0] * 5
    for hold in plan.holds:
        totals[tiers[hold.need_id]] += hold.quantity
    return totals


def most_that_flows(demand: list[Need], supply: list[Source], policy: PolicyValues) -> int:
    """The oracle: the largest flow from the sources to these needs, by breadth-first augmenting paths."""
    residual: dict[object, dict[object, int]] = defaultdict(lambda: defaultdict(int))
    for source in supply:
        residual["from"]["s", source.id] = source.free
    for need in demand:
        residual["n", need.id]["to"] = need.remaining
        for source in supply:
            if source.free and fits(need, source, policy):
                residual["s", source.id]["n", need.id] = min(need.remaining, source.free)
    total = 0
    while path := _augmenting_path(residual):
        units = min(residual[a][b] for a, b in itertools.pairwise(path))
        for a, b in itertools.pairwise(path):
            residual[a][b] -= units
            residual[b][a] += units
        total += units
    return total


def _augmenting_path(residual: dict[object, dict[object, int]]) -> list[object]:
    came: dict[object, object] = {"from": None}
    queue: deque[object] = deque(["from"])
    while queue and "to" not in came:
        node = queue.popleft()
        for other in [other for other, room in residual[node].items() if room and other not in came]:
            came[other] = node
            queue.append(other)
    if "to" not in came:
        return []
    path: list[object] = ["to"]
    while came[path[-1]] is not None:
        path.append(came[path[-1]])
    return path[::-1]


@given(contests())
def test_arrays_filter_and_score_as_ranking_does(case: Case) -> None:
    demand, supply = case
    market = Market(demand, [source for source in supply if source.free], RULES, policy=POLICY, now=NOW)
    found = every_score(market)
    for row, need in enumerate(market.needs):
        ranked = rank(need, market.sources, RULES, policy=POLICY, now=NOW).candidates
        exact = {candidate.source.id: 1000 * candidate.score for candidate in ranked}
        for column, source in enumerate(market.sources):
            assert abs(found[row, column] - exact.get(source.id, REFUSED)) <= 0.51


@given(contests(), st.floats(0, 1))
def test_arrays_have_the_precedence_and_minimum_of_ranking(case: Case, share: float) -> None:
    """Needs wait for up to twenty days, and some for as long as others."""
    policy = replace(POLICY, matter_share=share)
    demand = [replace(need, waiting_since=case[0][need.id // 2].waiting_since) for need in case[0]]
    market = Market(demand, case[1], RULES, policy=policy, now=NOW)

    turns = sorted(market.needs, key=lambda need: precedence(need, NOW, policy))
    assert [market.needs[row].id for row in market.order] == [need.id for need in turns]
    assert market.tier.tolist() == [tier_of(need) for need in market.needs]
    assert market.minimum_useful.tolist() == [minimum_useful_quantity(need, policy) for need in market.needs]


@given(contests(), st.sampled_from([0, 3, 1 << 17]), st.integers(0, 3))
def test_scores_are_the_same_by_pairs_by_groups_or_all_at_once(case: Case, block: int, bits: int) -> None:
    """Also of some of the needs and sources only, and with suppliers who were asked already."""
    demand, supply = case
    kept = {(need.id, source.id) for need in demand for source in supply if (need.id + source.id) % 3 == bits}
    market = Market(demand, supply, RULES, policy=POLICY, now=NOW, kept=kept, bonus=100)
    rows, columns = np.arange(len(market.needs)), np.arange(len(market.sources))
    whole = every_score(market)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("apps.matching.allocation.market._BLOCK", block)
        patch.setattr("apps.matching.allocation.arcs._BLOCK", block)
        some = every_score(market, rows[::-2], columns[::2])
        arcs = all_arcs(market)

    by_pair = market.score(*(side.reshape(-1) for side in np.meshgrid(rows, columns, indexing="ij")))
    assert (whole.reshape(-1) == by_pair).all()
    chosen = np.full_like(whole, REFUSED)
    chosen[np.ix_(rows[::-2], columns[::2])] = whole[np.ix_(rows[::-2], columns[::2])]
    assert (some == chosen).all()
    assert [side.tolist() for side in (arcs.row, arcs.column)] == [
        side.tolist() for side in np.nonzero(whole != REFUSED)
    ]
    assert (arcs.score == whole[arcs.row, arcs.column]).all()


@given(contests(), st.sampled_from([3, 1 << 20]))
def test_eligible_supply_is_what_is_free_at_every_source_that_fits(case: Case, block: int) -> None:
    """Added up by groups, though quantities, distances and persons are a matter of pairs."""
    market = Market(*case, RULES, policy=POLICY, now=NOW)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("apps.matching.allocation.arcs._BLOCK", block)
        found = eligible_supply(market)

    assert found.tolist() == ((every_score(market) != REFUSED) @ market.free).tolist()


@given(contests(), st.sampled_from(Fairness))
def test_the_aggregated_flow_bounds_the_value_of_any_plan(case: Case, fairness: Fairness) -> None:
    policy = replace(POLICY, fairness=fairness)
    market = Market(*case, RULES, policy=policy, now=NOW)
    levels = priority_levels(market, eligible_supply(market))
    arcs = all_arcs(market)
    quantity = solve_flow(market, arcs, levels)
    got = np.bincount(arcs.row, quantity, minlength=len(market)).astype(np.int64)

    pairs, _units, bound, _assigned = solve_aggregated(market, levels)

    assert bound >= levels.value(got) + float(arcs.score @ quantity)
    assert set(zip(pairs.row, pairs.column, pairs.score, strict=True)) <= set(
        zip(arcs.row, arcs.column, arcs.score, strict=True)
    )


@given(plain_contests())
def test_the_aggregated_flow_is_optimal_where_no_pair_is_refused(case: Case) -> None:
    policy = replace(PLAIN, gift_reach_km=None)
    demand = [replace(need, organisation_id=1000 + need.id, excluded={}) for need in case[0]]
    market = Market(demand, case[1], RULES, policy=policy, now=NOW)
    levels = priority_levels(market, eligible_supply(market))

    pairs, units, _bound, _assigned = solve_aggregated(market, levels)
    all_ = all_arcs(market)

    def served(arcs: Arcs, quantity: Ints) -> list[int]:
        return levels.units_by_level(np.bincount(arcs.row, quantity, minlength=len(market)).astype(np.int64))

    assert served(pairs, units) == served(all_, solve_flow(market, all_, levels))
    assert (np.bincount(pairs.column, units, minlength=len(market.sources)) <= market.free).all()


@given(contests(), st.sampled_from(Fairness), EFFORTS)
def test_nothing_is_oversold_or_overserved_and_minimum_orders_are_kept(
    case: Case, fairness: Fairness, effort: Effort
) -> None:
    demand, supply = case
    plan = solved(case, replace(POLICY, fairness=fairness), effort=effort).plan
    books = Books(plan, supply)

    assert all(left >= 0 for left in books.left.values())
    assert all(books.got(need) <= need.remaining for need in demand)
    assert len({(hold.need_id, hold.candidate.source.id) for hold in plan.holds}) == len(plan.holds)
    wanted = {need.id: need for need in demand}
    for hold in plan.holds:
        assert hold.quantity >= max(1, hold.candidate.source.minimum_order)
        assert fits(wanted[hold.need_id], hold.candidate.source)


@given(contests(), EFFORTS)
def test_no_need_is_left_wanting_while_a_source_that_would_help_is_left(case: Case, effort: Effort) -> None:
    demand, supply = case
    books = Books(solved(case, effort=effort).plan, supply)
    for need in demand:
        short = need.remaining - books.got(need)
        for source in supply:
            if short and fits(need, source):
                already = books.given[need.id, source.id]
                assert not usable(need, source, books.left[source.id], short, already)


@given(plain_contests(), st.sampled_from(Fairness), st.sampled_from([0, 10**6]))
def test_the_totals_of_the_tiers_are_the_lexicographic_optimum(case: Case, fairness: Fairness, small: int) -> None:
    """Fair or not, by all pairs or by some: the most for tier 1, then the most for tier 2 that this allows, …"""
    demand, supply = case
    outcome = solved(case, replace(PLAIN, fairness=fairness), effort=Effort(exact_pairs=small))
    best = [most_that_flows([need for need in demand if tier_of(need) <= tier], supply, PLAIN) for tier in range(1, 5)]
    assert list(itertools.accumulate(by_tier(outcome.plan, demand)[1:])) == best


@given(plain_contests())
def test_column_generation_reaches_the_value_of_all_pairs(case: Case) -> None:
    full, columns = solved(case, PLAIN), solved(case, PLAIN, effort=Effort(exact_pairs=0, gap_goal=0, score_goal=0))

    assert columns.report.value == pytest.approx(full.report.value, rel=1e-12)
    assert columns.report.gap <= 1e-12


@given(contests(), st.sampled_from([0, 10**6]))
def test_the_value_is_between_greedy_and_the_certified_bound(case: Case, small: int) -> None:
    demand, _supply = case
    outcome = solved(case, effort=Effort(exact_pairs=small))
    market = Market(demand, [source for source in case[1] if source.free], RULES, policy=POLICY, now=NOW, bonus=100)
    levels = priority_levels(market, eligible_supply(market))
    one_by_one = greedy(market, levels.cap)
    theirs = [int(one_by_one.assigned[levels.tier == tier].sum()) for tier in range(1, 5)]

    assert by_tier(outcome.plan, demand)[1:] >= theirs
    assert outcome.report.gap >= 0


@given(contests(), st.randoms(use_true_random=False))
def test_greedy_is_given_up_exactly_where_a_tier_falls_behind(case: Case, chance: random.Random) -> None:
    """Against any other plan: here the greedy one for needs that come in another order of tiers."""
    mixed = [replace(need, tier=chance.randint(1, 4)) for need in case[0]]
    market, other = (Market(demand, case[1], RULES, policy=POLICY, now=NOW) for demand in (case[0], mixed))
    levels, caps = priority_levels(market, eligible_supply(market)), priority_levels(other, eligible_supply(other)).cap
    plan, alone = greedy(other, caps), greedy(market, levels.cap)

    followed = greedy_unless_worse(market, levels.cap, plan)

    behind = list(levels.units_by_tier(alone.assigned).values()) < list(levels.units_by_tier(plan.assigned).values())
    assert (followed is None) == behind
    assert followed is None or followed.loads == alone.loads


@given(plain_contests())
def test_no_tier_gets_less_than_sequentially_without_minimum_orders(case: Case) -> None:
    demand, supply = case
    at_once = decide(demand, supply, RULES, policy=PLAIN, now=NOW)

    assert by_tier(solved(case, PLAIN).plan, demand) >= by_tier(at_once, demand)


@given(contests(), st.randoms(use_true_random=False), EFFORTS)
def test_the_answer_is_the_same_again_and_in_any_order_of_the_input(
    case: Case, shuffler: random.Random, effort: Effort
) -> None:
    demand, supply = list(case[0]), list(case[1])
    first = solved(case, effort=effort)
    shuffler.shuffle(demand)
    shuffler.shuffle(supply)

    assert solved((demand, supply), effort=effort) == first


amounts = st.integers(min_value=1, max_value=2)


@given(
    st.lists(st.tuples(amounts, st.integers(min_value=1, max_value=3), st.sampled_from(PLACES)), max_size=3),
    st.lists(st.tuples(amounts, st.sampled_from(PLACES), st.booleans()), max_size=2),
    st.sampled_from(Fairness),
    st.sampled_from([0, 0.5]),
)
def test_no_plan_at_all_is_better(
    wants: list[tuple[int, int, Location]],
    offers: list[tuple[int, Location, bool]],
    fairness: Fairness,
    fill_weight: float,
) -> None:
    """Every plan of a tiny market is tried: none serves a better level more, nor the same at a better score, that of
    filling needs included.
    """
    policy = replace(PLAIN, fairness=fairness, fill_weight=fill_weight)
    demand = [
        replace(NEED, id=number, organisation_id=100 + number, target=want, remaining=want, tier=tier, location=place)
        for number, (want, tier, place) in enumerate(wants, 1)
    ]
    supply = [
        replace(SOURCE, id=number, free=free, location=place, ships_to=frozenset({"420000"} if near else ()))
        for number, (free, place, near) in enumerate(offers, 1)
    ]
    plan = solved((demand, supply), policy).plan
    market = Market(demand, supply, RULES, policy=policy, now=NOW)
    levels = priority_levels(market, eligible_supply(market))
    arcs = all_arcs(market)

    def merit(quantity: tuple[int, ...]) -> tuple[list[int], int] | None:
        got = np.bincount(arcs.row, quantity, minlength=len(demand)).astype(np.int64)
        left = market.free - np.bincount(arcs.column, quantity, minlength=len(supply)).astype(np.int64)
        if (got > market.remaining).any() or (left < 0).any():
            return None
        filling = int(priority._fill_rewards(market) @ got)
        return levels.units_by_level(got), filling + int(arcs.score @ np.array(quantity, dtype=np.int64))

    every_plan = (merit(quantity) for quantity in itertools.product(range(3), repeat=len(arcs)))
    best = max((one for one in every_plan if one is not None), default=None)
    given_ = {(hold.need_id - 1, hold.candidate.source.id - 1): hold.quantity for hold in plan.holds}
    ours = tuple(given_.get(pair, 0) for pair in zip(arcs.row.tolist(), arcs.column.tolist(), strict=True))
    assert merit(ours) == best


def many(count: int, **facts: Any) -> list[Need]:
    return [
        replace(
            NEED, id=number, organisation_id=100 + number, waiting_since=NOW - dt.timedelta(minutes=number), **facts
        )
        for number in range(1, count + 1)
    ]


def test_fairness_shares_what_is_there_and_gives_no_tier_less() -> None:
    demand = [*many(4, tier=1), *(replace(need, id=need.id + 50, tier=2) for need in many(20))]
    supply = [replace(SOURCE, id=number, free=1100) for number in range(1, 11)]

    alone = solved((demand, supply), replace(POLICY, fairness=Fairness.OFF)).report
    shared = solved((demand, supply), replace(POLICY, fairness=Fairness.TIER)).report

    assert alone.tiers == shared.tiers == {1: 4000, 2: 7000}
    assert alone.jain == pytest.approx(7 / 20, abs=0.001)
    assert shared.jain > 0.9


def test_an_emergency_comes_first_in_its_tier_unless_all_share() -> None:
    demand = many(4)
    demand[3] = replace(demand[3], urgency_rank=0)
    supply = [replace(SOURCE, free=1000)]

    def given_by(fairness: Fairness) -> dict[int, int]:
        policy = replace(POLICY, fairness=fairness, share_cap=1)
        return {number: verdict.given for number, verdict in solved((demand, supply), policy).shortages.items()}

    assert given_by(Fairness.URGENCY) == {1: 0, 2: 0, 3: 0, 4: 1000}
    assert given_by(Fairness.TIER) == {1: 250, 2: 250, 3: 250, 4: 250}


def test_minimum_orders_are_kept_by_solving_again() -> None:
    demand = many(2, target=600, remaining=600)
    supply = [replace(SOURCE, free=600, minimum_order=500), replace(SOURCE, id=2, free=400, location=PLACES[3])]

    outcome = solved((demand, supply))

    assert sorted((hold.candidate.source.id, hold.quantity) for hold in outcome.plan.holds) == [(1, 600), (2, 400)]


def test_fewer_shipments_are_worth_some_distance() -> None:
    demand = [NEED]
    supply = [replace(SOURCE, free=900), replace(SOURCE, id=2, free=1000, location=PLACES[3])]

    def shipments(weight: float) -> int:
        return solved((demand, supply), replace(POLICY, shipment_weight=weight)).report.shipments

    assert (shipments(0), shipments(0.2)) == (2, 1)


def test_a_held_supplier_is_not_called_off_for_a_small_gain() -> None:
    supply = [SOURCE, replace(SOURCE, id=2, kept=2)]

    def asked(**how: Any) -> list[int]:
        return [hold.candidate.source.id for hold in solved(([NEED], supply), **how).plan.holds]

    assert asked() == [2]
    assert asked(held={(1, 1): 1000}) == [1]


def test_a_small_change_stays_out_and_a_higher_tier_is_worth_a_change() -> None:
    supply = [replace(SOURCE, free=1000)]
    low = replace(NEED, tier=4, target=2000, remaining=2000)
    high = replace(NEED, id=2, organisation_id=102, target=50, remaining=50)

    def given_to(*demand: Need) -> dict[int, int]:
        plan = solved((list(demand), supply), held={(1, 1): 1000}).plan
        return {hold.need_id: hold.quantity for hold in plan.holds}

    assert given_to(low, replace(high, tier=4)) == {1: 1000}
    assert given_to(low, replace(high, remaining=300, target=300)) == {1: 700, 2: 300}


@given(contests(), EFFORTS)
def test_limiting_changes_of_holds_breaks_no_promise(case: Case, effort: Effort) -> None:
    """Half of the needs were served by another decision; the rest come in now."""
    demand, supply = case
    before = solved((demand[::2], supply)).plan
    present = {(hold.need_id, hold.candidate.source.id): hold.quantity for hold in before.holds}

    plan = solved(case, effort=effort, held=present).plan
    books = Books(plan, supply)

    assert all(left >= 0 for left in books.left.values())
    assert all(books.got(need) <= need.remaining for need in demand)
    assert all(hold.quantity >= hold.candidate.source.minimum_order for hold in plan.holds)
    assert by_tier(plan, demand) >= by_tier(before, demand)


def test_when_the_time_is_up_it_says_how_far_from_the_best_it_may_be() -> None:
    case = many(60, tier=2), [replace(SOURCE, id=number, free=500) for number in range(1, 61)]

    report = solved(case, effort=Effort(lambda: True, exact_pairs=0)).report

    assert (report.method, report.rounds) == (Method.COLUMNS, 0)
    assert 0 <= report.gap < 1
    assert report.greedy_value is not None
    assert report.value >= report.greedy_value


@pytest.mark.parametrize(
    ("demand", "supply", "because", "others", "above"),
    [
        ([NEED], [replace(SOURCE, free=2000)], None, 0, 0),
        ([NEED], [replace(SOURCE, free=400)], Reason.EXHAUSTED, 0, 0),
        ([NEED], [replace(SOURCE, item_id=2)], Reason.NO_SOURCE, 0, 0),
        ([NEED, *many(3)[1:]], [replace(SOURCE, free=900)], Reason.SHARED, 2, 0),
        ([NEED, *many(2)[1:]], [replace(SOURCE, free=900)], Reason.CAPPED, 1, 0),
        ([replace(NEED, tier=3), replace(many(2)[1], tier=1)], [SOURCE], Reason.HIGHER, 0, 1),
        (
            [NEED],
            [replace(SOURCE, free=900, minimum_order=900), replace(SOURCE, id=2, free=600, minimum_order=500)],
            Reason.MINIMUM,
            0,
            0,
        ),
    ],
)  # fmt: skip
def test_each_need_says_why_it_got_no_more(
    demand: list[Need], supply: list[Source], because: Reason | None, others: int, above: int
) -> None:
    verdict = solved((demand, supply)).shortages[1]

    assert (verdict.because, verdict.others, verdict.above) == (because, others, above)
