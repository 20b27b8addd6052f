"""A market too large to be solved as a whole: what still holds when it is cut into areas."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from apps.matching.allocation import outcome
from apps.matching.allocation.aggregation import solve_aggregated
from apps.matching.allocation.arcs import eligible_supply
from apps.matching.allocation.contested import Effort, allocate, market_of, solve_market
from apps.matching.allocation.cutting import areas_of, parts_of
from apps.matching.allocation.market import Market
from apps.matching.allocation.outcome import Method, Solution, report_of
from apps.matching.allocation.priority import priority_levels
from apps.matching.scoring.facts import Need, Source
from tests.benchmarks import contested
from tests.matching.markets import NOW, POLICY, RULES, Books, markets

# Nothing is refused for being little, near or own: then the plan between groups and classes is exact.
PLAIN = replace(POLICY, matter_share=0, shipment_weight=0, shipment_units=0, stay_bonus=0, gift_reach_km=None)
CUT = Effort(whole_pairs=-1, area_needs=3)

Case = tuple[list[Need], list[Source]]
cases = markets().map(lambda case: (case[0], [replace(source, held=()) for source in case[1]]))


def plain(case: Case) -> Case:
    demand = [replace(need, organisation_id=1000 + need.id, excluded={}) for need in case[0]]
    return demand, [replace(source, minimum_order=1) for source in case[1]]


def market(case: Case) -> Market:
    return market_of(*case, RULES, policy=POLICY, now=NOW)


@given(cases, st.integers(1, 4))
def test_each_need_is_in_one_area_and_no_area_is_too_large(case: Case, most: int) -> None:
    whole = market(case)
    areas = areas_of(whole, most=most)

    assert sorted(row for rows in areas for row in rows.tolist()) == list(range(len(whole)))
    assert all(0 < len(rows) <= most for rows in areas)
    # Two provinces share no area.
    provinces = [{whole.needs[row].location.path.split("/")[1] for row in rows.tolist()} for rows in areas]
    assert all(len(names) == 1 for names in provinces)


@given(cases, st.integers(1, 4))
def test_areas_have_what_the_plan_gives_them_and_together_no_more(case: Case, most: int) -> None:
    whole = market(case)
    levels = priority_levels(whole, eligible_supply(whole))
    arcs, units, _bound, _assigned = solve_aggregated(whole, levels)
    had = np.zeros(len(whole.sources), dtype=np.int64)
    for part in parts_of(whole, areas_of(whole, most=most), arcs, units):
        own = np.isin(arcs.row, part.rows)
        given_out = np.bincount(arcs.column[own], units[own], minlength=len(whole.sources))
        assert (part.market.free >= given_out[part.columns]).all()
        had[part.columns] += part.market.free

    assert (had <= whole.free).all()


@given(cases.map(plain))
def test_each_tier_gets_as_much_as_in_a_market_that_is_not_cut(case: Case) -> None:
    whole, cut = (allocate(*case, RULES, policy=PLAIN, now=NOW, effort=effort).report for effort in (Effort(), CUT))
    assert cut.tiers == whole.tiers
    assert cut.gap >= 0


@given(cases)
def test_when_the_time_is_up_at_once_the_plan_of_the_whole_stands(case: Case) -> None:
    demand, supply = case
    outcome = allocate(demand, supply, RULES, policy=POLICY, now=NOW, effort=replace(CUT, expired=lambda: True))
    books = Books(outcome.plan, supply)

    assert outcome.report.rounds == 0
    assert 0 <= outcome.report.gap <= 1
    assert all(left >= 0 for left in books.left.values())
    assert all(books.got(need) <= need.remaining for need in demand)


@given(cases)
def test_what_there_is_no_time_to_fill_up_stays_for_the_next_turn(case: Case) -> None:
    """The first turn has no time for it; the second keeps what the first gave, and has."""
    first = _solved(case, replace(CUT, must_end=lambda: True), {})
    books = Books(outcome.explain(first, contested.RULES).plan, case[1])
    assert all(left >= 0 for left in books.left.values())
    assert all(books.got(need) <= need.remaining for need in case[0])

    second = _solved(case, CUT, first.planned())

    before, after = (list(report_of(one).tiers.values()) for one in (first, second))
    assert after >= before
    assert second.is_filled or not second.supply.any()


def _solved(case: Case, effort: Effort, held: dict[tuple[int, int], int]) -> Solution:
    whole = market_of(*case, contested.RULES, policy=POLICY, now=contested.NOW, held=held)
    return solve_market(whole, effort, held)


def test_a_cut_market_is_near_its_bound_and_settles() -> None:
    """Suppliers of eight provinces and hospitals all over the country."""
    case = contested.market(300, 500, seed=1, shape=contested.Shape(minimum=0.2))
    effort = Effort(whole_pairs=0, area_needs=40)
    held: dict[tuple[int, int], int] = {}
    gaps, changed = [], []
    for _minute in range(4):
        solution = _solved(case, effort, held)
        assert solution.method == Method.CUT
        gaps.append(report_of(solution).gap)
        planned = solution.planned()
        changed.append(sum(held.get(pair) != units for pair, units in planned.items()))
        held = planned

    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] < 0.1
    # Nobody's phone rings all the time: once goods are asked for, little changes.
    assert changed[-1] <= 0.1 * changed[0]
