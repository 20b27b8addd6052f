"""What a supplier's no teaches about other needs. Pure.

Each no is about the need it was said to, and three say more: "too far away" is meant for any need as far or farther,
"not the right standard" for any need of the same goods by the same standard, "the goods are gone" for the offer itself,
which is suspended (`services.decline`). What is learnt of an offer holds until its supplier touches it.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from operator import or_

from apps.matching.scoring.distance import km_between
from apps.matching.scoring.facts import Location


class Topic(StrEnum):
    """Reasons that are about a kind of need. The values are those of `models.DeclineReason`."""

    DISTANCE = "distance"
    STANDARD = "standard"


@dataclass(frozen=True, slots=True)
class DeclineRule:
    """Offers that will not do for needs like the one that was declined: of this item and standard, at this location."""

    topic: Topic
    item_id: int
    standard_id: int | None
    location: Location
    origin: Location  # of the offer


class DeclineRules:
    """The rules about one item, to be asked about many kinds of needs. Sets of offers are the bits of a number."""

    def __init__(self, rules: Mapping[DeclineRule, int]) -> None:
        self._of_standard: dict[int | None, int] = defaultdict(int)
        self._same_place: dict[Location, int] = defaultdict(int)
        # By origin: how far the declined needs were, nearest first, each with the offers of all that were no farther.
        self._as_far: dict[Location, tuple[list[float], list[int]]] = {}
        declined: dict[Location, list[tuple[float, int]]] = defaultdict(list)
        for rule, bits in rules.items():
            if rule.topic is Topic.STANDARD:
                self._of_standard[rule.standard_id] |= bits
            elif (km := km_between(rule.location, rule.origin)) is None:
                self._same_place[rule.location] |= bits
            else:
                declined[rule.origin].append((km, bits))
        for origin, noes in declined.items():
            noes.sort()
            self._as_far[origin] = [km for km, _bits in noes], list(accumulate((bits for _km, bits in noes), or_))

    def offers_for(self, *, standard_id: int | None, location: Location) -> int:
        """The offers that will not do for a need of this standard, at this location.

        "Too far" for one place is too far for every place that is as far or farther. Where a distance is not known, it
        is only for the very same place.
        """
        found = self._same_place.get(location, 0)
        if standard_id is not None:
            found |= self._of_standard.get(standard_id, 0)
        for origin, (kms, offers) in self._as_far.items():
            km = km_between(location, origin)
            if km is not None and (count := bisect_right(kms, km)):
                found |= offers[count - 1]
        return found
