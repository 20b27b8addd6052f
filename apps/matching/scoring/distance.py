"""How far it is between two points on the globe, in kilometres. Pure; for numbers and for arrays.

A point is three coordinates on the unit sphere. The chord between two of them gives the way along a great circle:
https://en.wikipedia.org/wiki/Great-circle_distance#Vector_version. The database indexes the same coordinates.
"""

import math
from functools import lru_cache
from typing import Final

from apps.catalogue.regions import EARTH_RADIUS_KM
from apps.matching.scoring.either import Either
from apps.matching.scoring.facts import Distances, Location

Point = tuple[Either, Either, Either]

NOWHERE: Final[Point] = (math.nan, math.nan, math.nan)


@lru_cache(maxsize=1 << 14)  # more than a country has regions
def point(location: Location) -> Point:
    """The coordinates of a location on the unit sphere: three numbers, NaN where they are not known."""
    if location.latitude is None or location.longitude is None:
        return NOWHERE
    north, east = math.radians(location.latitude), math.radians(location.longitude)
    return math.cos(north) * math.cos(east), math.cos(north) * math.sin(east), math.sin(north)


def km_between_points(a: Point, b: Point) -> Either:
    """Kilometres between points, as numbers or as arrays that are broadcast against each other.

    An array keeps its precision. The result is NaN where one of the points is not known.
    """
    # Added up in place: in the market this runs over millions of pairs.
    square = (a[0] - b[0]) ** 2
    square += (a[1] - b[1]) ** 2
    square += (a[2] - b[2]) ** 2
    # A chord c spans the angle 2·asin(c/2). Rounding can make c/2 a little more than 1, where asin has no value.
    if isinstance(square, float):
        return 2 * EARTH_RADIUS_KM * math.asin(min(math.sqrt(square) / 2, 1)) if square == square else math.nan  # noqa: PLR0124  NaN
    import numpy as np

    half = np.minimum(np.sqrt(square, out=square) / 2, 1)
    return np.arcsin(half, out=half) * half.dtype.type(2 * EARTH_RADIUS_KM)


def km_between(a: Location, b: Location, distances: Distances | None = None) -> float | None:
    """Kilometres between two locations: as measured, or else along the globe. None where that is not known."""
    if distances is not None:
        return distances.km(a, b)
    km = km_between_points(point(a), point(b))
    return None if math.isnan(km) else km
