"""The result of solving a contested market: the plan, its certified quality, and why each need got no more. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from apps.matching.allocation.arcs import Arcs
from apps.matching.allocation.exceptions import REFUSED
from apps.matching.allocation.greedy import Assignment
from apps.matching.allocation.groups import Ints
from apps.matching.allocation.market import THOUSAND, Market
from apps.matching.allocation.priority import PriorityLevels, jain_index
from apps.matching.allocation.sequential import Backup, Hold, Plan
from apps.matching.allocation.shortage import Shortage
from apps.matching.scoring.eligibility import Reason, fit_of
from apps.matching.scoring.facts import Fit, Rules
from apps.matching.scoring.ranking import Candidate, score


class Method(StrEnum):
    """How the plan was found."""

    FLOW = "flow"  # min-cost flow over every compatible pair
    COLUMNS = "columns"  # column generation
    CUT = "cut"  # area by area, with the goods that a plan of the whole gives to each
    FILL = "fill"  # what was free, given to whoever lacks it, and nothing taken from anybody
    GREEDY = "greedy"  # the greedy plan, which was better than the repaired flow
    NONE = "none"  # no need with a compatible source


@dataclass(frozen=True)
class Report:
    """How good an allocation is. It is logged.

    `gap` is certified: minimum orders aside, no plan is worth more than value ÷ (1 - gap). `greedy_value` is None where
    the greedy plan serves a tier less, and no tier above it more.
    """

    method: Method
    value: float  # weighted units and scores, in thousandths of a score
    gap: float
    score: float  # the mean per unit, between 0 and 1
    greedy_value: float | None
    rounds: int
    repairs: int
    shipments: int
    tiers: dict[int, int]  # units by tier
    jain: float


@dataclass(frozen=True)
class Allocation:
    """The result of `contested.allocate`: a plan, its quality and, by need id, what each need got and why not more."""

    plan: Plan
    report: Report
    shortages: dict[int, Shortage]


@dataclass(frozen=True)
class Solution:
    """Who gets what, how that was found, and how good it is known to be."""

    market: Market
    levels: PriorityLevels
    supply: Ints  # (n_needs,): free at the compatible sources of each need
    assignment: Assignment
    arcs: Arcs  # the pairs that were looked at
    method: Method
    greedy: Assignment | None = None  # the greedy plan; None where it is known to be worse
    bound: float = 0.0  # minimum orders aside, no plan is worth more
    rounds: int = 0
    repairs: int = 0
    is_filled: bool = True  # nothing is left that a need could use; False where there was no time to see to it

    def value(self, assignment: Assignment) -> float:
        return self.levels.value(assignment.assigned) + assignment.score

    def planned(self) -> dict[tuple[int, int], int]:
        """Units by (need id, source id), the need that is served first at the beginning."""
        needs, sources = self.market.needs, self.market.sources
        return {
            (needs[row].id, sources[column].id): load.units
            for row in self.market.order.tolist()
            for column, load in sorted(self.assignment.loads.get(row, {}).items())
        }


def explain(solution: Solution, rules: Rules) -> Allocation:
    """The solution as holds and backups with their reasons, its report, and the shortages."""
    shortages = shortages_of(solution)
    served = [need.id for need in solution.market.needs]
    return Allocation(plan_of(solution, rules, shortages, served), report_of(solution), shortages)


def report_of(solution: Solution) -> Report:
    """How good the solution is."""
    market, levels, assignment = solution.market, solution.levels, solution.assignment
    value = solution.value(assignment)
    # Sums of floating-point numbers may exceed their bound by a rounding error.
    bound = max(value, solution.bound)
    return Report(
        method=solution.method,
        value=value,
        gap=(bound - value) / bound if bound else 0.0,
        score=assignment.score / THOUSAND / max(1, int(assignment.assigned.sum())),
        greedy_value=None if solution.greedy is None else solution.value(solution.greedy),
        rounds=solution.rounds,
        repairs=solution.repairs,
        shipments=assignment.shipments,
        tiers=levels.units_by_tier(assignment.assigned),
        jain=jain_index(market, levels, assignment.assigned, solution.supply),
    )


def plan_of(solution: Solution, rules: Rules, shortages: Mapping[int, Shortage], need_ids: Collection[int]) -> Plan:
    """The holds of these needs, each with what its need got in all and why not more, and backups.

    Backups are chosen among the pairs that were looked at. Reasons take much memory, so ask for a few needs at a time.
    """
    market, assignment = solution.market, solution.assignment
    rows = sorted(row for need_id in need_ids if assignment.loads.get(row := market.row[need_id]))
    plan = Plan()

    def candidate(row: int, column: int) -> Candidate:
        need, source = market.needs[row], market.sources[column]
        fit = fit_of(need, source.item_id, source.standard_id, rules)
        assert isinstance(fit, Fit), "only compatible pairs are looked at"
        return score(need, source, fit, rules, policy=market.policy, now=market.now)

    backups = _backups(solution, rows)
    for row in rows:
        chosen = sorted(
            ((candidate(row, column), load.units) for column, load in assignment.loads[row].items()),
            key=lambda pair: (-pair[0].score, pair[0].source.id),
        )
        need_id = market.needs[row].id
        share = shortages[need_id].term()
        for rank, (one, units) in enumerate(chosen, 1):
            plan.holds.append(Hold(need_id, replace(one, terms=(*one.terms, share)), units, rank))
        others = [candidate(row, column) for column in backups.get(row, ())]
        plan.backups += [Backup(need_id, one, rank) for rank, one in enumerate(others, len(chosen) + 1)]
    return plan


def _backups(solution: Solution, rows: list[int]) -> dict[int, list[int]]:
    """For each of these needs, the best scored columns among its arcs that it got nothing of."""
    arcs, standbys = solution.arcs, solution.market.policy.standbys
    starts = np.searchsorted(arcs.row, rows).tolist()
    ends = np.searchsorted(arcs.row, rows, side="right").tolist()
    found = {}
    for row, start, end in zip(rows, starts, ends, strict=True):
        loads = solution.assignment.loads[row]
        # So many are enough even if all that the need got are among the best.
        order = np.argsort(-arcs.score[start:end], kind="stable")[: len(loads) + standbys]
        best = arcs.column[start:end][order].tolist()
        found[row] = [column for column in best if column not in loads][:standbys]
    return found


def shortages_of(solution: Solution) -> dict[int, Shortage]:
    """By need id, what each need got and, where that is less than it wants, why."""
    market, levels, assignment = solution.market, solution.levels, solution.assignment
    tier_of, assigned = levels.tier, assignment.assigned
    served = {tier: int((assigned[tier_of == tier] > 0).sum()) for tier in np.unique(tier_of).tolist()}
    short = np.flatnonzero(assigned < market.remaining)
    below_minimum = _with_sources_left(market, assignment, short) if solution.is_filled else set()

    def why(row: int, others: int, above: int) -> Reason:
        # Several reasons may hold. The first says most about what this need could do.
        if not solution.supply[row]:
            return Reason.NO_SOURCE
        if row in below_minimum:
            return Reason.MINIMUM
        if assigned[row] >= levels.cap[row]:
            return Reason.CAPPED
        if others:
            return Reason.SHARED
        return Reason.HIGHER if above else Reason.EXHAUSTED

    shortages = {}
    for row, (need, got, tier) in enumerate(zip(market.needs, assigned.tolist(), tier_of.tolist(), strict=True)):
        if got == need.remaining:
            shortages[need.id] = Shortage(need.id, got, need.remaining)
            continue
        others = served[tier] - (got > 0)
        above = sum(count for other, count in served.items() if other < tier)
        shortages[need.id] = Shortage(need.id, got, need.remaining, why(row, others, above), others, above)
    return shortages


def _with_sources_left(market: Market, assignment: Assignment, short: Ints) -> set[int]:
    """The needs among `short` with something left at a compatible source. What is left must be too little for them."""
    columns = np.flatnonzero(assignment.residual)
    found: set[int] = set()
    for rows, _columns, scores in market.blocks(short, columns) if len(columns) else ():
        # Something compatible is left and greedy did not take it, so a minimum stood in the way.
        found.update(rows[(scores != REFUSED).any(axis=1)].tolist())
    return found
