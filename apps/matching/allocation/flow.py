"""The allocation as a min-cost flow: sources → needs → sink. Pure.

The solver is OR-Tools' SimpleMinCostFlow, a cost-scaling push-relabel method (A. Goldberg, J. Algorithms 22, 1997). The
model follows R. Ahuja, T. Magnanti, J. Orlin, *Network Flows*, 1993.
"""

import numpy as np

from apps.matching.allocation.arcs import Arcs
from apps.matching.allocation.groups import Ints
from apps.matching.allocation.market import Market
from apps.matching.allocation.priority import PriorityLevels


class Network:
    """A graph for the solver: add arcs, set the supplies, solve. Gains are integers of either sign."""

    def __init__(self) -> None:
        # Imported here: it adds some 100 MB to a process, and only workers that allocate need it (decision 0013).
        from ortools.graph.python import min_cost_flow

        self._solver = min_cost_flow.SimpleMinCostFlow()

    def add_arcs(self, tail: Ints, head: Ints | int, capacity: Ints, gain: Ints | int) -> slice:
        """Add arcs from `tail` to `head`; returns their positions in the flow that `solve` gives."""
        before = self._solver.num_arcs()
        head, gain = np.broadcast_to(head, tail.shape), np.broadcast_to(gain, tail.shape)
        # The solver minimises costs, so a gain is a negative cost.
        self._solver.add_arcs_with_capacity_and_unit_cost(tail, head, capacity, -gain)
        return slice(before, before + len(tail))

    def set_supplies(self, nodes: Ints, units: Ints) -> None:
        """Units that each node sends (positive) or takes in (negative). They must add up to 0 over all nodes."""
        self._solver.set_nodes_supplies(nodes, units)

    def solve(self) -> Ints:
        """Units on each arc, in the order of their addition, for the largest total gain.

        Raises `ArithmeticError` where there is no feasible flow or the costs overflow.
        """
        status = self._solver.solve()
        if status != self._solver.OPTIMAL:
            raise ArithmeticError(f"min-cost flow: {status.name}")
        return np.asarray(self._solver.flows(np.arange(self._solver.num_arcs())), dtype=np.int64)


def solve_flow(
    market: Market, arcs: Arcs, levels: PriorityLevels, *, cost: Ints | None = None, lower: Ints | None = None
) -> Ints:
    """The flow over these arcs of the largest value: weights of the filled segments, plus scores less `cost` per unit.

    `cost` (thousandths per unit), `lower` (lower bounds in units) and the result have shape (n_arcs,). The lower bounds
    together must fit into the stocks and the needs. Raises `ArithmeticError` as `Network.solve` does.
    """
    needs, sources = len(market.needs), len(market.sources)
    sink = np.array([needs + sources])
    base = np.zeros(len(arcs), dtype=np.int64) if lower is None else lower
    network = Network()
    # A lower bound is taken out of the arc and added to the supplies of its ends (Ahuja et al., section 2.4).
    capacity = np.minimum(market.free[arcs.column], market.remaining[arcs.row]) - base
    gain = arcs.score if cost is None else arcs.score - cost
    pairs = network.add_arcs(arcs.column, sources + arcs.row, capacity, gain)
    network.add_arcs(sources + levels.row, sink, levels.capacity, levels.weight)
    network.add_arcs(np.arange(sources), sink, market.free, 0)  # what is not given to anybody
    network.set_supplies(np.arange(sources), market.free - sum_by_index(arcs.column, base, sources))
    network.set_supplies(sources + np.arange(needs), sum_by_index(arcs.row, base, needs))
    # Every unit of stock ends in the sink, through a need or directly. So there is a feasible flow.
    network.set_supplies(sink, -market.free.sum(keepdims=True))
    return base + network.solve()[pairs]


def sum_by_index(index: Ints, units: Ints, size: int) -> Ints:
    """Units added up by index, shape (size,)."""
    # `bincount` adds in double precision, which is exact below 2 ** 53 units.
    return np.bincount(index, units, minlength=size).astype(np.int64)
