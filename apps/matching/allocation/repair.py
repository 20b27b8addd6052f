"""From a flow to a plan that can be carried out: minimum orders, few shipments, few changes of holds. Pure."""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from apps.matching.allocation.arcs import Arcs
from apps.matching.allocation.consolidation import consolidate_shipments, shipment_costs, use_one_source
from apps.matching.allocation.flow import solve_flow, sum_by_index
from apps.matching.allocation.greedy import Assignment, greedy
from apps.matching.allocation.groups import Floats, Ints
from apps.matching.allocation.market import THOUSAND, Market
from apps.matching.allocation.priority import PriorityLevels

_REPAIRS: Final = 6  # solutions of the flow at most; each costs as much as the first
_SLOPE_SCALINGS: Final = 2  # the first turns run for the cost of shipments even if no minimum order is violated
_SLOPE_SCALING_ARCS: Final = 200_000  # above so many arcs another solution takes longer than it is worth


def repair_rounding(
    market: Market, levels: PriorityLevels, arcs: Arcs, quantity: Ints, expired: Callable[[], bool]
) -> tuple[Assignment, int]:
    """Round a flow (n_arcs,) to a plan that keeps minimum orders and has few shipments; and how many repairs it took.

    Arcs with less than an eighth of the minimum order are deleted. The others get it as a lower bound, where that
    fits, and the flow is solved again. The fixed cost of a shipment is approximated by slope scaling: each arc is
    charged, per unit, the fixed cost divided by its last flow (D. Kim, P. Pardalos, Operations Research Letters 24,
    1999).
    """
    fixed_cost = shipment_costs(market)
    # An arc that has carried nothing yet is charged as if it were full: the linear relaxation of the fixed cost.
    carried = np.minimum(market.free[arcs.column], market.remaining[arcs.row])
    lower = np.zeros(len(arcs), dtype=np.int64)
    best = _to_plan(market, levels, arcs, quantity, fixed_cost)
    scalings = _SLOPE_SCALINGS if fixed_cost.any() and len(arcs) <= _SLOPE_SCALING_ARCS else 0
    repairs = 0
    for turn in range(_REPAIRS):
        violates = (quantity > 0) & (quantity < market.minimum[arcs.column])
        if (not violates.any() and turn >= scalings) or expired():
            break
        repairs += bool(violates.any())
        lower = _lower_bounds(market, levels, arcs, quantity, lower)
        # A violating arc that got no lower bound is deleted.
        stays = ~violates | (lower > 0)
        carried = np.where(quantity > 0, quantity, carried)[stays]
        arcs, lower = arcs.select(stays), lower[stays]
        # At most a whole score per unit, for which the gap between levels leaves room (`priority._weights`).
        cost = np.minimum(THOUSAND, fixed_cost[arcs.row] / carried).astype(np.int64) if scalings else None
        quantity = solve_flow(market, arcs, levels, cost=cost, lower=lower)
        plan = _to_plan(market, levels, arcs, quantity, fixed_cost)
        # A later flow keeps more minimum orders and may still be worth less, so the best plan is remembered.
        if objective(market, levels, plan) > objective(market, levels, best):
            best = plan
    return best, repairs


def _lower_bounds(market: Market, levels: PriorityLevels, arcs: Arcs, quantity: Ints, lower: Ints) -> Ints:
    """Raise the bounds of arcs that carry an eighth of the minimum order or more to that order, as far as it fits.

    Higher tiers come first, then the arcs that are nearer to the minimum order.
    """
    lower = lower.copy()
    free = market.free - sum_by_index(arcs.column, lower, len(market.sources))
    short = market.remaining - sum_by_index(arcs.row, lower, len(market.needs))
    minimum = market.minimum[arcs.column]
    close = np.flatnonzero((quantity < minimum) & (8 * quantity >= minimum))
    order = np.lexsort((close, -quantity[close] / minimum[close], levels.tier[arcs.row[close]]))
    for index in close[order].tolist():
        row, column, units = arcs.row[index], arcs.column[index], minimum[index]
        # Only bounds that fit together: otherwise the flow would be infeasible.
        if units <= free[column] and units <= short[row]:
            lower[index] = units
            free[column] -= units
            short[row] -= units
    return lower


def _to_plan(market: Market, levels: PriorityLevels, arcs: Arcs, quantity: Ints, cost: Floats) -> Assignment:
    """Drop loads below a minimum, fill up greedily, and consolidate shipments."""
    kept = useful_quantity(market, arcs, quantity)
    plan = greedy(market, levels.cap, Assignment.of_flow(market, arcs, kept))
    for row in [row for row, loads in plan.loads.items() if len(loads) > 1]:
        use_one_source(row, plan, float(cost[row]))
    # Consolidation may leave needs short that other sources can serve.
    if consolidate_shipments(market, levels, arcs, plan, cost):
        return greedy(market, levels.cap, plan)
    return plan


def useful_quantity(market: Market, arcs: Arcs, quantity: Ints) -> Ints:
    """A flow (n_arcs,) without the loads below a minimum order, or below what is useful to their need."""
    assigned = sum_by_index(arcs.row, quantity, len(market.needs))
    # Less than the useful minimum is not worth a supplier's time, unless it completes the need.
    is_little = (quantity < market.minimum_useful[arcs.row]) & (assigned[arcs.row] < market.remaining[arcs.row])
    return np.where((quantity < market.minimum[arcs.column]) | is_little, 0, quantity)


def held_pairs(market: Market, held: Mapping[tuple[int, int], int]) -> Ints:
    """Units by (need id, source id) as three rows, in the order of the needs: needs, sources, units."""
    pairs = sorted(
        (market.row[need], market.column[source], units)
        for (need, source), units in held.items()
        if need in market.row and source in market.column
    )
    return np.array(pairs, dtype=np.int64).reshape(-1, 3).T


def limit_changes(
    market: Market, levels: PriorityLevels, best: Assignment, held: Mapping[tuple[int, int], int]
) -> Assignment:
    """The best plan, changed back towards the holds where a change would gain little.

    `held` are units by (need id, source id) that suppliers were asked for and have not answered. A supplier should not
    be asked, called off and asked again for small gains. Production planning calls this the nervousness of a plan.
    """
    policy = market.policy
    row, column, units = held_pairs(market, held)
    arcs = Arcs.of_pairs(market, row, column)
    quantity = dict(zip(zip(row.tolist(), column.tolist(), strict=True), units.tolist(), strict=True))
    # Two plans compete: all holds as they are, and the best plan in which only small changes are undone.
    unchanged, changed = Assignment.empty(market), Assignment.empty(market)
    for pair in zip(arcs.row.tolist(), arcs.column.tolist(), arcs.score.tolist(), strict=True):
        now, then = quantity[pair[:2]], best.units(*pair[:2])
        unchanged.add(*pair[:2], now, pair[2])
        if abs(now - then) <= policy.stay_share * max(now, then):
            changed.add(*pair[:2], now, pair[2])
    # Then the other loads of the best plan, as far as stock and needs allow beside the quantities that stay.
    for need in np.lexsort((np.arange(len(market)), levels.tier)).tolist():
        for source, load in sorted(best.loads.get(need, {}).items()):
            most = min(load.units, int(market.remaining[need] - changed.assigned[need]), int(changed.residual[source]))
            if not changed.units(need, source) and most >= market.minimum[source]:
                changed.add(need, source, most, load.score)
    changed = greedy(market, levels.cap, changed)
    unchanged = greedy(market, levels.cap, unchanged)
    tiers, value = objective(market, levels, unchanged)
    is_worth_it = objective(market, levels, changed) > (tiers, value * (1 + policy.stay_margin))
    return changed if is_worth_it else unchanged


def objective(market: Market, levels: PriorityLevels, plan: Assignment) -> tuple[tuple[int, ...], float]:
    """What plans are compared by: units of each tier, first tier first, then value less the cost of shipments."""
    cost = shipment_costs(market)
    shipping = sum(len(loads) * float(cost[row]) for row, loads in plan.loads.items())
    tiers = tuple(units for _tier, units in sorted(levels.units_by_tier(plan.assigned).items()))
    return tiers, levels.value(plan.assigned) + plan.score - shipping
