"""Contested supply: all open needs of an item are served together, as a min-cost flow. Pure.

`sequential.decide` serves one need after the other, within seconds. This improves on it, and is never worth less than
the greedy plan. The caller measures the time: `expired` says when to stop improving.
"""

import datetime as dt
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from apps.matching.allocation import outcome
from apps.matching.allocation.aggregation import solve_aggregated
from apps.matching.allocation.arcs import Arcs, all_arcs, eligible_supply, sample_arcs
from apps.matching.allocation.cutting import areas_of, parts_of
from apps.matching.allocation.flow import solve_flow, sum_by_index
from apps.matching.allocation.greedy import Assignment, greedy, greedy_unless_worse, never
from apps.matching.allocation.groups import Ints
from apps.matching.allocation.market import THOUSAND, Market
from apps.matching.allocation.outcome import Allocation, Method, Solution
from apps.matching.allocation.pricing import dual_prices, price_out
from apps.matching.allocation.priority import PriorityLevels, priority_levels
from apps.matching.allocation.repair import held_pairs, limit_changes, objective, repair_rounding, useful_quantity
from apps.matching.scoring.facts import Need, Rules, Source
from apps.policy.values import PolicyValues

EXACT_PAIRS: Final = 150_000  # with more compatible pairs than this, column generation is quicker than all of them
WHOLE_PAIRS: Final = 40_000_000  # with more than this, one look at all of them takes longer than there is time
AREA_NEEDS: Final = 1_500  # so many of an area are solved in a second or two
GAP_GOAL: Final = 1e-4  # of the bound
SCORE_GOAL: Final = 10.0  # thousandths of a score per unit: weights are so large that a share alone would hide scores
_SAMPLED_PER_NEED: Final = 8
_PRICED_PER_NEED: Final = 8
_MAX_ROUNDS: Final = 20  # of column generation


@dataclass(frozen=True)
class Effort:
    """How hard to try.

    Up to `exact_pairs` compatible pairs are all solved at once. Beyond that, column generation stops when the certified
    gap is at most `gap_goal` of the bound and `score_goal` thousandths of a score per unit, or when time is up. A
    market of more than `whole_pairs` is cut into areas of at most `area_needs`. The joined areas are filled up until
    that time is up, too.

    With `fill_first` nobody gives up what is asked for while others can be given what is free. Plans of the same worth
    differ, so turns that each write a part of another plan would never end.
    """

    expired: Callable[[], bool] = never  # nothing is improved any more
    must_end: Callable[[], bool] = never  # and nothing is filled up
    exact_pairs: int = EXACT_PAIRS
    whole_pairs: int = WHOLE_PAIRS
    area_needs: int = AREA_NEEDS
    fill_first: bool = False
    gap_goal: float = GAP_GOAL
    score_goal: float = SCORE_GOAL

    def suffices(self, bound: float, value: float, units: int) -> bool:
        """Whether a plan of this value, giving so many units, is near enough to the bound."""
        return bound - value <= min(self.gap_goal * bound, self.score_goal * units)


def allocate(
    needs: Iterable[Need],
    sources: Iterable[Source],
    rules: Rules,
    *,
    policy: PolicyValues,
    now: dt.datetime,
    held: Mapping[tuple[int, int], int] | None = None,
    effort: Effort | None = None,
) -> Allocation:
    """The allocation that is lexicographically best by priority level, then by score, with its reasons.

    `held` are units by (need id, source id) that suppliers were asked for and have not answered; they stay where a
    change would gain little. Needs and sources are given as if nothing of it had been asked. Raises `ArithmeticError`
    if the solver fails, which no market in range does.
    """
    held = held or {}
    market = market_of(needs, sources, rules, policy=policy, now=now, held=held)
    return outcome.explain(solve_market(market, effort or Effort(), held), rules)


def market_of(
    needs: Iterable[Need],
    sources: Iterable[Source],
    rules: Rules,
    *,
    policy: PolicyValues,
    now: dt.datetime,
    held: Collection[tuple[int, int]] = (),
) -> Market:
    """The needs with something remaining and the sources with something free, as arrays."""
    return Market(
        (need for need in needs if need.remaining > 0),
        (source for source in sources if source.free > 0),
        rules,
        policy=policy,
        now=now,
        kept=held,
        bonus=round(policy.stay_bonus * THOUSAND),
    )


def solve_market(market: Market, effort: Effort, held: Mapping[tuple[int, int], int]) -> Solution:
    """Who gets what, without the reasons."""
    supply = eligible_supply(market)
    levels = priority_levels(market, supply)
    # Nothing is free for anybody, so there is nothing to solve; the shortages are still reported.
    if not supply.any():
        nothing = Assignment.empty(market)
        return Solution(market, levels, supply, nothing, nothing.arcs(), Method.NONE)

    is_huge = market.compatible > effort.whole_pairs
    if effort.fill_first:
        start = _unchanged(market, held)
        before = int(start.assigned.sum())
        # Only huge markets take so long that the time must be looked at.
        plan, is_filled = _fill_up(market, levels, start, effort if is_huge else Effort())
        if plan.assigned.sum() > before:
            return Solution(market, levels, supply, plan, plan.arcs(), Method.FILL, is_filled=is_filled)
    if is_huge:
        return _solve_areas(market, levels, supply, effort, held)
    return _solve_whole(market, levels, supply, effort, held)


def _solve_whole(
    market: Market, levels: PriorityLevels, supply: Ints, effort: Effort, held: Mapping[tuple[int, int], int]
) -> Solution:
    if market.compatible <= effort.exact_pairs:
        method, flow = Method.FLOW, _solve_all_pairs(market, levels)
    else:
        method, flow = Method.COLUMNS, _generate_columns(market, levels, effort)
    best, repairs = repair_rounding(market, levels, flow.arcs, flow.quantity, effort.expired)
    # Rounding to minimum orders can cost more than greedy loses.
    other = greedy_unless_worse(market, levels.cap, best)
    if other and objective(market, levels, other) > objective(market, levels, best):
        best, method = other, Method.GREEDY
    # Stability comes last: it must compare the plan that would be carried out.
    if held:
        best = limit_changes(market, levels, best, held)
    return Solution(
        market, levels, supply, best, flow.arcs, method, other, bound=flow.bound, rounds=flow.rounds, repairs=repairs
    )


def _solve_areas(
    market: Market, levels: PriorityLevels, supply: Ints, effort: Effort, held: Mapping[tuple[int, int], int]
) -> Solution:
    """Solve area by area with the goods that the aggregated plan gives to each, then fill up greedily over all areas.

    Areas for which there is no time keep the aggregated plan. Its bound holds for the whole.
    """
    row, column, units = held_pairs(market, held)
    # Without those that are refused now.
    kept = Arcs.of_pairs(market, row, column)
    kept_units = kept.sum_flow(row, column, units)
    asked = np.stack([kept.row, kept.column, kept_units])
    arcs, quantity, bound, assigned = solve_aggregated(market, levels, held=asked)
    # An area has no more of a source than the plan gives it, so it can keep no more of its holds.
    stays = np.minimum(kept_units, arcs.units_of(quantity, kept.row, kept.column)).tolist()
    keeps = {
        (market.needs[row].id, market.sources[column].id): units
        for row, column, units in zip(kept.row.tolist(), kept.column.tolist(), stays, strict=True)
        if units
    }
    areas = areas_of(market, most=effort.area_needs)
    # Each minute another one is the first, so none is always left out.
    first = int(market.now.timestamp()) // 60 % len(areas)
    rest = np.ones(len(market), dtype=bool)
    solved = [Assignment.empty(market).triples()]
    looked_at = [arcs]
    for part in parts_of(market, areas[first:] + areas[:first], arcs, quantity):
        if effort.expired():
            break
        own, seen = _solve_area(part.market, levels.of(part.rows), assigned[part.rows], effort, keeps)
        row, column, units = own.triples()
        solved.append(np.stack([part.rows[row], part.columns[column], units]))
        # Scores depend on what a source has in all.
        looked_at.append(Arcs.of_pairs(market, part.rows[seen.row], part.columns[seen.column]))
        rest[part.rows] = False
    left = rest[arcs.row]
    solved.append(np.stack([arcs.row, arcs.column, useful_quantity(market, arcs, quantity)])[:, left])
    row, column, units = np.concatenate(solved, axis=1)
    arcs = Arcs.union(looked_at)
    joined = Assignment.of_flow(market, arcs, arcs.sum_flow(row, column, units))
    plan, is_filled = _fill_up(market, levels, joined, effort)
    # What is asked for is not given up for a plan that serves an early tier less.
    unchanged = _unchanged(market, held)
    if objective(market, levels, unchanged) > objective(market, levels, plan):
        plan, is_filled = _fill_up(market, levels, unchanged, effort)
    rounds = len(solved) - 2
    return Solution(market, levels, supply, plan, arcs, Method.CUT, bound=bound, rounds=rounds, is_filled=is_filled)


def _unchanged(market: Market, held: Mapping[tuple[int, int], int]) -> Assignment:
    """What is asked for, without what is refused now."""
    row, column, units = held_pairs(market, held)
    kept = Arcs.of_pairs(market, row, column)
    return Assignment.of_flow(market, kept, kept.sum_flow(row, column, units))


def _fill_up(market: Market, levels: PriorityLevels, start: Assignment, effort: Effort) -> tuple[Assignment, bool]:
    """Give out what is left, in the order of precedence; also whether there was time for all of it."""
    return greedy(market, levels.cap, start, effort.must_end), not effort.must_end()


def _solve_area(
    market: Market, levels: PriorityLevels, assigned: Ints, effort: Effort, held: Mapping[tuple[int, int], int]
) -> tuple[Assignment, Arcs]:
    """The plan for an area, whose needs get `assigned` units (n_needs,), and the pairs that were looked at."""
    # Who gets how much is settled, so the flow is about scores alone, and their goal is the only one.
    settled, effort = levels.settled(assigned), replace(effort, gap_goal=1)
    is_small = market.compatible <= effort.exact_pairs
    flow = _solve_all_pairs(market, settled) if is_small else _generate_columns(market, settled, effort)
    # Without further flows for minimum orders: greedy gives to others what these leave.
    best, _repairs = repair_rounding(market, levels, flow.arcs, flow.quantity, lambda: True)
    return limit_changes(market, levels, best, held) if held else best, flow.arcs


@dataclass(frozen=True)
class _Flow:
    """The best flow over some arcs, and an upper bound over all."""

    arcs: Arcs
    quantity: Ints  # (n_arcs,)
    bound: float
    rounds: int


def _solve_all_pairs(market: Market, levels: PriorityLevels) -> _Flow:
    arcs = all_arcs(market)
    quantity = solve_flow(market, arcs, levels)
    return _Flow(arcs, quantity, _value(levels, arcs, quantity), 1)


def _generate_columns(market: Market, levels: PriorityLevels, effort: Effort) -> _Flow:
    """Solve over some arcs, add those that the dual prices ask for, and repeat until the gap is certified."""
    # The aggregated plan is there before anything else, so there is a plan even if time is up at once.
    arcs, quantity, bound, _assigned = solve_aggregated(market, levels)
    if effort.expired():
        return _Flow(arcs, quantity, bound, 0)
    # Greedy's arcs make the first flow no worse than greedy; sampled ones give it ways to exchange.
    arcs = Arcs.union([greedy(market, levels.cap).arcs(), arcs, sample_arcs(market, per_need=_SAMPLED_PER_NEED)])
    for rounds in range(1, _MAX_ROUNDS + 1):
        quantity = solve_flow(market, arcs, levels)
        value, units = _value(levels, arcs, quantity), int(quantity.sum())
        if effort.suffices(bound, value, units) or effort.expired() or rounds == _MAX_ROUNDS:
            break
        duals = dual_prices(market, arcs, levels, quantity)
        dual_bound, missing = price_out(market, levels, duals, per_need=_PRICED_PER_NEED)
        # Every bound holds, and a later one is not always tighter.
        bound = min(bound, dual_bound)
        # Without a missing arc of positive reduced profit the flow is the best over all pairs.
        if effort.suffices(bound, value, units) or not len(missing):
            break
        arcs = Arcs.union([arcs, missing])
    return _Flow(arcs, quantity, bound, rounds)


def _value(levels: PriorityLevels, arcs: Arcs, quantity: Ints) -> float:
    assigned = sum_by_index(arcs.row, quantity, len(levels.tier))
    return levels.value(assigned) + float(arcs.score @ quantity)
