"""The best values that any plan could reach, even with hindsight: one bound for each metric.

Each bound is reached by a plan that optimises nothing else, so no plan reaches all of them at once.
"""

from dataclasses import dataclass

import numpy as np

from apps.evaluation.dataset import DAY, Dataset
from apps.evaluation.replay import ends
from apps.matching.allocation.groups import Floats, Ints


@dataclass(frozen=True)
class HindsightBounds:
    """Bounds of the metrics of the same names. Miles and holding are for plans that ship every unit somebody wants."""

    fill: float  # at most
    miles: float  # at least
    holding: float  # at least, for rounds as far apart as these


def bounds(dataset: Dataset, every: float) -> HindsightBounds:
    """The bounds for these data, with rounds `every` so many days apart."""
    supply = [_of(dataset.offers.item, dataset.offers.quantity, item) for item in range(len(dataset.items))]
    asked = [_lines(dataset, item) for item in range(len(dataset.items))]
    wanted = [item for item, lines in enumerate(asked) if len(lines)]
    units = [min(supply[item], int(asked[item].sum())) for item in wanted]
    return HindsightBounds(
        fill=float(np.mean([_most_filled(asked[item], supply[item]) for item in wanted])),
        miles=sum(_least_miles(dataset, item) for item in wanted) / max(1, sum(units)),
        holding=sum(_least_held(dataset, item, every) for item in wanted) / max(1, sum(units)),
    )


def _of(items: Ints, quantity: Ints, item: int) -> int:
    return int(quantity[items == item].sum())


def _lines(dataset: Dataset, item: int) -> Ints:
    """What each recipient asked for in all."""
    rows = dataset.requests.item == item
    _party, of = np.unique(dataset.requests.party[rows], return_inverse=True)
    return np.bincount(of.reshape(-1), dataset.requests.quantity[rows]).astype(np.int64)


def _most_filled(asked: Ints, supply: int) -> float:
    """The mean share filled when the smallest requests are filled first. A unit adds most to the smallest request."""
    asked = np.sort(asked)
    # Greedy, the smallest request first: the fractional knapsack with equal values, where greedy is optimal.
    given = np.clip(supply - (np.cumsum(asked) - asked), 0, asked)
    return float((given / asked).mean())


def _least_miles(dataset: Dataset, item: int) -> float:
    """Unit-miles of the cheapest plan that ships all of an item, as if everything had been known from the first day.

    The plan is a minimum-cost flow from donors to recipients. A donor only needs arcs to its nearest recipients, as
    many as together want all the supply. No optimal plan needs a way to one farther away.
    """
    from ortools.graph.python import min_cost_flow

    offers, requests = dataset.offers, dataset.requests
    donors, of = np.unique(offers.party[offers.item == item], return_inverse=True)
    free = np.bincount(of.reshape(-1), offers.quantity[offers.item == item]).astype(np.int64)
    recipients = np.unique(requests.party[requests.item == item])
    asked = _lines(dataset, item)
    if not len(donors):
        return 0.0
    # The time of requests is left aside: a bound may assume that everything is known from the first day.
    miles: Floats = dataset.miles[np.ix_(donors, recipients)]
    order = np.argsort(miles, axis=1, kind="stable")
    # What the nearer recipients want together. An arc is kept while that is less than all supply.
    before = np.cumsum(asked[order], axis=1) - asked[order]
    row, rank = np.nonzero(before < free.sum())
    column = order[row, rank]
    # The solver takes whole numbers; a thousandth of a mile is finer than the data.
    thousandths = np.rint(1000 * miles[row, column]).astype(np.int64)
    network = min_cost_flow.SimpleMinCostFlow()
    count, sink = len(donors), len(donors) + len(recipients)
    network.add_arcs_with_capacity_and_unit_cost(row, count + column, np.minimum(free[row], asked[column]), thousandths)
    every = np.arange(count, sink)
    network.add_arcs_with_capacity_and_unit_cost(
        every, np.full(len(every), sink), asked, np.zeros(len(every), np.int64)
    )
    never = np.full(count, 10**9)  # the cost of a unit that stays at its donor: dearer than any way
    # Supply must balance, so stock may stay; its cost makes the flow ship all that somebody wants.
    network.add_arcs_with_capacity_and_unit_cost(np.arange(count), np.full(count, sink), free, never)
    network.set_nodes_supplies(np.arange(count), free)
    network.set_node_supply(sink, -int(free.sum()))
    if network.solve() != network.OPTIMAL:
        raise ArithmeticError("min-cost flow: no optimum")
    flows = np.asarray(network.flows(np.arange(len(row))), dtype=np.int64)
    return float(flows @ thousandths) / 1000


def _least_held(dataset: Dataset, item: int, every: float) -> float:
    """Unit-days if every unit leaves at the first round at which it is there and somebody wants it.

    Where more is offered than wanted, the units that wait least for their first round are counted.
    """
    offers = dataset.offers.only(dataset.offers.item == item)
    requests = dataset.requests.only(dataset.requests.item == item)
    if offers.quantity.sum() > requests.quantity.sum():
        # With more offered than wanted, a bound may choose the units that wait least.
        return _least_waits(offers.at, offers.quantity, int(requests.quantity.sum()), [*ends(dataset, every)])
    left, wanted, total = offers.quantity.copy(), 0, 0.0
    for after, now in ends(dataset, every):
        came = (requests.at > after) & (requests.at < now)
        # Requests never expire, so what was wanted and not served is wanted in later rounds as well.
        wanted += int(requests.quantity[came].sum())
        # The oldest goes first. The order only matters for the rounding to whole days.
        for row in np.flatnonzero((offers.at < now) & (left > 0)).tolist():
            units = min(wanted, int(left[row]))
            left[row] -= units
            wanted -= units
            total += units * round((now - int(offers.at[row])) / DAY)
    return total


def _least_waits(at: Ints, quantity: Ints, wanted: int, rounds: list[tuple[int, int]]) -> float:
    """Unit-days until the first round, of the units that wait least."""
    # Each unit leaves at the first round after it was offered.
    closing = np.array([now for _after, now in rounds], dtype=np.int64)
    days = np.rint((closing[np.searchsorted(closing, at, side="right")] - at) / DAY)
    order = np.argsort(days, kind="stable")
    before = np.cumsum(quantity[order]) - quantity[order]
    return float(np.clip(wanted - before, 0, quantity[order]) @ days[order])
