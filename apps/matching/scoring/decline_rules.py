"""What a supplier's no teaches about other needs. Pure.

Each no is about the need it was said to, and three say more: "too far away" is meant for any need as far or farther,
"not the right standard" for any need of the same goods by the same standard, "the goods are gone" for the offer itself,
which is suspended (`services.decline`). What is learnt of an offer holds until its supplier touches it.
"""

from dataclasses import dataclass
from enum import StrEnum

from apps.matching.scoring.ranking import Place, km_between


class Topic(StrEnum):
    """Reasons that are about a kind of need. The values are those of `models.DeclineReason`."""

    DISTANCE = "distance"
    STANDARD = "standard"


@dataclass(frozen=True, slots=True)
class DeclineRule:
    """An offer will not do for needs like the one that was declined: of this item and standard, at this place."""

    offer_id: int
    topic: Topic
    item_id: int
    standard_id: int | None
    place: Place
    origin: Place  # of the offer

    def is_about(self, *, item_id: int, standard_id: int | None, place: Place) -> bool:
        """Whether a need of this item and standard, at this place, is of that kind. Where a distance is not known, only
        the very place is.
        """
        if item_id != self.item_id:
            return False
        if self.topic is Topic.STANDARD:
            return standard_id is not None and standard_id == self.standard_id

        declined, asked = km_between(self.place, self.origin), km_between(place, self.origin)
        if declined is None or asked is None:
            return place == self.place
        return asked >= declined
