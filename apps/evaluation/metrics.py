"""The five metrics of the published framework, computed on arrays. A test holds them to its own evaluator."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from apps.evaluation.dataset import DAY, Dataset
from apps.matching.allocation.groups import Floats, Ints

# Names of fields of `Metrics`. More is better for the first two, less is better for the others.
MORE: Final = ("fill", "fill_served")
LESS: Final = ("miles", "holding", "shipments")
FIVE: Final = MORE + LESS


@dataclass(frozen=True)
class Shipments:
    """What was sent: when it was decided, from whom to whom, what and how much."""

    at: Ints  # microseconds since 1970, UTC
    donor: Ints
    recipient: Ints
    item: Ints
    quantity: Ints

    @classmethod
    def of(cls, rows: "list[tuple[int, int, int, int, int]]") -> "Shipments":
        return cls(*np.array(rows, dtype=np.int64).reshape(-1, 5).T)


@dataclass(frozen=True)
class Metrics:
    """The five metrics, and how much was shipped. A mean over nothing is NaN."""

    fill: float  # mean over items of the mean share of a recipient's requests that was filled
    fill_served: float  # the same among those who got something: the fill rate without zeros
    miles: float  # of a mean unit
    holding: float  # days that a mean unit waited at its donor
    shipments: float  # shipments per donor who shipped; items on one day to one recipient go together
    units: int  # shipped
    shipped: float  # as a share of all that was offered

    def at_least_as_good(self, other: "Metrics") -> bool:
        """On all five at once."""
        return all(getattr(self, name) >= getattr(other, name) for name in MORE) and all(
            getattr(self, name) <= getattr(other, name) for name in LESS
        )


def measure(dataset: Dataset, sent: Shipments) -> Metrics:
    """The metrics of what was sent. Miles are those of the data set; holding is in days."""
    requests = dataset.requests
    # A line is all that one recipient asked for of one item. Its two numbers become one.
    line = requests.party * len(dataset.items) + requests.item
    lines, of = np.unique(line, return_inverse=True)
    asked = np.bincount(of.reshape(-1), requests.quantity)
    index = np.searchsorted(lines, sent.recipient * len(dataset.items) + sent.item)
    # A line that got more than it asked for counts as full.
    filled = np.minimum(1, np.bincount(index, sent.quantity, minlength=len(lines)) / asked)
    item = lines % len(dataset.items)
    units = int(sent.quantity.sum())
    # Goods that leave one donor for one recipient at one time are one shipment, whatever the items.
    shipments = len(np.unique(np.stack([sent.at, sent.donor, sent.recipient]), axis=1).T)
    donors = len(np.unique(sent.donor))
    return Metrics(
        fill=_mean_of_means(filled, item),
        fill_served=_mean_of_means(filled[filled > 0], item[filled > 0]),
        miles=float(dataset.miles[sent.donor, sent.recipient] @ sent.quantity) / units if units else np.nan,
        holding=held(dataset, sent) / units if units else np.nan,
        shipments=shipments / donors if donors else np.nan,
        units=units,
        shipped=units / int(dataset.offers.quantity.sum()),
    )


def _mean_of_means(share: Floats, item: Ints) -> float:
    """The mean over items of the mean over its lines."""
    items, of = np.unique(item, return_inverse=True)
    if not len(items):
        return float("nan")
    return float((np.bincount(of.reshape(-1), share) / np.bincount(of.reshape(-1))).mean())


def held(dataset: Dataset, sent: Shipments) -> float:
    """Unit-days from offer to shipment, in whole days as the published evaluator rounds them; first in, first out.

    Each donor's offers of an item and its shipments of it are laid end to end; where an offer and a shipment overlap,
    that many units waited from the one to the other.
    """
    total = 0.0
    offers, items = dataset.offers, len(dataset.items)
    # One number for donor and item: a unit only waits for shipments of its own kind.
    stock, out = offers.party * items + offers.item, sent.donor * items + sent.item
    by_stock = np.lexsort((offers.at, stock))
    by_out = np.lexsort((sent.at, out))
    first = np.searchsorted(stock[by_stock], np.unique(out))
    last = np.searchsorted(stock[by_stock], np.unique(out), side="right")
    begin = np.searchsorted(out[by_out], np.unique(out))
    end = np.searchsorted(out[by_out], np.unique(out), side="right")
    for rows, ways in zip(_slices(first, last), _slices(begin, end), strict=True):
        offered, taken = by_stock[rows], by_out[ways]
        # Both run over the same line of units. Its edges are where an offer is used up or a shipment is full.
        upto, gone = np.cumsum(offers.quantity[offered]), np.cumsum(sent.quantity[taken])
        edges = np.union1d(upto[upto < gone[-1]], gone)
        units = np.diff(edges, prepend=0)
        since = offers.at[offered[np.searchsorted(upto, edges)]]
        until = sent.at[taken[np.searchsorted(gone, edges)]]
        # Rounded to whole days for each part, because the published evaluator does so.
        total += float(np.round((until - since) / DAY) @ units)
    return total


def _slices(begin: Ints, end: Ints) -> list[slice]:
    return [slice(*pair) for pair in zip(begin.tolist(), end.tolist(), strict=True)]
