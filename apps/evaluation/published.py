"""The two strategies that the package `ppe-match` brings, on arrays: the same decisions, without its tables."""

import numpy as np

from apps.evaluation.dataset import Dataset
from apps.evaluation.replay import Decisions, Round, Strategy


def first_come(one: Round) -> Decisions:
    """The first donor and the first recipient, the second and the second, … in the order of their names."""
    # Pairs by position: the shorter side ends it, and the rest waits for the next round.
    units = np.minimum(one.offered.quantity[: len(one.wanted.party)], one.wanted.quantity[: len(one.offered.party)])
    pairs = zip(one.offered.party.tolist(), one.wanted.party.tolist(), units.tolist(), strict=False)
    return list(pairs)


def proximity(dataset: Dataset) -> Strategy:
    """Each donor, in the order of their names, to the nearest recipient who still wants something.

    Many recipients are equally near. The package takes the one that pandas' quicksort leaves in front. The same sort is
    used here, so that the figures equal the package's own in every digit.
    """

    def nearest(one: Round) -> Decisions:
        left = one.wanted.quantity.copy()
        for donor, free in zip(one.offered.party.tolist(), one.offered.quantity.tolist(), strict=True):
            remaining = np.flatnonzero(left)
            if not len(remaining):
                return
            miles = dataset.miles[donor, one.wanted.party[remaining]]
            # Not `argmin`: among equal distances the unstable sort decides, and it must be the package's.
            index = int(remaining[np.argsort(miles, kind="quicksort")[0]])
            units = min(free, int(left[index]))
            left[index] -= units
            yield donor, int(one.wanted.party[index]), units

    return nearest
