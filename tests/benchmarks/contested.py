"""Contested markets as large as wanted: four tiers, supply for 60 % of the demand, reach limits, certificates."""

import datetime as dt
import math
import random
from dataclasses import dataclass

from apps.matching.scoring.facts import Location, Need, Rules, Source

NOW = dt.datetime(2020, 1, 30, 12, tzinfo=dt.UTC)
# Standard 1 exceeds standard 2.
RULES = Rules(satisfies=frozenset({(1, 1), (2, 2), (1, 2)}))
PROVINCES, CITIES, DISTRICTS = 31, 9, 10


@dataclass(frozen=True)
class Shape:
    """How tight a market is: suppliers differ in reach, and needs in what they accept."""

    supply: float = 0.6  # of the demand
    anywhere: float = 0.15  # of the suppliers ship everywhere; the others
    reach: tuple[int, ...] = (1, 2, 4, 8)  # to so many of the nearest provinces, their own included
    certified: float = 0.7  # of the needs ask for a standard
    minimum: float = 0.0  # of the suppliers have a minimum order


class World:
    """The same provinces, cities and districts for every market of a seed."""

    def __init__(self, seed: int) -> None:
        chance = random.Random(seed)
        self.provinces = [(chance.uniform(22, 45), chance.uniform(85, 125)) for _ in range(PROVINCES)]
        self.places: list[Location] = []
        for number, (north, east) in enumerate(self.provinces):
            for city in range(CITIES):
                at = north + chance.gauss(0, 1.2), east + chance.gauss(0, 1.2)
                for district in range(DISTRICTS):
                    code = f"{number + 11:02}{city + 1:02}{district + 1:02}"
                    path = f"CN/{code[:2]}0000/{code[:4]}00/{code}/"
                    self.places.append(Location(path, at[0] + chance.gauss(0, 0.2), at[1] + chance.gauss(0, 0.2)))

    def around(self, place: Location, count: int) -> frozenset[str]:
        north, east = self.provinces[int(place.path[3:5]) - 11]
        order = sorted(range(PROVINCES), key=lambda other: math.dist((north, east), self.provinces[other]))
        return frozenset(f"{other + 11}0000" for other in order[:count])


def market(needs: int, sources: int, *, seed: int, shape: Shape, item: int = 1) -> tuple[list[Need], list[Source]]:
    world, chance = World(2020), random.Random(seed)
    demand = [_need(number, item, world, shape, chance) for number in range(1, needs + 1)]
    sizes = [chance.lognormvariate(6, 1.5) for _ in range(sources)]
    scale = shape.supply * sum(need.remaining for need in demand) / sum(sizes)
    return demand, [
        _source(number, item, max(1, int(size * scale)), world, shape, chance) for number, size in enumerate(sizes, 1)
    ]


def _need(number: int, item: int, world: World, shape: Shape, chance: random.Random) -> Need:
    wanting = int(min(50_000, max(10, chance.lognormvariate(6, 1.2))))
    return Need(
        id=number,
        organisation_id=1_000_000 + number,
        item_id=item,
        target=wanting,
        remaining=wanting,
        tier=chance.choices([1, 2, 3, 4], [3, 2, 3, 2])[0],
        urgency_rank=chance.choices([0, 1, 2], [1, 3, 6])[0],
        days_of_supply=chance.choice([None, None, 0, 1, 2, 3, 5, 10]),
        waiting_since=NOW - dt.timedelta(hours=chance.uniform(0, 20)),
        needed_by=chance.choice([None, NOW + dt.timedelta(days=chance.randint(1, 20))]),
        location=chance.choice(world.places),
        standard_id=chance.choice([1, 2]) if chance.random() < shape.certified else None,
    )


def _source(number: int, item: int, free: int, world: World, shape: Shape, chance: random.Random) -> Source:
    place = chance.choice(world.places)
    everywhere = chance.random() < shape.anywhere
    return Source(
        id=number,
        organisation_id=number,
        item_id=item,
        free=free,
        minimum_order=max(1, free // chance.randint(2, 10)) if chance.random() < shape.minimum else 1,
        lead_time_days=chance.randint(0, 20),
        location=place,
        ships_to=frozenset() if everywhere else world.around(place, chance.choice(shape.reach)),
        standard_id=chance.choices([None, 1, 2], [4, 3, 3])[0],
        confirmed_at=NOW - dt.timedelta(days=chance.uniform(0, 10)),
        unit_price=chance.choice([None, chance.uniform(1, 5)]),
        kept=chance.randint(0, 9),
        broken=chance.randint(0, 3),
    )
