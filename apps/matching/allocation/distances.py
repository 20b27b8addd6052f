"""Great-circle distances between many locations at once. Pure."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from apps.matching.allocation.groups import Ints
from apps.matching.scoring.distance import km_between_points, point
from apps.matching.scoring.facts import Location

Singles = npt.NDArray[np.float32]


class GreatCircleTable:
    """Kilometres between two lists of locations, indexed like an array of shape (len(here), len(there)).

    An entry is computed when it is asked for, because most are never needed. It is NaN where coordinates are unknown.
    Single precision is enough: the score rounds to a thousandth.
    """

    def __init__(self, here: Sequence[Location], there: Sequence[Location]) -> None:
        self._here, self._there = _points(here), _points(there)

    def __getitem__(self, pairs: tuple[Ints, Ints]) -> Singles:
        rows, columns = pairs
        x, y, z = self._here[:, rows]
        to_x, to_y, to_z = self._there[:, columns]
        return np.asarray(km_between_points((x, y, z), (to_x, to_y, to_z)), dtype=np.float32)


def _points(locations: Sequence[Location]) -> Singles:
    """Three rows, one coordinate each."""
    return np.array([point(one) for one in locations], dtype=np.float32).reshape(-1, 3).T
