"""What came of solving a contested market: the plan, how good it is, and for each need why it got no more. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from apps.matching.allocation import priority
from apps.matching.allocation.arcs import Arcs
from apps.matching.allocation.greedy import Assignment
from apps.matching.allocation.groups import Ints
from apps.matching.allocation.market import REFUSED, THOUSAND, Market
from apps.matching.allocation.priority import PriorityLevels
from apps.matching.allocation.sequential import Backup, Hold, Plan
from apps.matching.allocation.shortage import Because, Shortage
from apps.matching.scoring.ranking import Candidate, Fit, Rules, fit_of, score


class Method(StrEnum):
    FLOW = "flow"  # every compatible pair
    COLUMNS = "columns"  # some pairs, and those that the prices ask for
    GREEDY = "greedy"  # one need after the other: it was not beaten
    NONE = "none"  # nothing to give, or nobody to give it to


@dataclass(frozen=True)
class Report:
    """How good an allocation is. `gap` is certified: minimum orders aside, no plan is worth more than
    value ÷ (1 - gap). `score` is the mean per unit given, between 0 and 1. `greedy_value` is that of serving one need
    after the other; None: there a tier gets less than here, and none above it more.
    """

    method: Method
    value: float
    gap: float
    score: float
    greedy_value: float | None
    rounds: int
    repairs: int
    shipments: int
    tiers: dict[int, int]
    jain: float


@dataclass(frozen=True)
class Outcome:
    plan: Plan
    report: Report
    verdicts: dict[int, Shortage]


@dataclass(frozen=True)
class Solution:
    """Who gets what, how that was found, and how good it is known to be."""

    market: Market
    ladder: PriorityLevels
    supply: Ints  # within reach of each need
    given: Assignment
    arcs: Arcs  # the pairs that were looked at
    method: Method
    greedy: Assignment | None = None  # what one need after the other would take; None where that is behind
    bound: float = 0.0  # minimum orders aside, no plan is worth more
    rounds: int = 0
    repairs: int = 0

    def value(self, given: Assignment) -> float:
        return self.ladder.worth(given.got) + given.score


def told(solution: Solution, rules: Rules) -> Outcome:
    """The solution in the words of the decision, with its reasons."""
    market, ladder, given = solution.market, solution.ladder, solution.given
    because = verdicts(market, ladder, solution.supply, given)
    return Outcome(plan(market, rules, given, solution.arcs, because), report(solution), because)


def report(solution: Solution) -> Report:
    market, ladder, given = solution.market, solution.ladder, solution.given
    value = solution.value(given)
    bound = max(value, solution.bound)
    return Report(
        method=solution.method,
        value=value,
        gap=(bound - value) / bound if bound else 0.0,
        score=given.score / THOUSAND / max(1, int(given.got.sum())),
        greedy_value=None if solution.greedy is None else solution.value(solution.greedy),
        rounds=solution.rounds,
        repairs=solution.repairs,
        shipments=given.shipments,
        tiers=ladder.tiers(given.got),
        jain=priority.jain(market, ladder, given.got, solution.supply),
    )


def plan(market: Market, rules: Rules, given: Assignment, arcs: Arcs, told: dict[int, Shortage]) -> Plan:
    """Holds, with what was given in all and why, and the next best of the pairs that were looked at."""
    made = Plan()

    def candidate(row: int, column: int) -> Candidate:
        need, source = market.needs[row], market.sources[column]
        fit = fit_of(need, source.item_id, source.standard_id, rules)
        assert isinstance(fit, Fit), "only pairs that fit are looked at"
        return score(need, source, fit, policy=market.policy, now=market.now, distances=rules.distances)

    next_best = dict(_next_best(market, given, arcs))
    for row in sorted(given.parts):
        parts = given.parts[row]
        chosen = sorted(
            ((candidate(row, column), part.units) for column, part in parts.items()),
            key=lambda pair: (-pair[0].score, pair[0].source.id),
        )
        need_id = market.needs[row].id
        share = told[need_id].term()
        for place, (one, units) in enumerate(chosen, 1):
            made.holds.append(Hold(need_id, replace(one, terms=(*one.terms, share)), units, place))
        waiting = [candidate(row, column) for column in next_best.get(row, ())]
        made.standbys += [Backup(need_id, one, place) for place, one in enumerate(waiting, len(chosen) + 1)]
    return made


def _next_best(market: Market, given: Assignment, arcs: Arcs) -> Iterator[tuple[int, list[int]]]:
    """For each need that was given something, the best scored columns that it was not given."""
    starts = np.searchsorted(arcs.row, np.arange(len(market) + 1)).tolist()
    for row, parts in given.parts.items():
        own = slice(starts[row], starts[row + 1])
        order = np.argsort(-arcs.score[own], kind="stable")[: len(parts) + market.policy.standbys]
        best = arcs.column[own][order].tolist()
        yield row, [column for column in best if column not in parts][: market.policy.standbys]


def verdicts(market: Market, ladder: PriorityLevels, supply: Ints, given: Assignment) -> dict[int, Shortage]:
    served = {tier: int((given.got[ladder.tier == tier] > 0).sum()) for tier in np.unique(ladder.tier).tolist()}
    short = np.flatnonzero(given.got < market.wanting)
    left_over = _could_be_helped(market, given, short)

    def why(row: int, others: int, above: int) -> Because:
        if not supply[row]:
            return Because.NO_SOURCE
        if row in left_over:
            return Because.MINIMUM
        if given.got[row] >= ladder.cap[row]:
            return Because.CAPPED
        if others:
            return Because.SHARED
        return Because.HIGHER if above else Because.EXHAUSTED

    told = {}
    for row, (need, got, tier) in enumerate(zip(market.needs, given.got.tolist(), ladder.tier.tolist(), strict=True)):
        if got == need.wanting:
            told[need.id] = Shortage(need.id, got, need.wanting)
            continue
        others = served[tier] - (got > 0)
        above = sum(count for other, count in served.items() if other < tier)
        told[need.id] = Shortage(need.id, got, need.wanting, why(row, others, above), others, above)
    return told


def _could_be_helped(market: Market, given: Assignment, short: Ints) -> set[int]:
    """Of the needs that are short, those with something left at a source that fits: it must be too little."""
    columns = np.flatnonzero(given.left)
    found: set[int] = set()
    for rows, _columns, scores in market.blocks(short, columns) if len(columns) else ():
        found.update(rows[(scores != REFUSED).any(axis=1)].tolist())
    return found
