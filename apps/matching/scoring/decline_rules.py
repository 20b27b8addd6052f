"""What a supplier's no teaches about other needs. Pure.

Each no is about the need it was said to, and three say more: "too far away" is meant for any need as far or farther,
"not the right standard" for any need of the same goods by the same standard, "the goods are gone" for the offer itself,
which is suspended (`services.decline`). What is learnt of an offer holds until its supplier touches it.
"""

from dataclasses import dataclass
from enum import StrEnum

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

    def is_about(self, *, item_id: int, standard_id: int | None, location: Location) -> bool:
        """Whether a need of this item and standard, at this location, is of that kind. Where a distance is not known,
        only the very same location is.
        """
        if item_id != self.item_id:
            return False
        if self.topic is Topic.STANDARD:
            return standard_id is not None and standard_id == self.standard_id

        # "Too far" for one place is too far for every place that is as far or farther.
        declined, asked = km_between(self.location, self.origin), km_between(location, self.origin)
        if declined is None or asked is None:
            return location == self.location
        return asked >= declined
