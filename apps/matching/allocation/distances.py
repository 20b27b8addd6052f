"""How far places are from each other, for many at once. Pure."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from apps.catalogue.regions import EARTH_RADIUS_KM
from apps.matching.allocation.groups import Ints
from apps.matching.scoring.ranking import Place

Singles = npt.NDArray[np.float32]


class Globe:
    """Kilometres between places, as an array of here × there would give them: the chord between two points on the globe
    gives the way along it.
    """

    def __init__(self, here: Sequence[Place], there: Sequence[Place]) -> None:
        self._here, self._there = _on_the_globe(here), _on_the_globe(there)

    def __getitem__(self, pairs: tuple[Ints, Ints]) -> Singles:
        rows, columns = pairs
        chord = np.zeros(np.broadcast_shapes(rows.shape, columns.shape), dtype=np.float32)
        for here, there in zip(self._here, self._there, strict=True):
            chord += (here[rows] - there[columns]) ** 2
        half = np.minimum(np.sqrt(chord, out=chord) / 2, 1)
        return np.arcsin(half, out=half) * np.float32(2 * EARTH_RADIUS_KM)


def _on_the_globe(places: Sequence[Place]) -> Singles:
    """Points on the unit sphere, one below the other; NaN where a place has no coordinates."""
    known = np.array([(place.latitude, place.longitude) for place in places], dtype=np.float64)  # None is NaN
    north, east = np.radians(known.reshape(-1, 2).T)
    points = [np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)]
    return np.array(points, dtype=np.float32)
