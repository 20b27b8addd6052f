"""Contested supply, solved together: who gets what when all open needs of an item are looked at at once. Pure.

`allocation.decide` serves one need after the other, at once; this looks at all of them and improves on it, and never
answers with less. Time is the caller's: `expired` says when to stop improving.
"""

import datetime as dt
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from apps.matching.allocation import outcome, priority
from apps.matching.allocation.arcs import Arcs, every, reachable, spread
from apps.matching.allocation.flow import price_all, prices, solve, total
from apps.matching.allocation.greedy import Assignment, greedy, rival
from apps.matching.allocation.groups import Ints
from apps.matching.allocation.hubs import proposal
from apps.matching.allocation.market import THOUSAND, Market
from apps.matching.allocation.outcome import Method, Outcome, Solution
from apps.matching.allocation.priority import PriorityLevels
from apps.matching.allocation.repair import gently, merit, repair_rounding
from apps.matching.scoring.ranking import Need, Rules, Source
from apps.policy.values import PolicyValues

SMALL: Final = 150_000  # up to so many compatible pairs, all of them are used: beyond, some and prices are quicker
GOAL: Final = 1e-4  # a certified gap that is good enough
FINE: Final = 10.0  # and what may be missing of the score then, in thousandths per unit
_SPREAD: Final = 8
_FEW: Final = 8
_ROUNDS: Final = 20


@dataclass(frozen=True)
class Effort:
    """How hard to try."""

    expired: Callable[[], bool] = lambda: False
    small: int = SMALL
    goal: float = GOAL
    fine: float = FINE

    def suffices(self, bound: float, value: float, units: int) -> bool:
        return bound - value <= min(self.goal * bound, self.fine * units)


def allocate(
    needs: Iterable[Need],
    sources: Iterable[Source],
    rules: Rules,
    *,
    policy: PolicyValues,
    now: dt.datetime,
    present: Mapping[tuple[int, int], int] | None = None,
    expired: Callable[[], bool] = lambda: False,
    small: int = SMALL,
    goal: float = GOAL,
    fine: float = FINE,
) -> Outcome:
    """The allocation that is lexicographically best by tier and precedence, then by score, with its reasons.

    `present` is what was asked already and not answered, by (need id, source id): it stays as it is where a change
    would gain little. The needs and sources are as if it had not been asked.
    """
    present = present or {}
    market = market_of(needs, sources, rules, policy=policy, now=now, kept=present)
    solution = solve_market(market, Effort(expired, small, goal, fine), present)
    return outcome.told(solution, rules)


def market_of(
    needs: Iterable[Need],
    sources: Iterable[Source],
    rules: Rules,
    *,
    policy: PolicyValues,
    now: dt.datetime,
    kept: Collection[tuple[int, int]] = (),
) -> Market:
    """Those who still want something, and those who still have something."""
    return Market(
        (need for need in needs if need.wanting > 0),
        (source for source in sources if source.free > 0),
        rules,
        policy=policy,
        now=now,
        kept=kept,
        bonus=round(policy.stay_bonus * THOUSAND),
    )


def solve_market(market: Market, effort: Effort, present: Mapping[tuple[int, int], int]) -> Solution:
    """Who gets what; the reasons are written down from it."""
    supply = reachable(market)
    ladder = priority.build(market, supply)
    if not supply.any():
        nothing = Assignment.nothing(market)
        return Solution(market, ladder, supply, nothing, nothing.arcs(), Method.NONE)

    if market.compatible <= effort.small:
        method, flow = Method.FLOW, _by_all(market, ladder)
    else:
        method, flow = Method.COLUMNS, _by_some(market, ladder, effort)
    best, repairs = repair_rounding(market, ladder, flow.arcs, flow.quantity, effort.expired)
    other = rival(market, ladder.cap, best)
    if other and merit(market, ladder, other) > merit(market, ladder, best):
        best, method = other, Method.GREEDY
    if present:
        best = gently(market, ladder, best, present)
    return Solution(
        market, ladder, supply, best, flow.arcs, method, other, bound=flow.bound, rounds=flow.rounds, repairs=repairs
    )


@dataclass(frozen=True)
class _Flow:
    """The best flow found over some arcs, and an upper bound over all."""

    arcs: Arcs
    quantity: Ints
    bound: float
    rounds: int


def _by_all(market: Market, ladder: PriorityLevels) -> _Flow:
    arcs = every(market)
    quantity = solve(market, arcs, ladder)
    return _Flow(arcs, quantity, _value(ladder, arcs, quantity), 1)


def _by_some(market: Market, ladder: PriorityLevels, effort: Effort) -> _Flow:
    """Solve, price what is missing, add what helps, and again, until the gap is certified or the time is up."""
    arcs, quantity, bound = proposal(market, ladder)
    if effort.expired():
        return _Flow(arcs, quantity, bound, 0)
    arcs = Arcs.joined([greedy(market, ladder.cap).arcs(), arcs, spread(market, count=_SPREAD)])
    for rounds in range(1, _ROUNDS + 1):
        quantity = solve(market, arcs, ladder)
        value, units = _value(ladder, arcs, quantity), int(quantity.sum())
        if effort.suffices(bound, value, units) or effort.expired() or rounds == _ROUNDS:
            break
        limit, missing = price_all(market, ladder, prices(market, arcs, ladder, quantity), few=_FEW)
        bound = min(bound, limit)
        if effort.suffices(bound, value, units) or not len(missing):
            break
        arcs = Arcs.joined([arcs, missing])
    return _Flow(arcs, quantity, bound, rounds)


def _value(ladder: PriorityLevels, arcs: Arcs, quantity: Ints) -> float:
    got = total(arcs.row, quantity, len(ladder.tier))
    return ladder.worth(got) + float(arcs.score @ quantity)
