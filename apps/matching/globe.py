"""How far places are from each other, for many at once. Pure."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from apps.catalogue.regions import EARTH_RADIUS_KM
from apps.matching.groups import Ints
from apps.matching.ranking import Place

Singles = npt.NDArray[np.float32]


class Globe:
    """Kilometres between places, by rows: the chord between two points on the globe gives the way along it."""

    def __init__(self, here: Sequence[Place], there: Sequence[Place]) -> None:
        self._here, self._there = _on_the_globe(here), _on_the_globe(there)

    def __getitem__(self, rows: Ints) -> Singles:
        chord = np.zeros((len(rows), self._there.shape[1]), dtype=np.float32)
        for here, there in zip(self._here, self._there, strict=True):
            chord += (here[rows, None] - there) ** 2
        half = np.minimum(np.sqrt(chord, out=chord) / 2, 1)
        return np.arcsin(half, out=half) * np.float32(2 * EARTH_RADIUS_KM)


def _on_the_globe(places: Sequence[Place]) -> Singles:
    """Points on the unit sphere, one below the other; NaN where a place has no coordinates."""
    known = [
        (math.nan, math.nan) if place.latitude is None or place.longitude is None else (place.latitude, place.longitude)
        for place in places
    ]
    north, east = np.radians(np.array(known, dtype=np.float64).reshape(-1, 2).T)
    points = [np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)]
    return np.array(points, dtype=np.float32)
