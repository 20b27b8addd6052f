"""Great-circle distances between many locations at once. Pure."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from apps.catalogue.regions import EARTH_RADIUS_KM
from apps.matching.allocation.groups import Ints
from apps.matching.scoring.ranking import Place

Singles = npt.NDArray[np.float32]


class GreatCircleTable:
    """Kilometres between two lists of locations, indexed like an array of shape (len(here), len(there)).

    An entry is computed when it is asked for, because most are never needed. It is NaN where coordinates are unknown.
    The formula is 2R·arcsin(chord ÷ 2), with the chord between two points of the unit sphere. Single precision is
    enough: the score rounds to a thousandth.
    """

    def __init__(self, here: Sequence[Place], there: Sequence[Place]) -> None:
        self._here, self._there = _on_unit_sphere(here), _on_unit_sphere(there)

    def __getitem__(self, pairs: tuple[Ints, Ints]) -> Singles:
        rows, columns = pairs
        squared = np.zeros(np.broadcast_shapes(rows.shape, columns.shape), dtype=np.float32)
        for here, there in zip(self._here, self._there, strict=True):
            squared += (here[rows] - there[columns]) ** 2
        half_chord = np.minimum(np.sqrt(squared, out=squared) / 2, 1)
        return np.arcsin(half_chord, out=half_chord) * np.float32(2 * EARTH_RADIUS_KM)


def _on_unit_sphere(places: Sequence[Place]) -> Singles:
    """Cartesian coordinates, shape (3, len(places))."""
    known = np.array([(place.latitude, place.longitude) for place in places], dtype=np.float64)  # None becomes NaN
    north, east = np.radians(known.reshape(-1, 2).T)
    points = [np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)]
    return np.array(points, dtype=np.float32)
