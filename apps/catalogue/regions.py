"""Where places are: arithmetic on codes and coordinates, without any table."""

import math
from typing import Final

EARTH_RADIUS_KM: Final = 6371.0088
"""Mean radius, IUGG."""


def distance_km(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Great-circle distance of two places given as (latitude, longitude) in degrees, by the haversine formula."""
    latitude_a, longitude_a, latitude_b, longitude_b = map(math.radians, (*a, *b))
    half = (
        math.sin((latitude_b - latitude_a) / 2) ** 2
        + math.cos(latitude_a) * math.cos(latitude_b) * math.sin((longitude_b - longitude_a) / 2) ** 2
    )
    return 2 * EARTH_RADIUS_KM * math.asin(min(1.0, math.sqrt(half)))
